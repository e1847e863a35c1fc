"""The words that `make lint` refuses."""

from tests.vocabulary import complaints


def test_a_dropped_word_is_found_in_names_and_prose_and_the_fields_own_is_not():
    text = "A data set on a Machine\nraise LabError\n/etc/machine-id of a virtual machine\nthe dataset of an instance\n"
    assert [(line, word) for line, word, _ in complaints(text)] == [(1, "data set"), (1, "Machine"), (2, "LabError")]
