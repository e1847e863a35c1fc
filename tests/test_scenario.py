"""A launch in random scenario, over HTTP: what can be had is found, and nothing else stays alive."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab.config.lab_files import load_lab
from ec2lab.config.models import Experiment
from ec2lab.context import working_on
from ec2lab.errors import UserError
from ec2lab.events.launch import CapacityExhausted
from ec2lab.instances.deletion import delete_experiment
from ec2lab.launch import search_loop
from ec2lab.launch.launcher import start_instances
from ec2lab.session import Session
from tests.full import examples
from tests.live_resources import living_in

REGIONS = ("us-east-1", "us-west-2")
TYPES = ("p4d.24xlarge", "g5.12xlarge")
FOR_GOOD = ("VcpuLimitExceeded", "Unsupported", "OptInRequired")
NOW = ("InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "SpotMaxPriceTooLow")

rules = st.lists(
    st.fixed_dictionaries(
        {
            "region": st.sampled_from([*REGIONS, "*"]),
            "type": st.sampled_from([*TYPES, "*"]),
            "zone": st.sampled_from(["*", "*a", "*b"]),
            "code": st.sampled_from(FOR_GOOD + NOW),
            "calls": st.sampled_from([None, 1, 3]),
        }
    )
    | st.fixed_dictionaries(
        {"region": st.sampled_from(REGIONS), "type": st.sampled_from(TYPES), "late": st.just(True)}
    ),
    max_size=5,
)


@pytest.fixture
def session(lab, in_cloud_time):
    made = Session(lab.path, load_lab(lab.path), "launch")
    yield made
    made.close()


@given(rules)
@settings(max_examples=examples(6), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_any_scenario_an_instance_is_found_or_nothing_is_left(cloud, session, scenario):
    cloud.reset()
    cloud.scenario(capacity=scenario)
    events = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_loop, "pauses", lambda *_: iter([0.0]))  # two rounds, at once
        try:
            with working_on("demo"):
                (instance,) = start_instances(
                    session, "demo", Experiment(instance_types=list(TYPES)), events.append
                ).running
        except UserError:
            instance = None
    asked = cloud.calls("RunInstances")
    alive = [found["InstanceId"] for region in REGIONS for found in living_in(cloud, region, "instance")]
    assert alive == ([instance["InstanceId"]] if instance else [])
    volumes = sum(len(living_in(cloud, region, "volume")) for region in REGIONS)
    assert volumes == len(alive)

    def pool(call):
        return call["region"], call["params"]["InstanceType"], call["params"].get("Placement.AvailabilityZone")

    times = [sum(1 for call in asked if pool(call) == p) for p in {pool(call) for call in asked}]
    assert max(times, default=0) <= 2, "once in each round"
    gone_for_good = set()
    for call in asked:
        region, instance_type, _ = pool(call)
        assert (region, instance_type) not in gone_for_good
        assert (region, None) not in gone_for_good
        if call["code"] == "OptInRequired":
            gone_for_good.add((region, None))
        if call["code"] in ("VcpuLimitExceeded", "Unsupported"):
            gone_for_good.add((region, instance_type))
    with working_on("demo"):
        delete_experiment(session, "demo", lambda _: None)
    assert [living_in(cloud, region, kind) for region in REGIONS for kind in ("instance", "volume")] == [[]] * 4
    if instance is None:
        (end,) = [event for event in events if isinstance(event, CapacityExhausted)]
        refused = {(pool.region, pool.instance_type) for pool in end.rejections}
        died = {(event.region, event.instance_type) for event in events if getattr(event, "late", False)}
        answered = {(c["region"], c["params"]["InstanceType"]) for c in asked if c["code"] is not None} | died
        unasked = set(itertools.product(REGIONS, TYPES)) - refused
        assert answered == refused, "who refused was asked"
        assert all(any(region in why for why in end.exclusions) for region, _ in unasked)
