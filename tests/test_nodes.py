"""Several nodes: side by side or not at all, open to each other and to nobody else, told of each other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.runs.distributed_env import mpi_hostfile, node_environments
from tests.live_resources import living_in
from tests.waiting import in_quick_motion, wait_until

HERE = "us-east-1 us-west-2"
FOUR = 'instance_types = ["p4d.24xlarge", "g5.xlarge"]\nnodes = 4\n'


@pytest.fixture
def lab(lab):
    lab.write("experiments/four.toml", FOUR)
    return lab


def instances(cloud):
    found = [m for region in HERE.split() for m in living_in(cloud, region, "instance")]
    return [(m["InstanceType"], m["Placement"]["AvailabilityZone"]) for m in found]


def kinds(cloud):
    """What there is that an experiment owns, beside volumes and interfaces that go with their instances."""
    mine = [
        thing for thing in cloud.inventory() if thing["tags"].get("lab:experiment") and thing["state"] != "terminated"
    ]
    return sorted(thing["kind"] for thing in mine if thing["kind"] not in ("volume", "network-interface"))


def test_all_are_asked_for_at_once_in_one_group_and_zone_and_open_to_each_other(lab, cloud):
    ended = lab.launch("four")
    assert ended.code == 0, ended.err
    assert len(set(instances(cloud))) == 1
    assert len(instances(cloud)) == 4
    (asked,) = [call["params"] for call in cloud.calls("RunInstances")]
    assert (asked["MinCount"], asked["MaxCount"]) == ("4", "4")
    ec2 = cloud.client("ec2", "us-east-1")
    (group,) = ec2.describe_placement_groups()["PlacementGroups"]
    assert (asked["Placement.GroupName"], group["Strategy"]) == (group["GroupName"], "cluster")
    wanted = [{"Name": "tag:lab:experiment", "Values": ["four"]}]
    (own,) = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    assert own["GroupId"] in asked.values()
    for direction in ("IpPermissions", "IpPermissionsEgress"):
        within = [rule for rule in own[direction] if rule["UserIdGroupPairs"]]
        assert [(r["IpProtocol"], r["UserIdGroupPairs"][0]["GroupId"]) for r in within] == [("-1", own["GroupId"])]
    assert not [rule for rule in own["IpPermissions"] if rule["IpRanges"]], "nobody else is let in"
    (launched,) = [r["annotation"]["launched"] for r in lab.records() if "launched" in (r.get("annotation") or {})]
    assert len(launched) == 4


def test_a_teardown_leaves_neither_instances_nor_groups(lab, cloud):
    cloud.scenario(shutting_down=2)
    assert lab.launch("four").code == 0
    assert kinds(cloud) == ["instance"] * 4 + ["placement-group", "security-group"]
    assert lab.teardown("four").code == 0
    assert kinds(cloud) == []
    assert lab.teardown("four").code == 0


def test_three_are_none_and_the_next_pool_is_asked_for_all(lab, cloud):
    cloud.scenario(capacity=[
        {"region": "us-east-1", "type": "p4d.24xlarge", "available": 3},
        {"region": "us-east-1", "type": "g5.xlarge", "available": 2},
    ])  # fmt: skip
    assert lab.launch("four").code == 0
    assert {zone[:-1] for _, zone in instances(cloud)} == {"us-west-2"}
    assert len(instances(cloud)) == 4
    assert lab.teardown("four").code == 0
    assert kinds(cloud) == [], "the region that had too few keeps nothing either"


def test_in_vain_leaves_nothing(lab, cloud):
    cloud.scenario(capacity=[{"available": 3}])
    ended = lab.launch("four")
    assert ended.code == 1
    assert "no instance was available" in ended.error
    assert kinds(cloud) == []


def test_where_one_dies_while_it_starts_all_begin_elsewhere(lab, cloud):
    cloud.scenario(pending=1, capacity=[{"region": "us-east-1", "type": "p4d.24xlarge", "late": True, "available": 4}])
    ended = lab.launch("four")
    assert ended.code == 0, ended.err
    assert len(set(instances(cloud))) == 1
    assert instances(cloud)[0][0] == "g5.xlarge"
    assert len(instances(cloud)) == 4


def test_those_that_are_given_back_are_gone_before_their_group_is_asked_of_another_zone(lab, cloud):
    lab.write("experiments/four.toml", 'instance_types = ["g5.xlarge"]\nnodes = 2\nregions = ["us-east-1"]\n')
    cloud.scenario(pending=600)
    process = lab.start("launch", EXP="four")
    made = wait_until(lambda: living_in(cloud, "us-east-1", "instance"))
    (first,) = {instance["Placement"]["AvailabilityZone"] for instance in made}
    cloud.scenario(shutting_down=1, capacity=[{"region": "us-east-1", "zone": first}])
    cloud.end(made[0]["InstanceId"], "us-east-1", "Server.InsufficientInstanceCapacity")
    cloud.advance(600)
    with in_quick_motion(cloud):
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "deleting instance" in out
    assert len(instances(cloud)) == 2
    assert first not in {zone for _, zone in instances(cloud)}
    assert {call["code"] for call in cloud.calls("RunInstances")} <= {None, "InsufficientInstanceCapacity"}


def test_a_launch_after_one_that_was_cut_off_makes_no_second_groups(lab, cloud):
    cloud.scenario(faults=[{"action": "RunInstances", "code": "InvalidParameterValue", "message": "no"}])
    lab.write("plugins/kept.py", KEPT)
    assert lab.launch("four").code == 1
    assert kinds(cloud) == ["placement-group", "security-group"]
    cloud.scenario()
    (lab.path / "plugins/kept.py").unlink()
    assert lab.launch("four").code == 0
    assert kinds(cloud) == ["instance"] * 4 + ["placement-group", "security-group"]


KEPT = """
import ec2lab.launch.rollback as rollback


