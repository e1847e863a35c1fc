"""botocore's data, cut down at set-up: quicker, and not to be told from the whole of it."""

import json
import shutil

import boto3
import botocore
import botocore.session
import pytest
from botocore.config import Config
from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.aws import botocore_cache
from ec2lab.aws.botocore_cache import TrimmedLoader
from ec2lab.aws.botocore_cache_build import POLICIES, cut, operations_allowed
from ec2lab.config.lab_files import load_lab
from ec2lab.session import Session

ALLOWED = operations_allowed(json.loads(policy.read_text()) for policy in POLICIES)
CUT = sorted(ALLOWED.keys() & set(Loader().list_available_services("service-2")) - {"s3"})
"""botocore adds to its model of s3 once it is read, so that one stays whole."""
EC2 = "ec2/2016-11-15/service-2"
WHOLE = ServiceModel(Loader().load_service_model("ec2", "service-2"), "ec2")


@pytest.fixture(scope="module")
def cut_down(tmp_path_factory):
    """What set-up makes of the installed botocore's data."""
    directory = tmp_path_factory.mktemp("botocore")
    cut(directory / botocore.__version__, ALLOWED)
    return directory


@pytest.fixture
def no_whole(monkeypatch):
    """No one may read what was cut: whoever does fails."""
    reading = Loader.load_data_with_path

    def read(self, name):
        assert not name.endswith(("service-2", "endpoints")), f"the whole of {name} was read"
        return reading(self, name)

    monkeypatch.setattr(Loader, "load_data_with_path", read)


def client(loader, service="ec2", region="eu-west-1", url=None, signing_key="b"):
    own = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    own.register_component("data_loader", loader)
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    session = boto3.Session("a", signing_key, botocore_session=own)
    return session.client(service, region, endpoint_url=url, config=config)


def model(directory, service="ec2"):
    return ServiceModel(TrimmedLoader(directory=directory).load_service_model(service, "service-2"), service)


def is_whole(loader):
    """Say whether EC2's model is botocore's own: only that one has its documentation."""
    return "documentation" in loader.load_data(EC2)["operations"]["RunInstances"]


def described(shape, seen=None):
    """Return all that is said of a shape and those in it, each once, but for documentation."""
    seen = set() if seen is None else seen
    if shape is None or shape.name in seen:
        return shape and shape.name
    inner = [shape.name, shape.type_name, shape.serialization, shape.metadata]
    seen.add(shape.name)
    members = getattr(shape, "members", {}).items() if shape.type_name == "structure" else ()
    inner += [[name, described(member, seen)] for name, member in members]
    inner += [described(getattr(shape, name), seen) for name in ("member", "key", "value") if hasattr(shape, name)]
    return inner


def operation(service_model, name):
    found = service_model.operation_model(name)
    return [found.http, described(found.input_shape), described(found.output_shape), found.idempotent_members]


@pytest.mark.parametrize("service", CUT)
def test_no_call_that_the_policy_allows_needs_what_was_cut(cut_down, service, no_whole):
    of_service = model(cut_down, service)
    called = ALLOWED[service] & set(of_service.operation_names)
    for name in called:
        assert operation(of_service, name)
    assert client(TrimmedLoader(directory=cut_down), service)


def test_a_refusal_by_aws_needs_nothing_of_what_was_cut(cut_down, no_whole):
    assert model(cut_down).shape_for_error_code("InsufficientInstanceCapacity") is None
    assert model(cut_down, "dynamodb").shape_for_error_code("ConditionalCheckFailedException")
    assert client(TrimmedLoader(directory=cut_down), "dynamodb").exceptions.TransactionCanceledException


@pytest.fixture(scope="module")
def ec2(cut_down):
    return model(cut_down)


@given(st.sampled_from(WHOLE.operation_names))
def test_any_operation_is_described_as_botocore_describes_it(ec2, name):
    assert operation(ec2, name) == operation(WHOLE, name)


def test_a_plugin_calls_what_the_lab_never_does(cut_down, cloud):
    ec2 = client(TrimmedLoader(directory=cut_down), url=cloud.url, signing_key=cloud.secret)
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    assert vpc["CidrBlock"]
    assert [page["Subnets"] for page in ec2.get_paginator("describe_subnets").paginate(MaxResults=5)]
    ec2.get_waiter("vpc_available").wait(VpcIds=[vpc["VpcId"]])
    assert "Action=DescribeVpcs" in ec2.generate_presigned_url("describe_vpcs")


@pytest.mark.parametrize("service", ["ec2", "s3", "iam", "sts", "route53", "lambda", "pricing"])
@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1"])
def test_every_service_is_where_botocore_says(cut_down, service, region):
    whole, ours = (client(loader, service, region) for loader in (Loader(), TrimmedLoader(directory=cut_down)))
    assert ours.meta.endpoint_url == whole.meta.endpoint_url
    assert ours.meta.partition == whole.meta.partition


@pytest.mark.parametrize("service", ["ec2", "lambda"])
def test_a_session_knows_all_services_and_their_regions(cut_down, service):
    known = []
    for loader in (Loader(), TrimmedLoader(directory=cut_down)):
        session = botocore.session.Session()
        session.register_component("data_loader", loader)
        known.append([session.get_available_services(), session.get_available_regions(service)])
    assert known[0] == known[1]


def broken(path, damage):
    content = path.read_bytes()
    path.unlink()
    match damage:
        case "cut off":
            path.write_bytes(content[: len(content) // 2])
        case "changed":
            path.write_bytes(content.replace(b"RunInstances", b"RunInstancez"))
        case "empty":
            path.touch()
        case "a directory":
            path.mkdir()


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "a directory", "gone"])
def test_where_a_model_is_damaged_botocores_own_is_read(cut_down, tmp_path, damage):
    shutil.copytree(cut_down, tmp_path, dirs_exist_ok=True)
    assert not is_whole(TrimmedLoader(directory=tmp_path))
    broken(tmp_path / botocore.__version__ / f"{EC2}.json", damage)
    assert is_whole(TrimmedLoader(directory=tmp_path))


@pytest.mark.parametrize("name", ["endpoints", "services"])
def test_where_endpoints_or_the_list_of_services_are_damaged_botocores_own_are_read(cut_down, tmp_path, name):
    shutil.copytree(cut_down, tmp_path, dirs_exist_ok=True)
    broken(tmp_path / botocore.__version__ / f"{name}.json", "cut off")
    assert client(TrimmedLoader(directory=tmp_path)).meta.endpoint_url == "https://ec2.eu-west-1.amazonaws.com"


def test_what_was_made_for_another_botocore_is_not_read(cut_down, monkeypatch):
    assert not is_whole(TrimmedLoader(directory=cut_down))
    monkeypatch.setattr(botocore, "__version__", "1.0.0")
    assert is_whole(TrimmedLoader(directory=cut_down))


def test_the_users_own_models_go_before_ours(cut_down, tmp_path):
    own = tmp_path / "models" / EC2
    own.parent.mkdir(parents=True)
    own.with_name("service-2.json").write_text('{"operations": {"RunInstances": {"documentation": "mine"}}}')
    assert TrimmedLoader([str(tmp_path / "models")], cut_down).load_data(EC2)["operations"].keys() == {"RunInstances"}


def test_the_labs_own_clients_read_what_was_cut(lab, cut_down, monkeypatch):
    monkeypatch.setattr(botocore_cache, "DIRECTORY", cut_down)
    session = Session(lab.path, load_lab(lab.path), "test")
    ec2 = session.cloud.ec2("us-east-1")
    session.close()
    assert not ec2.meta.service_model.operation_model("RunInstances").documentation
