"""Every row of the table of errors, and what each command does when AWS answers it in one region.

One run of a command meets many rows, each in a region of its own. `python -m tests.test_error_table` prints the table.
A command is added by a column in DOES and a test that compares what it does with that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from ec2lab.aws.error_codes import REGION_OUT, STOPS, TRANSIENT, ErrorCategory, classify
from tests.live_resources import living_in
from tests.many_regions import run_instances

C = ErrorCategory
FIRST, LAST = "us-east-1", "us-west-2"
"""The lab's own region, and one that is in order."""


@dataclass(frozen=True)
class Row:
    """One error as AWS words it."""

    code: str
    message: str = "made so"
    status: int | None = None
    """Where it is not the code's own."""
    kind: str | None = None
    """Where it is no error of AWS but of the wire: as the scenario calls it."""

    def fault(self, region: str, action: str, **more: object) -> dict:
        """Return the scenario in which AWS answers so in a region."""
        said = {"kind": self.kind} if self.kind else {"code": self.code, "message": self.message, "status": self.status}
        return {"action": action, "region": region, **said, **more}


SUBSCRIBE = (
    "In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please visit "
    "https://aws.amazon.com/marketplace/pp?sku=abc"
)
DENIED_BY_POLICY = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/eve is not authorized to perform this "
    "operation with an explicit deny in a service control policy."
)
ROWS: dict[ErrorCategory, tuple[Row, ...]] = {
    C.INSUFFICIENT_CAPACITY: (
        Row("InsufficientInstanceCapacity", "We currently do not have sufficient g5.xlarge capacity."),
        Row("UnfulfillableCapacity", "Unable to fulfill capacity due to your request configuration."),
    ),
    C.ZONE_UNAVAILABLE: (
        Row("InvalidInput", "No default subnet for availability zone: '{region}b'."),
        Row("InvalidSubnetID.NotFound", "No default subnet for availability zone: '{region}b'."),
        Row("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet 'subnet-1'."),
    ),
    C.NOT_OFFERED_IN_ZONE: (
        Row(
            "Unsupported",
            "Your requested instance type (c6i.large) is not supported in your requested Availability Zone ({region}b)."
            " Please retry your request by not specifying an Availability Zone or choosing {region}a.",
        ),
    ),
    C.NOT_OFFERED: (
        Row("Unsupported", "The requested configuration is currently not supported."),
        Row("InvalidParameterValue", "Invalid value 'c6i.large' for InstanceType."),
    ),
    C.COMPUTE_QUOTA: (
        Row("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 0 allows."),
    ),
    C.STORAGE_QUOTA: (Row("VolumeLimitExceeded", "You have exceeded your maximum gp3 storage limit of 50 TiB."),),
    C.NETWORK_QUOTA: (Row("NetworkInterfaceLimitExceeded", "Interface limit of 5000 exceeded."),),
    C.RESERVATION_UNUSABLE: (Row("InvalidCapacityReservationId.NotFound", "The ID 'cr-1' does not exist."),),
    C.TOO_MANY_AT_ONCE: (Row("ResourceLimitExceeded"),),
    C.THROTTLED: (Row("RequestLimitExceeded", "Request limit exceeded."), Row("PriorRequestNotComplete")),
    C.AMBIGUOUS: (
        Row("InternalError"), Row("ServiceUnavailable"), Row("", kind="truncated"), Row("", kind="html-503"),
        Row("", kind="reset-after"),
    ),
    C.REGION_UNUSABLE: (
        Row("AuthFailure", "AWS was not able to validate the provided access credentials"),
        Row("OptInRequired", "You are not subscribed to this service."),
        Row("MissingInput", "No subnets found for the default VPC 'vpc-1'. Please specify a subnet."),
        Row("InvalidAMIID.Unavailable"),
        Row("InvalidSnapshot.NotFound"),
        Row("PendingVerification"),
    ),
    C.REGION_DENIED: (Row("UnauthorizedOperation", DENIED_BY_POLICY),),
    C.ACCESS_DENIED: (Row("UnauthorizedOperation", "You are not authorized to perform this operation."),),
    C.SUBSCRIPTION_REQUIRED: (Row("OptInRequired", SUBSCRIBE),),
    C.PARAMETER_MISMATCH: (Row("IdempotentParameterMismatch"),),
    C.CLIENT_TOKEN_REUSED: (Row("IdempotentInstanceTerminated"),),
    C.DRY_RUN_SUCCEEDED: (Row("DryRunOperation"),),
    C.FATAL: (Row("InvalidParameterValue", "Value (x) for parameter y is invalid."), Row("NotImplemented", status=501),
              Row("Blocked"), Row("ExpiredToken"), Row("SomethingNewOfAws")),
}  # fmt: skip