def nothing(session, name, report):
    pass


rollback.delete_experiment = nothing
"""
"""A launch that fails and can't take down what it made, as one that is killed."""


def asked_for(lab, text, name="other"):
    lab.write(f"experiments/{name}.toml", text)
    (request,) = [event for event in lab.run("plan", EXP=name, JSON="1").events if event["event"] == "planned-request"]
    return request["request"]


def test_a_type_that_has_an_adapter_gets_one_and_another_not(lab):
    (interface,) = asked_for(lab, FOUR)["NetworkInterfaces"]
    assert (interface["InterfaceType"], interface["DeviceIndex"], interface["NetworkCardIndex"]) == ("efa", 0, 0)
    assert "SecurityGroupIds" not in asked_for(lab, FOUR)
    assert "NetworkInterfaces" not in asked_for(lab, FOUR.replace('"p4d.24xlarge", ', ""))
    assert "NetworkInterfaces" not in asked_for(lab, 'instance_types = ["p4d.24xlarge"]\n'), (
        "alone, there is nobody to talk to"
    )


def test_a_type_whose_first_card_takes_no_adapter_is_launched_without(lab):
    lab.write("experiments/other.toml", 'instance_types = ["p6-b300.48xlarge"]\nregions = ["us-west-2"]\nnodes = 2\n')
    planned = lab.run("plan", EXP="other", JSON="1")
    (request,) = [event["request"] for event in planned.events if event["event"] == "planned-request"]
    assert "NetworkInterfaces" not in request
    assert "p6-b300.48xlarge in us-west-2: its first network card does not support EFA" in planned.err


@pytest.mark.parametrize("market", ["reservation:cr-0123456789abcdef0", "capacity-block:cr-0123456789abcdef0"])
def test_reserved_capacity_stands_where_it_was_reserved_and_in_no_group_of_ours(lab, cloud, market):
    kind = {"reservation": "default", "capacity-block": "capacity-block"}[market.partition(":")[0]]
    where = {"region": "us-east-1", "zone": "us-east-1a", "type": "p4d.24xlarge"}
    cloud.scenario(reservations=[{"id": market.partition(":")[2], "kind": kind, "total": 4, **where}])
    reserved = f'{FOUR}markets = ["{market}"]\nzones = ["us-east-1a"]\nregions = ["us-east-1"]\n'
    assert asked_for(lab, reserved)["Placement"] == {"AvailabilityZone": "us-east-1a"}


