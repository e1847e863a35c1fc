"""Whatever a value holds, it arrives as itself: in a shell, in YAML, and in user data."""

import gzip
import json
import random
import subprocess
from bisect import bisect

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from ec2lab.errors import UserError
from ec2lab.launch.user_data import USER_DATA_LIMIT, cloud_init, user_data
from ec2lab.templates import UnquotedValueError, environment
from tests.full import examples

hostile = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100)
"""A key of more than 1,024 characters, escapes counted, is none to a YAML reader."""
plain_json = st.recursive(
    hostile | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=8,
)


def template(text: str) -> Environment:
    return environment().from_string(text)


def test_a_value_printed_without_a_filter_is_an_error():
    with pytest.raises(UnquotedValueError, match="without a filter"):
        template("echo {{ name }}").render(name="x")


@given(hostile)
@settings(max_examples=examples(30), deadline=None)
def test_a_word_reaches_a_shell_as_itself(value):
    script = template("printf %s {{ value | shell }}").render(value=value)
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.decode() == value


@given(st.dictionaries(st.sampled_from(["users", "write_files", "runcmd"]), plain_json))
def test_a_cloud_init_document_reads_back_as_what_was_put_in(document):
    text = cloud_init(document)
    assert text.startswith("#cloud-config\n")
    assert (yaml.safe_load(text) or {}) == document


def test_a_name_that_is_more_than_a_name_does_not_stand_bare():
    with pytest.raises(UserError, match="unquoted"):
        template("{{ name | bare }}").render(name="a; b")


def test_user_data_is_sent_plain_while_it_fits_and_packed_when_only_that_fits():
    assert user_data("#cloud-config\n") == b"#cloud-config\n"
    long = "#cloud-config\n" + "x" * 20000
    assert gzip.decompress(user_data(long)).decode() == long
    assert user_data(long) == user_data(long), "the same document is the same request"


def test_user_data_that_gzip_makes_a_little_too_long_is_packed_tighter():
    words = random.Random(1).choices([f"word{number}" for number in range(500)], k=20000)
    just_too_many = bisect(range(20000), USER_DATA_LIMIT, key=lambda count: len(zipped(words[:count])))
    long = " ".join(words[:just_too_many])
    assert len(zipped(words[:just_too_many])) > USER_DATA_LIMIT
    assert len(user_data(long)) <= USER_DATA_LIMIT
    assert gzip.decompress(user_data(long)).decode() == long


def zipped(words):
    return gzip.compress(" ".join(words).encode(), compresslevel=9, mtime=0)


def test_user_data_that_never_fits_is_refused_with_what_to_shorten():
    noise = "".join(map(json.dumps, range(20000)))
    with pytest.raises(UserError, match="AWS allows 16384"):
        user_data(noise)