NEXT, ELSEWHERE = "notes it and asks the next pool", "leaves the region out and asks the next"
AGAIN, STOP = "sends the same request again, by the same token", "stops, with AWS's message"
OUT = "shows the region as out, with AWS's message"
SHOWN = "shows what the other regions have, names this one with AWS's message, exit 3"
LAUNCHES = {
    **dict.fromkeys(C, NEXT), **dict.fromkeys(REGION_OUT, ELSEWHERE), **dict.fromkeys(TRANSIENT, AGAIN),
    **dict.fromkeys(STOPS, STOP), C.CLIENT_TOKEN_REUSED: "sends the request again, by a new token",
}  # fmt: skip
DOES: dict[str, dict[ErrorCategory, str]] = {
    "launch": LAUNCHES,
    "plan": {
        **dict.fromkeys(C, OUT), C.THROTTLED: "asks again", C.AMBIGUOUS: "asks again",
        C.DRY_RUN_SUCCEEDED: "says that the launch is allowed",
        C.FATAL: f"{OUT}; stops where each region would say so, and where the dry run is answered so",
    },
    "sweep": {
        **dict.fromkeys(C, "each of its launches as launch does"),
        **dict.fromkeys(STOPS, "that launch fails with AWS's message, the others go on"),
        C.CLIENT_TOKEN_REUSED: "each of its launches as launch does",
    },
    **{
        command: {**dict.fromkeys(C, does), C.THROTTLED: "asks again", C.AMBIGUOUS: "asks again"}
        for command, does in {
            "status": f"{SHOWN}; what lives there by the registry is shown as not seen",
            "teardown": "deletes what is elsewhere; names what may be there yet with AWS's message, exit 1",
            "audit": f"{SHOWN}; 1 where no region is seen", "datasets": SHOWN,
            "snapshot-copy": f"{SHOWN}; a region that is copied to fails alone, exit 1",
        }.items()
    },
}  # fmt: skip
"""Command -> what it does. Each category has its word."""
OTHERS = ("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1", "ap-northeast-1", "ap-south-1",
          "ap-southeast-1", "ca-central-1", "sa-east-1", "us-east-2", "us-west-1", "ap-northeast-2", "ap-northeast-3",
          "ap-southeast-2")  # fmt: skip
TYPES = ("c5.large", "c5.xlarge", "c5.2xlarge", "m5.large", "m5.xlarge", "m5.2xlarge", "r5.large", "r5.xlarge",
         "r5.2xlarge", "t3.large", "t3.xlarge", "g4dn.xlarge", "c6i.large")  # fmt: skip
"""The last is the one that is had; the one before it has a quota of its own."""


def rows(*categories):
    """Return the rows of some categories."""
    return [row for category in categories for row in ROWS[category]]


def words_of(row, region):
    """Return the message of a row in a region."""
    return row.message.replace("{region}", region)


def scenario_of(by_region, action, **more):
    """Return faults by which each region answers its row."""
    faults = [row.fault(region, action, **more) for region, row in by_region.items()]
    return [fault | {"message": str(fault.get("message", "")).replace("{region}", fault["region"])} for fault in faults]


def a_lab_in(lab, regions, types=TYPES[-1:], **more):
    """Let a lab's experiment ask in some regions, for what needs no data. None is slow, but an instance may be."""
    lab.write("lab.toml", f'regions = {json.dumps(list(regions))}\nregion_timeout = "1m"\n')
    rest = "".join(f"{key} = {value}\n" for key, value in more.items())
    lab.write("experiments/demo.toml", f"instance_types = {json.dumps(list(types))}\n{rest}")


