"""A budget refuses what would pass it, before anything is asked of AWS, and says by how much."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ec2lab.config.models import Experiment, Lab
from ec2lab.costs.budget import forecast
from ec2lab.costs.budget_guard import Spending, budgets
from ec2lab.costs.price_book import PriceBook
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from tests.recorded import Prices, acted, disk, launched, note, priced

LISTED = {
    "instance us-east-1 g5.xlarge": 1.0,
    "instance us-east-1 g5.12xlarge": 5.0,
    "size us-east-1 gp3": 0.073,
    "address us-east-1": 0.005,
}
BOOK = PriceBook(Prices({**LISTED, "spot g5.xlarge": 0.4}))
LAB = Lab(regions=["us-east-1"], root_volume={"size_gib": 100})
NOW = datetime(2026, 10, 20, tzinfo=UTC)


def experiment(**written):
    return Experiment(**{"instance_types": ["g5.xlarge"], "ttl": "10h", **written})


def test_a_launch_is_reckoned_by_the_dearest_it_may_get_over_its_ttl():
    scratch = [{"size_gib": 1000, "mount": "/s"}]
    dear = forecast(BOOK, LAB, experiment(instance_types=["g5.xlarge", "g5.12xlarge"], scratch=scratch), 3)
    # An hour: the instance, its address, 1,100 GiB at 0.073 a month of 730 hours.
    assert dear.dollars == pytest.approx(3 * 10 * (5.0 + 0.005 + 0.11))
    assert (dear.unknown, dear.is_assumed) == (0, False)
    assert forecast(BOOK, LAB, experiment(markets=["spot"]), 1).dollars == pytest.approx(10 * (0.4 + 0.015))


def test_without_a_ttl_a_day_is_reckoned_with_and_said():
    found = forecast(BOOK, LAB, experiment(ttl=None), 1)
    assert found.dollars == pytest.approx(24 * 1.015)
    assert "per day (no ttl)" in str(found)


def test_prices_that_are_not_known_are_counted():
    assert forecast(BOOK, LAB, experiment(instance_types=["x9.huge"]), 2).unknown == 2
    of_image = forecast(BOOK, Lab(regions=["us-east-1"]), experiment(), 1)
    assert (of_image.unknown, of_image.unpriced) == (1, ("root volume",)), "its size is the image's"
    described = forecast(BOOK, Lab(regions=["us-east-1"]), experiment(), 1, {"root volume": 100})
    assert described == forecast(BOOK, LAB, experiment(), 1)


def spending(*records, now=NOW):
    made = Spending.from_records(list(records), priced(BOOK), now)
    named = [note("2026-09-01T00:00:00Z", experiment=f"speech-{n}", run={"from": "speech"}) for n in (1, 2)]
    return replace(made, history=History(named))


def test_the_labs_budget_is_a_months_and_an_experiments_is_all_of_its_files_launches():
    ttl = {"run": {"experiment": {"ttl": "30h"}}}
    records = [
        launched("2026-09-30T22:00:00Z", "i-a", experiment="speech-1"),
        acted("2026-10-01T03:00:00Z", "TerminateInstances", "i-a"),
        note("2026-10-19T20:00:00Z", experiment="speech-2", **ttl),
        launched("2026-10-19T20:00:00Z", "i-b", experiment="speech-2"),
        launched("2026-10-19T23:00:00Z", "i-c", experiment="vision"),
    ]
    of_lab, own = budgets(spending(*records), 100.0, "speech", experiment(budget=40.0))
    assert (of_lab.spent, of_lab.promised) == (pytest.approx(3 + 4 + 1), pytest.approx(26 + 23))
    assert (own.spent, own.promised) == (pytest.approx(5 + 4), pytest.approx(26))
    ahead = forecast(BOOK, LAB, experiment(), 1)
    assert of_lab.over(ahead) < 0
    assert own.over(ahead) == pytest.approx(9 + 26 + 10.15 - 40)
    over_budget_message = own.over_budget_message("speech-3", ahead)
    assert over_budget_message.startswith(
        "experiments/speech.toml: budget: speech-3 would be over budget by $5.15: limit $40.00 in all"
    )


def asked(time, token, count=1, *, event=Event.INTENT, experiment="speech-1", **more):
    """A request for instances, or what came of it, on record."""
    request = {
        "InstanceType": "g5.xlarge", "MaxCount": count, "ClientToken": token, "InstanceMarketOptions": {
            "MarketType": "spot"
        }, "BlockDeviceMappings": [disk("/dev/sda1", 100)], "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "lab:experiment", "Value": experiment}]}
        ],
    }  # fmt: skip
    return Record(
        event=event, id=more.pop("id", token), time=time, operation="RunInstances", service="ec2", request=request,
        region="us-east-1", experiment=experiment, actor="alice@desk:7", **more,
    )  # fmt: skip


AT = "2026-10-19T22:00:00Z"
LOST = {"code": "ConnectionClosedError", "message": "", "http_status": None}
REFUSED = {"code": "InvalidParameterValue", "message": "", "http_status": 400}


@pytest.mark.parametrize(
    ("after", "counted"),
    [
        ([], 2),
        ([asked(AT, "t", 2, id="again")], 2),
        ([asked(AT, "t", 2, event=Event.ERROR, id="e", parent_id="t", error=LOST)], 2),
        ([asked(AT, "t", 2, event=Event.ERROR, id="e", parent_id="t", error=REFUSED)], 0),
        ([note(AT, resolved=["t"], experiment="speech-1")], 0),
    ],
)
def test_a_launch_that_was_never_answered_counts_as_if_it_ran_until_it_is_known(after, counted):
    run = note(AT, experiment="speech-1", run={"experiment": {"ttl": "10h"}})
    found = spending(run, asked(AT, "t", 2), *after)
    of_lab, own = budgets(found, 100.0, "speech", experiment(budget=40.0))
    hourly = counted * 1.01  # the instance at its price on demand, and its volume
    assert (of_lab.spent, own.spent) == (pytest.approx(2 * hourly, rel=0.01), pytest.approx(2 * hourly, rel=0.01))
    assert own.promised == pytest.approx(8 * hourly, rel=0.01)
    (resumed,) = budgets(found.without_unanswered({"speech-1"}), None, "speech", experiment(budget=40.0))
    assert (resumed.spent, resumed.promised) == (0, 0), "a launch of its own resolves it"


def test_what_other_launches_of_this_process_are_about_to_cost_counts():
    ahead = forecast(BOOK, LAB, experiment(), 1)
    of_lab, own = budgets(spending(), 100.0, "speech", experiment(budget=40.0), [("speech", ahead), ("vision", ahead)])
    assert (of_lab.promised, own.promised) == (pytest.approx(20.3), pytest.approx(10.15))


# 10 x (0.085 + 0.005 + 8 / 730) = 1.01
CHEAP = 'instance_types = ["c6i.large"]\nttl = "10h"\nroot_volume = { size_gib = 100 }\n'


def test_a_launch_that_would_pass_it_is_refused_by_how_much_and_aws_is_asked_for_nothing(lab, cloud):
    lab.write("experiments/demo.toml", f"{CHEAP}budget = 0.5\n")
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 1
    assert "experiments/demo.toml: budget: demo would be over budget by $0.51: limit $0.50 in all" in ended.error
    assert {call["action"] for call in cloud.calls()} <= {"GetProducts"}
    assert "demo would be over budget" in lab.run("history", EXP="demo").out
    told = lab.run("plan", EXP="demo")
    assert "cost: up to $1.01 over its ttl of 10 h" in told.out
    assert "over its ttl of 10 h" in told.out
    assert "over by $0.51: a launch is refused" in told.out
    lab.write("experiments/demo.toml", f"{CHEAP}budget = 1.2\n")
    assert lab.launch().code == 0
    (first,) = [e for e in lab.run("plan", EXP="demo", JSON="1").events if e["event"] == "budget-usage"]
    assert first["promised"] == pytest.approx(1.01, abs=0.01)


def test_an_instance_that_ended_by_itself_makes_way_for_no_other_past_the_budget(lab, cloud):
    lab.write("experiments/demo.toml", f"{CHEAP}budget = 1.2\n")
    assert lab.launch().code == 0
    (call,) = cloud.calls("RunInstances")
    (instance,) = [one["id"] for one in cloud.inventory() if one["kind"] == "instance"]
    cloud.end(instance, call["region"], "Client.InstanceInitiatedShutdown")
    lab.write("experiments/demo.toml", f"{CHEAP}budget = 0.5\n")
    ended = lab.run("launch", EXP="demo")
    assert "demo would be over budget" in ended.error
    assert len(cloud.calls("RunInstances")) == 1
    lab.write("experiments/demo.toml", f"{CHEAP}budget = 1.2\n")
    assert lab.launch().code == 0, "what is gone is promised nothing any more"


def test_of_a_sweep_as_many_are_launched_as_the_months_budget_bears(lab, cloud):
    lab.write("lab.toml", 'budget = 2.1\nregions = ["us-east-1"]\n')
    lab.write("experiments/demo.toml", f"{CHEAP}matrix = {{ seed = [1, 2, 3] }}\n")
    ended = lab.run("sweep", EXP="demo", JSON="1")
    assert ended.code == 1
    assert "1 of 3 failed, the first: lab.toml: budget: demo-seed" in ended.error
    assert len(cloud.calls("RunInstances")) == 2


def test_prices_that_are_not_known_hold_nobody_up(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["m5.large"]\nbudget = 1\nroot_volume = { size_gib = 100 }\n')
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 0, ended.err
    assert "budget  $1.00 in all: $0.00 spent" in ended.out
