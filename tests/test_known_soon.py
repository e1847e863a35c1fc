"""What was made a moment ago may be unknown to the next call, which is made again; what never was is refused."""

from datetime import timedelta

from scripts.core.registry.known_soon import first_heard
from scripts.core.registry.record import Event, Record, moment_of

NOON, LATER = "2026-01-01T12:00:00.000Z", "2026-01-01T12:05:00.000Z"


def told(time, **response):
    return Record(event=Event.ANSWER, time=time, response=response)


DESCRIBED_AT_ONCE = {"invisible": {"security-group": [0, 300]}, "seed": 2842}
"""The first group is described after 0.4 s, and known to other calls after 95 s."""


def test_a_group_that_is_described_and_not_known_yet_is_waited_for(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    cloud.weather(**DESCRIBED_AT_ONCE)
    assert lab.run("launch", EXP="demo").code == 0
    codes = [call["code"] for call in cloud.calls("AuthorizeSecurityGroupIngress")]
    assert set(codes[:-1]) == {"InvalidGroup.NotFound"}
    assert codes[-1] is None
    assert len(cloud.calls("CreateSecurityGroup")) == len(cloud.calls("RunInstances")) == 1


def test_what_somebody_deleted_is_not_waited_for(lab, cloud):
    assert lab.run("launch", EXP="demo").code == 0
    wrong = (
        "from scripts.core.session import acting_on\n"
        "with acting_on('demo', 'wrong') as session:\n"
        "    session.cloud.ec2('us-east-1').create_snapshot(VolumeId='vol-0123456789abcdef0')\n"
    )
    lab.write("wrong.py", wrong)
    assert "InvalidVolume.NotFound" in lab.run_file("wrong.py").err
    assert len(cloud.calls("CreateSnapshot")) == 1


def test_the_youngest_of_what_a_call_names_decides_and_what_was_only_asked_for_was_not_heard_of():
    asked = Record(event=Event.INTENT, time=LATER, request={"GroupId": "sg-3"})
    records = [told(NOON, GroupId="sg-1"), told(LATER, GroupId="sg-1", Other="sg-22"), asked]
    assert first_heard(records, {"sg-1"}) == moment_of(NOON)
    assert first_heard(records, {"sg-1", "sg-22"}) == moment_of(NOON) + timedelta(minutes=5)
    assert first_heard(records, {"sg-2", "sg-3"}) is None
