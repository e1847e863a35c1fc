"""Parameters by hand and by matrix: what they are called, what is refused, what the instance gets."""

import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.models import Experiment
from ec2lab.config.parameters import as_text, chosen, parse_parameters, variation_name, variations
from ec2lab.errors import UserError
from ec2lab.runs.command import command_script
from ec2lab.validators import NAME

names = st.from_regex(r"[a-z][a-zA-Z0-9_]{0,12}", fullmatch=True)
texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40)
values = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
matrices = st.dictionaries(names, st.lists(values, min_size=1, max_size=4, unique_by=as_text), min_size=1, max_size=3)


@given(matrices)
def test_every_combination_has_a_name_of_its_own_that_an_experiment_may_have(matrix):
    found = variations("speech", matrix, {})
    count = 1
    for several in matrix.values():
        count *= len(several)
    assert len(found) == count
    assert len({variation.name for variation in found}) == count
    assert all(re.fullmatch(NAME, variation.name) for variation in found)


def test_names_tell_the_parameters_and_stay_when_the_matrix_grows():
    small = variations("speech", {"lr": [0.1, 0.01], "seed": [1]}, {})
    assert [variation.name for variation in small] == ["speech-lr0_1-seed1", "speech-lr0_01-seed1"]
    large = variations("speech", {"lr": [0.001, 0.01, 0.1], "seed": [0, 1, 2]}, {})
    assert {variation.name for variation in small} <= {variation.name for variation in large}


def test_a_long_name_is_cut_and_stays_the_same():
    parameters = {"schedule": "cosine with warm restarts and a very long tail of words", "seed": 3}
    name = variation_name("speech", parameters)
    assert len(name) <= 63
    assert name == variation_name("speech", parameters) != variation_name("speech", {**parameters, "seed": 4})


def test_what_is_fixed_has_one_value():
    found = variations("speech", {"lr": [0.1, 0.01], "seed": [1, 2]}, {"seed": "2"})
    assert [dict(variation.parameters) for variation in found] == [{"lr": 0.1, "seed": "2"}, {"lr": 0.01, "seed": "2"}]


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ("", {}),
        ("lr=0.1 seed=3", {"lr": "0.1", "seed": "3"}),
        ("note='a b; $(c)' x=", {"note": "a b; $(c)", "x": ""}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_parameters_are_read_as_a_shell_reads_words(words, parameters):
    assert parse_parameters(words) == parameters


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lr", "PARAMS: 'lr' has no value (try PARAMS=\"lr=0.1\")"),
        ("1r=2", "PARAMS: '1r' can't be a parameter"),
        ("PATH=/x", "PARAMS: 'PATH' is a variable of the system"),
        ("LD_PRELOAD=x", "PARAMS: 'LD_PRELOAD' is a variable of the system"),
        ("a=1 a=2", "PARAMS: a is given twice"),
        ("a='b", "no closing quotation"),
    ],
)
def test_what_is_no_parameter_is_refused_by_name(words, said):
    with pytest.raises(UserError, match=re.escape(said)):
        parse_parameters(words)


def test_choosing_takes_the_matrix_away_and_keeps_the_defaults():
    written = {"instance_types": ["g5.xlarge"], "parameters": {"epochs": 10}, "matrix": {"lr": [0.1, 0.01]}}
    assert chosen(written, {"lr": "0.01"}, "x") == {
        "instance_types": ["g5.xlarge"],
        "parameters": {"epochs": 10, "lr": "0.01"},
    }


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"lrr": "1"}, 'x: has no parameter lrr (did you mean "lr"?)'),
        ({}, 'x: lr has several values; choose one (PARAMS="lr=0.1"), or `make sweep EXP=x` launches an'),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_by_name(parameters, said):
    with pytest.raises(UserError, match=re.escape(said)):
        chosen({"matrix": {"lr": [0.1, 0.01]}}, parameters, "x")


@given(st.dictionaries(names, values, max_size=4))
def test_whatever_a_value_holds_the_command_finds_it_literally(parameters):
    show = "; ".join(f"printf '%s\\0' \"${name}\"" for name in parameters)
    experiment = Experiment(instance_types=["g5.xlarge"], command=show or "true", parameters=parameters)
    script = command_script(experiment)
    ran = subprocess.run(["bash", "-c", f"eval {shlex.quote(script)}"], capture_output=True, check=True)
    wanted = [str(value).lower() if isinstance(value, bool) else str(value) for value in parameters.values()]
    assert ran.stdout.decode().split("\0")[:-1] == wanted