def test_every_row_is_what_the_table_says():
    for category, found in ROWS.items():
        for row in found:
            message = row.message.replace("{region}", FIRST)
            assert row.kind or classify(row.code, message, row.status or 400, FIRST) is category, row


@pytest.mark.parametrize("command", DOES)
def test_every_command_has_its_word_for_every_row(command):
    assert DOES[command].keys() == set(C)


def test_launch_asks_the_next_pool_for_every_row_that_is_about_one_pool(lab, cloud):
    here = rows(
        *(category for category, does in DOES["launch"].items() if does == NEXT and category != C.COMPUTE_QUOTA)
    )
    here += ROWS[C.COMPUTE_QUOTA]
    types = TYPES[-1 - len(here) :]
    a_lab_in(lab, [FIRST], types)
    cloud.scenario(
        capacity=[
            {"type": one, "code": row.code, "message": words_of(row, FIRST)}
            for one, row in zip(types, here, strict=False)
        ]
    )
    ended = lab.launch()
    assert ended.code == 0, ended.err
    refused = [(event["instance_type"], event["code"]) for event in ended.events if event["event"] == "launch-rejected"]
    assert refused == list(zip(types, [row.code for row in here], strict=False))
    assert [found["InstanceType"] for found in living_in(cloud, FIRST, "instance")] == [TYPES[-1]]


def test_launch_leaves_a_region_out_for_every_row_that_is_about_one_region(lab, cloud):
    about_regions = rows(*(category for category, does in DOES["launch"].items() if does == ELSEWHERE))
    met = dict(zip([FIRST, *OTHERS], about_regions, strict=False))
    assert len(met) == len(about_regions)
    a_lab_in(lab, [*met, LAST])
    cloud.scenario(faults=scenario_of(met, "*"))
    ended = lab.launch()
    assert ended.code == 0, ended.err
    passed = {event["region"]: event["reason"] for event in ended.events if event["event"] == "region-skipped"}
    assert passed.keys() == met.keys()
    for region, row in met.items():
        assert f"in {region}: {row.code}: {row.message}" in passed[region]
    assert living_in(cloud, LAST, "instance")


def test_launch_asks_for_nothing_more_in_a_region_that_refuses_as_a_whole(lab, cloud):
    met = {FIRST: ROWS[C.STORAGE_QUOTA][0], "us-east-2": ROWS[C.ACCESS_DENIED][0]}
    a_lab_in(lab, [*met, LAST], [TYPES[0], TYPES[-1]])
    cloud.scenario(faults=scenario_of(met, "RunInstances"))
    assert lab.launch().code == 0
    assert [call["region"] for call in cloud.calls("RunInstances")] == [FIRST, "us-east-2", LAST]


def test_launch_sends_the_same_again_for_every_row_that_says_nothing_was_decided(lab, cloud):
    again = rows(*(category for category, does in DOES["launch"].items() if does == AGAIN))
    a_lab_in(lab, [LAST])
    for some in (again[:5], again[5:]):
        cloud.scenario(faults=[row.fault(LAST, "RunInstances", times=1) for row in some])
        before = len(cloud.calls("RunInstances"))
        assert lab.launch().code == 0
        calls = cloud.calls("RunInstances")[before:]
        assert len(calls) == len(some) + 1
        assert len({call["params"]["ClientToken"] for call in calls}) == 1
        assert len(living_in(cloud, LAST, "instance")) == 1
        assert lab.teardown().code == 0


def test_launch_takes_a_new_token_where_the_old_ones_instance_is_dead(lab, cloud):
    a_lab_in(lab, [LAST])
    cloud.scenario(faults=[row.fault(LAST, "RunInstances", times=1) for row in ROWS[C.CLIENT_TOKEN_REUSED]])
    assert lab.launch().code == 0
    tokens = [call["params"]["ClientToken"] for call in cloud.calls("RunInstances")]
    assert len(set(tokens)) == len(tokens) == 2
    assert len(living_in(cloud, LAST, "instance")) == 1


