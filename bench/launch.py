"""A launch, a look and a teardown: ours, the AWS CLI by hand, and bare boto3 with the fewest calls that can do it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.local_lab import LocalLab, local_lab
from bench.result import Goal, Result, Row, Table
from bench.sample import Sample
from bench.turns import in_turns, seconds_of
from ec2lab.errors import UserError

TITLE = "Launch, status, teardown"
SAID = """
Each launches a g5.xlarge with a volume created from the dataset `speech`, waits until the instance runs, describes
it, terminates it, and waits until it is terminated.

- *ec2-lab*: what `make launch`, `make status` and `make teardown` run. Each call is recorded, and flushed to disk,
  before it is sent and after. The launch also checks the security group's rules; the teardown ends when AWS shows
  nothing left.
- *AWS CLI by hand*: `bench/contenders/by_hand.sh`, eight commands for a launch, each response kept in a file. The ids
  of image, security group and snapshot are given. If a response is lost, nothing shows what the command did.
- *bare boto3*: `bench/contenders/bare_boto3.py`, the lower bound: three calls for a launch (the newest snapshot,
  RunInstances with the volume, DescribeInstances), two for a teardown. Nothing is recorded.

The stock waiters of the last two poll every 15 s. If instances stay pending for a while, as they do on AWS, that is
most of their time.
"""
OURS, BY_HAND, FLOOR = "ec2-lab", "AWS CLI by hand", "bare boto3"
STEPS = ("launch", "status", "teardown")
CASES = {
    "0 ms a call": {},
    "200 ms a call": {"latency": 0.2},
    "instances pending for 5 s": {"pending": 5.0},
}
CONTENDERS = Path(__file__).with_name("contenders")
TYPE = "g5.xlarge"
FILES = {
    "lab.toml": 'regions = ["us-east-1"]\n',
    "experiments/demo.toml": f'instance_types = ["{TYPE}"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n',
}
BY_HAND_LIMIT = 0.15
INSTALLING = "python3 -m venv /opt/aws-cli && /opt/aws-cli/bin/pip install awscli==1.45.11"


@dataclass
class Contender:
    """One way to launch, look and tear down."""

    run: Callable[[str], float]
    """The seconds of a step."""
    calls: dict[str, Counter[str]] = field(default_factory=dict)
    """What a step sent when it ran last, as the cloud counted it: retries are in it."""


def measure(runs: int, cases: tuple[str, ...] = tuple(CASES)) -> Result:
    """Let the three take turns in each case. Raises UserError where there is no AWS CLI."""
    check_cli()
    tables: list[Table] = []
    goals: list[Goal] = []
    with local_lab(FILES) as local:
        contenders = contenders_on(local)
        for case in cases:
            local.cloud.scenario(**CASES[case])
            found = tables_of(case, local, contenders, runs, warm_up=not tables)
            goals += [goal for table in found for goal in goals_of(table, contenders)]  # calls are the last case's
            tables += found
    return Result(tables, goals, runs)


def check_cli() -> None:
    """Raise UserError where the AWS CLI does not answer."""
    found = shutil.which("aws")
    if not found or subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
        raise UserError(
            f"aws: not on PATH, and it is what is compared with; to install it: {INSTALLING}, and add to PATH"
        )


def contenders_on(local: LocalLab) -> dict[str, Contender]:
    """Return the three; our first launch, which makes the region's security group, is not measured."""
    for step in STEPS:
        local.seconds(step, EXP="demo")
    request = local.cloud.calls("RunInstances")[-1]["params"]
    snapshots = local.cloud.client("ec2", "us-east-1").describe_snapshots(
        Filters=[{"Name": "tag:lab:dataset", "Values": ["speech"]}]
    )
    environment = local.lab.environment(
        **local.cloud.credentials("bench"), AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="", NO_PROXY="*",
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        TYPE=TYPE, IMAGE=request["ImageId"], GROUP=request["SecurityGroupId.1"],
        SNAPSHOT=snapshots["Snapshots"][0]["SnapshotId"],
    )  # fmt: skip
    commands = {BY_HAND: ["sh", str(CONTENDERS / "by_hand.sh")]}
    commands[FLOOR] = [sys.executable, str(CONTENDERS / "bare_boto3.py")]
    return {
        OURS: Contender(lambda step: local.seconds(step, EXP="demo")),
        **{
            name: Contender(lambda step, command=command: seconds_of([*command, step], local.lab.path, environment))
            for name, command in commands.items()
        },
    }


def tables_of(case: str, local: LocalLab, contenders: dict[str, Contender], runs: int, *, warm_up: bool) -> list[Table]:
    """Measure all steps in one case; return a table for each step."""

    def steps(contender: Contender) -> dict[str, float]:
        return {step: timed(contender, step) for step in STEPS}

    def timed(contender: Contender, step: str) -> float:
        before = len(local.cloud.calls())
        seconds = contender.run(step)
        contender.calls[step] = Counter(call["action"] for call in local.cloud.calls()[before:])
        return seconds

    found = in_turns({name: partial(steps, contender) for name, contender in contenders.items()}, runs, warm_up=warm_up)
    return [
        Table(
            f"{step}, {case}", "s",
            [
                Row(name, Sample([run[step] for run in runs_of]), in_words(contenders[name].calls[step]))
                for name, runs_of in found.items()
            ],
            against=FLOOR, noted="calls on the wire, the last time",
        )
        for step in STEPS
    ]  # fmt: skip


def in_words(calls: Counter[str]) -> str:
    """Return what was sent, and how much of it."""
    each = ", ".join(f"{count} {action}" if count > 1 else action for action, count in calls.items())
    return f"{calls.total()}: {each}"


def goals_of(table: Table, contenders: dict[str, Contender]) -> Iterator[Goal]:
    """Say what launch and teardown are to be: no slower than the floor, and a fraction of what is done by hand.

    Where instances are pending for a while, that while is most of what all three take.
    """
    step, _, case = table.title.partition(", ")
    if step == "status" or CASES[case].get("pending"):
        return
    ours = table[OURS]
    yield Goal(f"{table.title}: of {FLOOR}", ours.over(table[FLOOR]), 1)
    yield Goal(f"{table.title}: of the {BY_HAND}", ours.over(table[BY_HAND]), BY_HAND_LIMIT)
    if table.title == f"launch, {next(iter(CASES))}":
        more = contenders[OURS].calls[step].total() - contenders[FLOOR].calls[step].total()
        yield Goal(f"{step}: calls on the wire beyond those of {FLOOR}", more, 1, "")
