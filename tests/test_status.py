"""Status tells what lives, by the registry, and how it is, by AWS."""

import re


def test_nothing_lives_in_a_new_lab_and_no_registry_is_made(lab, cloud):
    ended = lab.run("status")
    assert (ended.code, ended.out) == (0, "nothing lives\n")
    assert cloud.calls() == []
    assert not lab.registry.exists()


def test_a_machine_is_shown_with_where_it_is_since_when_and_its_data(lab):
    lab.launch()
    (resource,) = lab.status()
    assert resource["experiment"] == "demo"
    assert resource["kind"] == "instance"
    assert resource["state"] == "running"
    assert resource["zone"] == "us-east-1a"
    assert resource["type"] == "p4d.24xlarge"
    assert resource["data"] == "speech@1 on /data"
    assert resource["since"].startswith("20")
    table = lab.run("status").out
    assert "demo" in table
    assert "speech@1 on /data" in table


def test_it_asks_aws_once_for_each_region_where_something_lives(lab, cloud):
    cloud.weather(capacity=[{"region": "us-east-1"}])
    lab.launch()
    before = len(cloud.calls())
    lab.status()
    assert [(c["action"], c["region"]) for c in cloud.calls()[before:]] == [
        ("DescribeInstances", "us-west-2"),
        ("DescribeVolumeStatus", "us-west-2"),
    ]


def test_a_spot_machine_that_aws_took_is_shown_with_its_reason(lab, cloud):
    lab.write("experiments/demo.toml", 'types = ["g5.xlarge"]\nmarkets = ["spot"]\n')
    lab.launch()
    (resource,) = lab.status()
    assert resource["market"] == "spot"
    cloud.end(resource["id"], "us-east-1", "Server.SpotInstanceTermination")
    (resource,) = lab.status()
    assert resource["state"] == "terminated (Server.SpotInstanceTermination)"


def test_what_aws_does_not_know_any_more_is_said_so_once_it_must_know(lab, cloud):
    lab.launch()
    cloud.reset()
    for year, state in (("2999", "not shown by AWS yet"), ("2001", "not in AWS any more")):
        lab.registry.write_text(re.sub(r'"2\d\d\d-', f'"{year}-', lab.registry.read_text()))
        (resource,) = lab.status()
        assert resource["state"] == state


def test_how_far_the_blocks_of_the_data_are_loaded_is_shown(lab, cloud):
    cloud.weather(initialization_seconds=3600)
    assert lab.launch().code == 0
    (resource,) = lab.status()
    assert int(resource["loaded"].rstrip("%")) < 5
    cloud.weather()
    assert lab.status()[0]["loaded"] == "100%"