@pytest.mark.parametrize(
    "row",
    [ROWS[C.SUBSCRIPTION_REQUIRED][0], ROWS[C.FATAL][0], pytest.param(ROWS[C.FATAL][1], marks=pytest.mark.full)],
    ids=lambda row: row.code,
)
def test_launch_stops_with_awss_own_message_for_every_row_that_is_about_all_regions(lab, cloud, row):
    a_lab_in(lab, [FIRST, LAST])
    cloud.scenario(faults=[row.fault(FIRST, "RunInstances")])
    ended = lab.launch()
    assert ended.code == 1
    assert f"{FIRST}: {row.code}: {row.message}" in ended.error
    assert len(cloud.calls("RunInstances")) == 1


def test_plan_shows_what_each_region_answers_and_the_rest_of_the_plan(lab, cloud):
    read = [ROWS[category][0] for category, does in DOES["plan"].items() if does.startswith(OUT)]
    met = dict(zip([FIRST, *OTHERS], read, strict=False))
    assert len(met) == len(read)
    a_lab_in(lab, [*met, LAST])
    again = [row.fault(LAST, "Describe*", times=1) for row in (*ROWS[C.THROTTLED][:1], *ROWS[C.AMBIGUOUS][1:3])]
    cloud.scenario(faults=[*scenario_of(met, "*"), *again])
    planned = lab.run("plan", EXP="demo", JSON="1")
    assert planned.code == 0, planned.err
    out = {event["region"]: event["excluded"] for event in planned.events if event["event"] == "candidate"}
    for region, row in met.items():
        assert f"in {region}: {row.code}: {words_of(row, region)}" in out[region]
    assert out[LAST] is None
    assert [event["region"] for event in planned.events if event["event"] == "dry-run-allowed"] == [LAST]


def test_plan_asks_the_next_region_by_a_dry_run_where_one_denies_it_and_stops_where_all_would(lab, cloud):
    a_lab_in(lab, [FIRST, LAST])
    denied, fatal = ROWS[C.REGION_DENIED][0], ROWS[C.FATAL][0]
    cloud.scenario(faults=[denied.fault(FIRST, "RunInstances")])
    planned = lab.run("plan", EXP="demo", JSON="1")
    assert planned.code == 0, planned.err
    assert f"a dry run in {FIRST}: {denied.code}: {denied.message}" in planned.err
    cloud.scenario(faults=[fatal.fault(FIRST, "RunInstances")])
    stopped = lab.run("plan", EXP="demo", JSON="1")
    assert f"a dry run in {FIRST}: {fatal.code}: {fatal.message}" in stopped.error
    cloud.scenario(faults=[Row("ExpiredToken", "The token is over.").fault(FIRST, "Describe*")])
    assert f"in {FIRST}: ExpiredToken: The token is over." in lab.run("plan", EXP="demo").error


def test_sweep_launches_each_variation_past_every_row_and_fails_alone_the_one_that_has_to_stop(lab, cloud):
    met = dict(zip([FIRST, *OTHERS], [ROWS[category][0] for category in REGION_OUT], strict=False))
    a_lab_in(lab, [*met, LAST], TYPES[-2:], matrix="{ seed = [1, 2] }")
    cloud.scenario(
        faults=[
            *scenario_of(met, "*"),
            *[row.fault(LAST, "RunInstances", times=1) for row in rows(C.THROTTLED, C.AMBIGUOUS)],
        ],
        capacity=[{"type": TYPES[-2]}],
    )  # fmt: skip
    ended = lab.run("sweep", EXP="demo", JSON="1")
    assert ended.code == 0, ended.err
    assert [found["InstanceType"] for found in living_in(cloud, LAST, "instance")] == [TYPES[-1]] * 2
    fatal = ROWS[C.FATAL][0]
    cloud.scenario(faults=[fatal.fault(LAST, "RunInstances", times=1)])
    a_lab_in(lab, [LAST], matrix="{ try = [1, 2] }")
    ended = lab.run("sweep", EXP="demo", JSON="1")
    assert ended.code == 1
    states = sorted((event["state"], event["reason"]) for event in ended.events if event["event"] == "trial-finished")
    assert [state for state, _ in states] == ["failed", "runs"]
    assert f"{LAST}: {fatal.code}: {fatal.message}" in states[0][1]


