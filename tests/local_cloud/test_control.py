"""The local cloud's own door."""

import json
import urllib.error

import pytest


def ask(cloud, method, path, body=None):
    try:
        return 200, cloud.ask(method, path, body)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def test_the_scenario_is_replaced_and_read_back(cloud):
    ask(cloud, "POST", "scenario", {"pending": 3, "capacity": [{"region": "us-*"}]})
    ask(cloud, "POST", "scenario", {"capacity": [{"region": "eu-*", "calls": 2}]})
    scenario = ask(cloud, "GET", "scenario")[1]
    assert scenario["pending"] == 0
    assert [(rule["region"], rule["calls"], rule["available"]) for rule in scenario["capacity"]] == [("eu-*", 2, 0)]


@pytest.mark.parametrize(
    ("scenario", "named"),
    [
        ({"capactiy": []}, "capactiy"),
        ({"capacity": [{"kind": "g5"}]}, "capacity.0.kind"),
        ({"faults": [{"kind": "explosion"}]}, "faults.0.kind"),
        ({"pending": -1}, "pending"),
    ],
)
def test_what_it_does_not_know_it_refuses_by_name_and_keeps_its_scenario(cloud, scenario, named):
    cloud.scenario(pending=1)
    status, answer = ask(cloud, "POST", "scenario", scenario)
    assert status == 400
    assert answer["error"].startswith(named)
    assert ask(cloud, "GET", "scenario")[1]["pending"] == 1


@pytest.mark.parametrize(
    "body", [{"region": "us-east-1"}, {"region": "us-east-1", "instance": "i-1", "code": "Server.X"}]
)
def test_an_end_that_makes_no_sense_is_refused(cloud, body):
    status, answer = ask(cloud, "POST", "end", body)
    assert status == 400
    assert "instance" in answer["error"]


def test_an_unknown_path_is_not_found(cloud):
    assert ask(cloud, "GET", "wether")[0] == 404