def test_in_a_subnet_the_adapter_is_in_it(lab, cloud):
    (subnet, *_) = cloud.client("ec2", "us-east-1").describe_subnets()["Subnets"]
    lab.write(
        "experiments/four.toml",
        f'{FOUR}regions = ["us-east-1"]\nsubnets = {{ us-east-1 = ["{subnet["SubnetId"]}"] }}\n',
    )
    assert lab.launch("four").code == 0
    assert {zone for _, zone in instances(cloud)} == {subnet["AvailabilityZone"]}
    (asked,) = [call["params"] for call in cloud.calls("RunInstances")]
    assert asked["NetworkInterface.1.SubnetId"] == subnet["SubnetId"]
    assert asked["NetworkInterface.1.InterfaceType"] == "efa"
    assert "SubnetId" not in asked


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('instance_types = ["t3.large"]\nnodes = 2', "t3.large can't be in a cluster placement group"),
        (
            'instance_types = ["g5.xlarge"]\nnodes = 2\non_interruption = "relaunch"',
            "is for one instance; nodes work together",
        ),
        ('instance_types = ["g5.xlarge"]\nnodes = 0', "nodes"),
    ],
)
def test_what_could_not_be_is_refused_before_anything_is_made(lab, cloud, lines, said):
    lab.write("experiments/four.toml", f"{lines}\n")
    ended = lab.launch("four")
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls() == []


def test_count_beside_nodes_is_a_mistake(lab, cloud):
    ended = lab.launch("four", COUNT="2")
    assert "COUNT: four has nodes = 4, which sets the number; remove COUNT" in ended.error
    assert cloud.calls("RunInstances") == []


def test_an_audit_finds_a_group_that_nobody_remembers(lab, cloud):
    assert lab.launch("four").code == 0
    lab.registry.write_text(json.dumps([r for r in lab.records() if "registry" in (r.get("annotation") or {})]))
    ended = lab.run("audit", JSON="1", REGIONS=HERE)
    assert ended.code == 3
    assert {e["resource_type"] for e in ended.events if e.get("finding") == "orphan"} >= {
        "placement-group",
        "security-group",
        "instance",
    }
    assert lab.run("audit", FIX="1", REGIONS=HERE).code == 3
    running = [e["id"] for e in ended.events if e.get("resource_type") == "instance"]
    assert lab.run("audit", FIX="1", REGIONS=HERE, ONLY=" ".join(running)).code == 3
    assert lab.run("audit", FIX="1", REGIONS=HERE).code == 0
    assert kinds(cloud) == []


addresses = st.lists(st.ip_addresses(v=4).map(str), min_size=2, max_size=8, unique=True)


@given(addresses, st.randoms())
def test_every_node_has_a_rank_of_its_own_and_all_agree_on_the_rest(found, random):
    nodes = [
        {"InstanceId": f"i-{rank:x}", "AmiLaunchIndex": rank, "LaunchTime": "now", "PrivateIpAddress": address}
        for rank, address in enumerate(found)
    ]
    shuffled = random.sample(nodes, len(nodes))
    told = node_environments("four", shuffled)
    assert [told[node["InstanceId"]]["NODE_RANK"] for node in nodes] == [str(rank) for rank in range(len(nodes))]
    assert [told[node["InstanceId"]]["NODE_ADDRESS"] for node in nodes] == found
    assert {one["RAY_ADDRESS"] for one in told.values()} == {f"{found[0]}:6379"}
    assert {one["PET_RDZV_ENDPOINT"] for one in told.values()} == {f"{found[0]}:29500"}
    assert {one["NODE_ADDRESSES"] for one in told.values()} == {" ".join(found)}
    assert mpi_hostfile(shuffled).split() == found


def test_an_instance_alone_is_told_nothing():
    alone = {"InstanceId": "i-1", "AmiLaunchIndex": 0, "LaunchTime": "now", "PrivateIpAddress": "10.0.0.1"}
    assert node_environments("demo", [alone]) == {"i-1": {}}