def unreadable(command):
    """Return regions that each answer a row on which a command goes on without them, and their scenario."""
    lasting = [ROWS[category][0] for category, does in DOES[command].items() if does != "asks again"]
    met = dict(zip([FIRST, *OTHERS, "eu-south-1", "ap-southeast-4", "me-south-1", "af-south-1"], lasting, strict=False))
    assert len(met) == len(lasting)
    passing = [row.fault(LAST, "Describe*", times=1) for row in (*ROWS[C.THROTTLED][:1], *ROWS[C.AMBIGUOUS][1:3])]
    return met, {"faults": [*scenario_of(met, "Describe*"), *passing], "not_opted_in": []}


def names_each(ended, met):
    """Check that each region is named once, with AWS's own message."""
    unseen = [event for event in ended.events if event["event"] == "regions-unavailable"]
    reasons = {region: event["reason"] for event in unseen for region in event["regions"]}
    assert reasons.keys() == met.keys()
    for region, row in met.items():
        assert f"{row.code}: {words_of(row, region)}" in reasons[region]


def test_status_and_teardown_go_on_without_the_regions_that_answer_a_row(lab, cloud):
    met, scenario = unreadable("status")
    a_lab_in(lab, [*met, LAST])
    run_instances(lab, LAST, list(met))
    cloud.scenario(**scenario)
    status = lab.run("status", JSON="1")
    assert status.code == 3, status.err
    states = {event["region"]: event["state"] for event in status.events if event["event"] == "resource"}
    assert states == {LAST: "running", **dict.fromkeys(met, "not seen")}
    names_each(status, met)
    cloud.scenario(**scenario)
    ended = lab.teardown("*", YES="1")
    assert ended.code == 1
    assert [event["experiment"] for event in ended.events if event["event"] == "teardown-complete"] == ["demo"]
    failed = {event["experiment"]: event["reason"] for event in ended.events if event["event"] == "teardown-failed"}
    assert len(failed) == len(met)
    for number, (region, row) in enumerate(met.items()):
        assert f"{region}: not seen: DescribeInstances: {row.code}: {words_of(row, region)}" in failed[f"lost-{number}"]
    assert living_in(cloud, LAST, "instance") == []


def test_audit_datasets_and_copies_go_on_without_the_regions_that_answer_a_row(lab, cloud):
    met, scenario = unreadable("audit")
    a_lab_in(lab, [*met, LAST])
    for script, variables, event, shown in (
        ("audit", {"REGIONS": " ".join([*met, LAST])}, "audit-summary", {"regions": [LAST, "global"]}),
        ("datasets", {}, "dataset-version", {"region": LAST}),
        ("snapshot_copy", {"DATASET": "speech", "REGIONS": "us-east-2"}, "copy-progress", {"state": "completed"}),
    ):
        faults = [one for one in scenario["faults"] if script != "snapshot_copy" or one["region"] != "us-east-2"]
        cloud.scenario(**scenario | {"faults": faults})
        ended = lab.run(script, JSON="1", **variables)
        assert ended.code == 3, ended.err
        assert shown.items() <= [one for one in ended.events if one["event"] == event][-1].items()
        names_each(ended, {region: row for region, row in met.items() if region in {one["region"] for one in faults}})


def print_table():
    """Print the table as Markdown."""
    print(f"| row | for example | {' | '.join(DOES)} |\n|{' --- |' * (2 + len(DOES))}")
    for category, found in ROWS.items():
        examples = ", ".join(dict.fromkeys(row.code or row.kind for row in found))
        print(f"| {category.value} | {examples} | {' | '.join(does[category] for does in DOES.values())} |")


if __name__ == "__main__":
    print_table()
