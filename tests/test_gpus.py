"""GPUs are found by the names that people use, with what they cost, in `make gpus` and in an experiment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.gpu import GpuRequest, nominal_gb
from ec2lab.errors import UserError
from ec2lab.launch.gpus import GpuType, RegionGpus, wanted_types
from tests.iam.evaluation import several
from tests.iam.policies import DAILY

REGIONS = ["us-east-1", "us-west-2"]


def listed(lab, code=0, **variables):
    """What `make gpus` lists, by instance type."""
    ended = lab.run("gpus", JSON="1", **variables)
    assert ended.code == code, ended.err
    return {one["instance_type"]: one for one in ended.events if one["event"] == "gpu-instance-type"}


def price(told):
    return min((one["dollars_per_hour"] or float("inf") for one in told["offers"]), default=float("inf"))


def test_each_type_is_listed_with_its_gpus_and_prices_the_cheapest_first(lab):
    found = listed(lab, GPU="a100", COUNT="8")
    assert list(found) == ["p4d.24xlarge", "p4de.24xlarge"]
    one = found["p4d.24xlarge"]
    assert (one["gpu"], one["gpus"], one["gpu_memory_gb"], one["vcpus"], one["memory_gib"]) == ("A100", 8, 40, 96, 1152)
    assert (one["network"], one["efa_interfaces"]) == ("4x 100 Gigabit", 4)
    offers = {(offer["region"], offer["market"]): offer for offer in one["offers"]}
    assert set(offers) == {(region, market) for region in REGIONS for market in ("on-demand", "spot")}
    assert offers["us-east-1", "on-demand"]["dollars_per_hour"] == pytest.approx(21.957642)
    assert offers["us-east-1", "spot"]["dollars_per_hour"] == pytest.approx(21.957642 * 0.4, rel=1e-3)
    assert "us-east-1c" in offers["us-east-1", "spot"]["zones"]
    every = [price(one) for one in listed(lab, MEMORY="48", REGIONS="us-east-1").values() if one["gpu"] == "L40S"]
    assert every == sorted(every)


def test_quotas_are_shown_with_what_of_them_is_in_use(lab, cloud):
    cloud.scenario(quotas={"Running On-Demand G and VT instances": 100, "All P5 Spot Instance Requests": 0})
    ec2 = cloud.client("ec2", "us-west-2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="g5.12xlarge", MinCount=1, MaxCount=1)
    offers = listed(lab, GPU="A10G:1")["g5.xlarge"]["offers"]
    told = {one["region"]: (one["quota_vcpus"], one["used_vcpus"]) for one in offers if one["market"] == "on-demand"}
    assert told == {"us-east-1": (100, 0), "us-west-2": (100, 48)}
    assert "52/100" in lab.run("gpus", GPU="A10G:1").out
    (h100,) = listed(lab, GPU="H100:8", REGIONS="us-east-1").values()
    assert [one["quota_vcpus"] for one in h100["offers"] if one["market"] == "spot"] == [0]


def test_the_table_fits_a_terminal_shows_how_likely_spot_succeeds_and_takes_no_more_rights_than_launches(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-west-2", "market": "spot"}])
    ended = lab.at_terminal("gpus", columns=80)
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "us-east-1: 9 of 10" in ended.out
    assert "us-west-2: 1 of 10" in ended.out
    assert "0.125, 3 GB" in ended.out
    assert "placement" not in lab.run("gpus", GPU="A100").out  # two types would score low whatever the capacity
    allowed = {action for statement in DAILY for action in several(statement["Action"])}
    called = {f"{call['service']}:{call['action']}" for call in cloud.calls()}
    assert {"ec2:GetSpotPlacementScores", "pricing:GetProducts"} <= called <= allowed


def test_a_region_that_refuses_is_named_and_hides_no_other(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\nregion_timeout = "3s"\n')
    cloud.scenario(faults=[{"region": "us-east-1", "action": "DescribeInstanceTypes", "code": "UnauthorizedOperation"}])
    ended = lab.run("gpus", GPU="L4", JSON="1")
    assert ended.code == 3
    (unseen,) = [one for one in ended.events if one["event"] == "regions-unavailable"]
    assert unseen["regions"] == ["us-east-1"]
    assert "UnauthorizedOperation" in unseen["reason"]
    assert {offer["region"] for offer in listed(lab, 3, GPU="L4")["g6.xlarge"]["offers"]} == {"us-west-2"}


def test_what_no_type_has_is_refused_with_what_there_is():
    from moto.ec2.models.instance_types import INSTANCE_TYPES  # takes half a second, in this test's process alone

    types = {name: GpuType.described(told) for name, told in INSTANCE_TYPES.items() if "GpuInfo" in told}
    for gpu, said in {
        "A10": "GPU: no instance type in us-east-1 has a GPU 'A10' (did you mean \"A10G\"?)",
        "quadro": "(known: A100, A10G, B200,",
        "A100-60GB": "GPU: A100 has 40 or 80 GB, not 60",
        "A100:4": "GPU: A100 comes by 8 (p4d.24xlarge) to an instance, not by 4",
    }.items():
        with pytest.raises(UserError) as refused:
            wanted_types({"us-east-1": RegionGpus(types, {})}, [GpuRequest.parse(gpu)], "GPU")
        assert said in str(refused.value)


def test_a_wrong_value_is_one_line(lab):
    assert "GPU: 'A100:' is not a GPU (try \"A100:8\"" in lab.run("gpus", GPU="A100:").error
    said = "COUNT: no instance type in us-east-1, us-west-2 has such GPUs"
    assert said in lab.run("gpus", GPU="L4", COUNT="3").error
    assert lab.run("gpus", COUNT="x").error == "error: COUNT: 'x' is not a number (try COUNT=1)"


@pytest.mark.parametrize(
    ("asked", "memory_mib", "count", "fits"),
    [
        ("A100-80GB:8", 81920, 8, True), ("A100-80GB:8", 40960, 8, False), ("a100-40gb", 40960, 8, True),
        ("A10G-24GB", 22888, 1, True), ("B200-180GB:8", 183359, 8, True), ("V100-32GB:8", 32768, 8, True),
        ("L4", 2861, 0.125, False), ("L4:0.125", 2861, 0.125, True), ("L4:1", 22888, 4, False), ("L4", 22888, 4, True),
    ],
)  # fmt: skip
def test_a_request_fits_what_is_sold_under_its_name(asked, memory_mib, count, fits):
    request = GpuRequest.parse(asked)
    assert (request.has_memory(memory_mib) and request.has_count(count)) is fits


@given(st.integers(1, 16), st.sampled_from(["RTX PRO 4500", "T4g", "L40S"]), st.sampled_from([" ", "-", "", "_"]))
def test_capitals_spaces_and_dashes_in_a_name_make_no_difference(count, name, between):
    request = GpuRequest.parse(f"{name.replace(' ', between).lower()}:{count}")
    assert request.is_called(name)
    assert request.count == count


def test_a_gpu_is_shown_by_the_size_that_it_is_sold_by():
    assert [nominal_gb(mib) for mib in (40960, 22888, 45776, 144384, 2861)] == [40, 24, 48, 141, 3]


def experiment(lab, gpu, more=""):
    lab.write("experiments/demo.toml", f"gpu = {gpu}\n{more}")


def test_an_experiment_that_asks_for_gpus_is_launched_on_the_cheapest_and_again_on_the_same(lab, cloud):
    experiment(lab, '["H100:8", "A100:8"]', "matrix = { seed = [1] }\n")
    planned = lab.run("plan", EXP="demo", JSON="1").events
    (selection,) = [one for one in planned if one["event"] == "gpu-selection"]
    types = ["p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge"]
    assert selection["instance_types"] == types
    ended = lab.launch("demo", PARAMS="seed=1")
    assert ended.code == 0, ended.err
    (run,) = [one["annotation"]["run"] for one in lab.records() if "run" in (one.get("annotation") or {})]
    assert (run["gpu"], run["experiment"]["instance_types"]) == (["H100:8", "A100:8"], types)
    assert "gpu" not in run["experiment"]
    experiment(lab, '"T4:1"')
    assert lab.run("rerun", EXP="demo", NEW_EXP="again").code == 0
    assert {one["type"] for one in lab.status()} == {"p4d.24xlarge"}


def test_a_sweep_finds_the_gpus_of_its_trials_once(lab, cloud):
    experiment(lab, '"A100-80GB:8"', "matrix = { seed = [1, 2] }\n")
    assert lab.run("sweep", EXP="demo").code == 0
    assert {one["type"] for one in lab.status()} == {"p4de.24xlarge"}
    assert len([c for c in cloud.calls("DescribeInstanceTypes") if c["region"] == "us-west-2"]) <= 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('gpu = "A10O:8"', "experiments/demo.toml: gpu: no instance type in us-east-1, us-west-2 has a GPU"),
        ('gpu = "A100:8:2"', "experiments/demo.toml: gpu[0]: 'A100:8:2' is not a GPU"),
        ('gpu = "T4"\ninstance_types = ["g5.xlarge"]', "gpu: instance_types are named too; leave one of the two out"),
    ],
)
def test_a_wrong_gpu_is_refused_before_anything_is_made(lab, cloud, text, said):
    lab.write("experiments/demo.toml", text)
    assert said in lab.run("launch", EXP="demo").error
    assert not cloud.calls("RunInstances")


def test_the_doctor_checks_the_types_that_gpus_stand_for(lab, cloud):
    experiment(lab, '"A100:8"')
    cloud.scenario(quotas={"Running On-Demand P instances": 8})
    found = [one for one in lab.run("doctor", JSON="1").events if one.get("finding") == "quota-insufficient"]
    assert ["1 x p4d.24xlarge or p4de.24xlarge" in one["message"] for one in found] == [True]
    experiment(lab, '"A1000:8"')
    assert "has a GPU 'A1000'" in lab.run("doctor").out
