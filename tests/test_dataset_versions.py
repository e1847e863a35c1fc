"""Versions of a dataset are numbered, and no number is given out twice."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.datasets.versions import given_out, next_version
from ec2lab.registry.record import Event, Record

NUMBERS = st.integers(min_value=1, max_value=10**6).map(str)
NAMES = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)


def asked(dataset, version, operation="CreateSnapshot"):
    tags = [{"Key": "lab:dataset", "Value": dataset}, {"Key": "lab:version", "Value": version}]
    put = {"Tags": tags} if operation == "StartSnapshot" else {
        "TagSpecifications": [{"ResourceType": "snapshot", "Tags": tags}]
    }  # fmt: skip
    return Record(event=Event.INTENT, operation=operation, region="us-east-1", request=put)


def ended(intent, event, **more):
    return Record(event=event, parent_id=intent.id, operation=intent.operation, region=intent.region, **more)


@given(st.lists(NUMBERS | NAMES))
def test_the_next_number_is_above_all_that_there_are_and_by_one(versions):
    following = int(next_version(versions))
    numbers = [int(version) for version in versions if version.isdecimal()]
    assert all(following > number for number in numbers)
    assert following == 1 or following - 1 in numbers


@pytest.mark.parametrize("operation", ["CreateSnapshot", "StartSnapshot"])
def test_a_number_is_given_out_as_soon_as_it_is_on_record(operation):
    intent = asked("speech", "7", operation)
    assert given_out([intent, asked("other", "9")], "speech") == ["7"]
    assert given_out([intent, ended(intent, Event.RESPONSE, response={})], "speech") == ["7"]


def test_what_aws_surely_refused_has_taken_no_number_and_what_is_unclear_has():
    intent = asked("speech", "7")
    refused = {"code": "SnapshotCreationPerVolumeRateExceeded", "message": "", "http_status": 400}
    unclear = {"code": "ReadTimeoutError", "message": "", "http_status": None}
    assert given_out([intent, ended(intent, Event.ERROR, error=refused)], "speech") == []
    assert given_out([intent, ended(intent, Event.ERROR, error=unclear)], "speech") == ["7"]


NUMBERING = """
import sys
from ec2lab.datasets.versions import numbered
from ec2lab.session import open_session
with open_session("numbering") as session, numbered(session, "speech", {wanted!r}, "us-east-1") as version:
    print(version, flush=True)
    sys.stdin.readline()
"""


def test_whoever_comes_second_waits_until_the_first_has_made_its_version(lab, cloud):
    lab.write("number.py", NUMBERING.format(wanted=None))
    first, second = lab.start_file("number.py"), None
    try:
        assert first.stdout.readline() == "2\n"
        second = lab.start_file("number.py")
        said = []
        reading = threading.Thread(target=lambda: said.append(second.stdout.readline()))
        reading.start()
        reading.join(1)
        assert said == [], "the second has a number while the first has not used its own"
        first.communicate("\n")
        reading.join(60)
        assert said == ["2\n"], "the first has made nothing of its number"
        second.communicate("\n")
    finally:
        for process in filter(None, (first, second)):
            process.kill()


def test_a_version_that_exists_is_refused_by_its_name(lab, cloud):
    lab.write("number.py", NUMBERING.format(wanted="1"))
    process = lab.start_file("number.py")
    _, said = process.communicate("\n")
    assert process.returncode == 1
    assert "VERSION: speech@1 exists already: snap-" in said
