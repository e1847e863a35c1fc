"""A team on one table: two clones never launch one experiment twice, and twenty people lose no record of each other."""

import itertools
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ec2lab.config.models import Lab
from ec2lab.registry.record import Event
from ec2lab.session import Session
from tests.crash.killing import FULL
from tests.lab_directory import LabDirectory
from tests.live_resources import DEAD

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3000)]

TABLE = "dynamodb://us-east-1/team?lease=3s"
LAB = f'cloud = "local"\nregions = ["us-east-1"]\nregistry = "{TABLE}"\n'
RACES, AT_ONCE, TEAM = 500, 4, 20
SECONDS, LEAST = 60.0, 20
"""How long races are begun, unless all are to be run; so many are, however slow the instance."""


@pytest.fixture
def clone(tmp_path, cloud, cloud_directory):
    """Makes clones of one lab, which share nothing but the table."""

    def made(name):
        directory = tmp_path / name
        directory.mkdir()
        (directory / ".local-cloud").symlink_to(cloud_directory)
        lab = LabDirectory(directory)
        lab.write("lab.toml", LAB)
        lab.write("experiments/speech.toml", 'instance_types = ["g5.xlarge"]\nparameters.try = 0\n')
        return lab

    return made


def ended(actor):
    """Wait for a script's end, and return its exit code, or the signal that killed it, negative."""
    actor.communicate(timeout=120)
    return actor.returncode


def instances(cloud, experiment):
    """Return the ids of an experiment's instances that are not going."""
    filters = [{"Name": "tag:lab:experiment", "Values": [experiment]}]
    found = cloud.client("ec2", "us-east-1").describe_instances(Filters=filters)["Reservations"]
    every = [instance for reservation in found for instance in reservation["Instances"]]
    return [instance["InstanceId"] for instance in every if instance["State"]["Name"] not in DEAD]


def test_two_clones_never_launch_one_experiment_twice(clone, cloud):
    """All races with FULL=1, else as many as fit into a minute."""
    cloud.scenario(pending=0.1, invisible=0.2, latency=0.01, terminated_shown=10)
    clones = [clone("alice"), clone("bob")]
    ends = Counter()
    numbers, until = itertools.count(), time.monotonic() + SECONDS

    def race(number):
        chance = random.Random(number)
        experiment = f"try-{number}"
        actors = []
        for lab in clones:
            time.sleep(chance.uniform(0, 0.3))  # the random delay that is tried
            actor = lab.start("launch", EXP=experiment, BASE="speech")
            if chance.random() < 0.5:
                threading.Timer(chance.uniform(0, 1.5), actor.kill).start()
            actors.append(actor)
        codes = [ended(actor) for actor in actors]
        after_both = instances(cloud, experiment)
        assert len(after_both) <= 1, (experiment, codes)
        last = ended(chance.choice(clones).start("launch", EXP=experiment, BASE="speech"))
        there = instances(cloud, experiment)
        assert len(there) == 1, (experiment, codes, last)
        assert not after_both or there == after_both, "what there was is resumed"
        cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=there)
        ends.update(codes)

    def runner(_):
        for number in numbers:
            if number >= RACES or (number >= LEAST and not FULL and time.monotonic() > until):
                return
            race(number)

    with ThreadPoolExecutor(AT_ONCE) as runners:
        list(runners.map(runner, range(AT_ONCE)))
    races = ends.total() // 2
    print(f"races: {races}, ends of the two: {dict(ends)}")
    assert min(ends[0], ends[1], ends[-signal.SIGKILL]) > races / 20, "some launch, some are refused, some are killed"


def test_a_team_of_twenty_at_once_loses_and_doubles_no_record(clone, cloud):
    cloud.scenario(pending=0.1, latency=0.01, terminated_shown=10)

    def work(number):
        lab = clone(f"member-{number}")
        for turn in range(3):
            experiment = f"of-{number}-{turn}"
            assert ended(lab.start("launch", EXP=experiment, BASE="speech")) == 0
            assert ended(lab.start("teardown", EXP=experiment)) == 0

    with ThreadPoolExecutor(TEAM) as team:
        list(team.map(work, range(TEAM)))
    reader = clone("reader")
    records = Session(reader.path, Lab(regions=["us-east-1"]), "test").registry_at(TABLE, "test").history()
    assert len({record.id for record in records}) == len(records)
    for operation in ("RunInstances", "TerminateInstances"):
        intents = {r.id for r in records if r.operation == operation and r.event is Event.INTENT}
        outcomes = Counter(r.parent_id for r in records if r.operation == operation and r.event is not Event.INTENT)
        calls = cloud.calls(operation)
        assert len(intents) == len(calls) >= TEAM * 3
        assert outcomes == dict.fromkeys(intents, 1), "each has one outcome"
    tokens = {r.request["ClientToken"] for r in records if r.operation == "RunInstances"}
    assert tokens == {call["params"]["ClientToken"] for call in cloud.calls("RunInstances")}
    assert not [m for n in range(TEAM) for t in range(3) for m in instances(cloud, f"of-{n}-{t}")]
