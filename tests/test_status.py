"""Status tells what lives, by the registry, and how it is, by AWS."""

import re
from dataclasses import replace

import pytest

from ec2lab.costs.summary import CostSummary
from ec2lab.instances.usage import usage_by_member
from ec2lab.resource import Resource
from ec2lab.tables import TABLES
from ec2lab.terminal_layout import table_lines


def test_nothing_lives_in_a_new_lab_and_no_registry_is_made(lab, cloud):
    ended = lab.run("status")
    assert (ended.code, ended.out) == (0, "no live resources\n")
    assert cloud.calls() == []
    assert not lab.registry.exists()


def test_an_instance_is_shown_with_where_it_is_since_when_and_its_data(lab):
    lab.launch()
    (resource,) = lab.status()
    assert resource["experiment"] == "demo"
    assert resource["resource_type"] == "instance"
    assert resource["state"] == "running"
    assert resource["zone"] == "us-east-1a"
    assert resource["type"] == "p4d.24xlarge"
    assert resource["data"] == "speech@1 on /data"
    assert resource["since"].startswith("20")
    table = lab.run("status").out
    assert "demo" in table
    assert "speech@1 on /data" in table


def test_it_asks_aws_once_for_each_region_where_something_lives(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1"}])
    lab.launch()
    lab.status()  # prices, and what an image's root volume is, are asked for once
    before = len(cloud.calls())
    lab.status()
    assert [(c["action"], c["region"]) for c in cloud.calls()[before:]] == [
        ("DescribeInstances", "us-west-2"),
        ("DescribeVolumeStatus", "us-west-2"),
    ]


def test_a_spot_instance_that_aws_took_is_shown_with_its_reason(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["spot"]\n')
    lab.launch()
    (resource,) = lab.status()
    assert resource["market"] == "spot"
    cloud.end(resource["id"], "us-east-1", "Server.SpotInstanceTermination")
    (resource,) = lab.status()
    assert (resource["state"], resource["state_reason"]) == ("terminated", "Server.SpotInstanceTermination")


def test_what_aws_does_not_know_any_more_is_said_so_once_it_must_know(lab, cloud):
    lab.launch()
    cloud.reset()
    for year, state in (("2199", "not shown by AWS yet"), ("2001", "not in AWS any more")):
        lab.registry.write_text(re.sub(r'"2\d\d\d-', f'"{year}-', lab.registry.read_text()))
        (resource,) = lab.status()
        assert resource["state"] == state


def test_what_aws_does_not_know_any_more_costs_nothing_from_then_on(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nroot_volume = { size_gib = 75 }\n')
    assert lab.launch().code == 0
    cloud.reset()
    cloud.advance(600)
    (resource,) = lab.status()
    assert (resource["state"], resource["dollars_per_hour"]) == ("not in AWS any more", 0)
    assert f"{resource['id']}: not in AWS any more, so it costs nothing more\n" in lab.run("status").out
    cloud.advance(36000)
    for script in ("status", "cost"):
        told = next(e for e in lab.run(script, JSON="1").events if "unknown_prices" in e and "id" not in e)
        assert told["dollars_per_hour"] == 0, script
        assert told["dollars"] == pytest.approx(resource["dollars"], rel=0.01), script


def test_how_far_the_blocks_of_the_data_are_loaded_is_shown(lab, cloud):
    cloud.scenario(initialization_seconds=3600)
    assert lab.launch().code == 0
    (resource,) = lab.status()
    assert int(resource["loaded"].rstrip("%")) < 5
    cloud.scenario()
    assert lab.status()[0]["loaded"] == "100%"


def test_what_each_thing_costs_is_shown_and_the_sum(lab, cloud):
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[scratch]]\nsize_gib = 1000\nmount = "/scratch"\n'
    )
    assert lab.launch().code == 0
    (resource,) = lab.status()
    # The instance, its address, 1,000 GiB and the root's 75 at 0.08 a month of 30 days.
    assert resource["dollars_per_hour"] == pytest.approx(1.006 + 0.005 + 1075 * 0.08 / 30 / 24, abs=0.01)
    assert 0 < resource["dollars"] < 0.1
    assert resource["unknown_prices"] == 0
    assert lab.run("stop", EXP="demo", YES="1").code == 0
    (resource,) = lab.status()
    assert resource["dollars_per_hour"] == pytest.approx(1075 * 0.08 / 30 / 24, abs=0.01), "its volumes cost on"
    assert "dollars an hour" in lab.run("status").out
    of_all, of_demo, total = lab.run("ps", JSON="1").events
    assert (of_all["experiment"], of_demo["experiment"], of_demo["not_running"]) == (None, "demo", {"stopped": 1})
    assert {one["dollars_per_hour"] for one in (of_all, of_demo, total)} == {resource["dollars_per_hour"]}


def test_a_team_is_on_one_screen_those_who_spend_most_first():
    resources, spent = [], {}
    for number in range(10):
        for of_experiment in range(8 if number == 0 else 1 + number % 2):
            one = Resource(
                resource_type="instance", id=f"i-{number}{of_experiment}", region="us-east-1", state="running",
                experiment=f"speech-large-lr0_{number}", since=f"2026-11-2{number % 7}T10:00:00Z",
                created_by=f"member-{number % 4}@laptop",
                details={"type": "p4d.24xlarge" if number == 0 else "g5.xlarge", "market": "spot"},
            )  # fmt: skip
            resources.append(one)
            spent[one.id] = CostSummary("", 100.0, 0, 1.0 + number % 4, 0, 1)
    free = replace(resources[0], resource_type="security-group", id="sg-1", created_by="nobody@laptop")
    rows = usage_by_member([*resources, free], {**spent, "sg-1": CostSummary("", 0.0, 0, 0.0, 0, 1)})
    assert [(row.member[:8], row.instances, row.dollars_per_hour) for row in rows if row.experiment is None] == [
        ("member-3", 4, 16.0), ("member-1", 6, 12.0), ("member-0", 10, 10.0), ("member-2", 2, 6.0),
    ]  # fmt: skip
    columns, row = TABLES["member-usage"]
    lines = table_lines(columns, [row(one) for one in rows], 80)
    assert len(lines) == 2 + 4 + 10, lines
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[10].split()) == "speech-large-lr0_0 8 x p4d.24xlarge spot 11-20 10:00 8.00 800.00"


def test_what_has_no_price_is_unknown_and_is_not_in_the_sum(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["m5.large"]\nroot_volume = { size_gib = 75 }\n')
    assert lab.launch().code == 0
    (resource,) = lab.status()
    assert resource["unknown_prices"] == 1
    assert "0.01 + 1 unknown dollars an hour" in lab.run("status").out


def test_a_spot_instance_of_less_than_a_minute_costs_a_minute(lab, cloud):
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["spot"]\nroot_volume = { size_gib = 75 }\n'
    )
    assert lab.launch().code == 0
    assert lab.status()[0]["unknown_prices"] == 0
    assert lab.teardown().code == 0
    for seconds in (0, 7200):  # soon after, and for ever
        cloud.advance(seconds)
        charged = {e["resource_type"]: e for e in lab.run("cost", JSON="1").events if e["event"] == "charge-detail"}
        assert charged["instance"]["dollars"] is not None
    assert charged["instance"]["dollars"] == pytest.approx(0.42 / 60, rel=0.1)
