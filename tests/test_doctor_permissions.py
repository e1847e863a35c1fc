"""What the doctor says of permissions: by dry runs, by IAM's policy simulator, by reading, or that it can't be told."""

import base64
import json

import boto3
import pytest

from ec2lab.doctor.checks.permissions import Permissions
from ec2lab.doctor.context import open_readonly
from ec2lab.doctor.dry_runs import DRY_RUNS, MADE_UP, filled
from ec2lab.doctor.policy_simulation import Place, actions, statements
from ec2lab.doctor.runner import run_checks
from ec2lab.registry.recorder import changes_something
from tests.lab_directory import VARIABLES
from tests.local_cloud.requests import run


@pytest.fixture
def said(lab, monkeypatch):
    """What is said of the permissions of a lab in one region: finding -> its subjects, and its action if it has one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')

    def findings():
        with open_readonly(lab.path, "") as looked_at:
            found = [finding for _, finding in run_checks(looked_at, [Permissions()])]
        return {(f.diagnosis.id, dict(f.values).get("action", "")): f for f in found}

    return findings


def fault(action, code="UnauthorizedOperation", **more):
    return {"action": action, "code": code, **more}


def instance_of_the_lab(cloud):
    """An instance that carries the lab's tag."""
    ec2 = cloud.client("ec2", "us-east-1")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "lab:registry", "Value": "f" * 32}]}]
    run(ec2, TagSpecifications=tags)


def test_there_is_a_dry_run_for_each_call_of_ec2_that_the_policy_allows_and_botocore_takes_its_parameters():
    operations = {action.partition(":")[2] for action in actions("ec2")}
    changing = {operation for operation in operations if changes_something(operation)}
    assert set(DRY_RUNS) == changing - {"RunInstances"} | {"GetConsoleOutput", "GetSpotPlacementScores"}
    ec2 = boto3.client("ec2", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    names = {operation: method for method, operation in ec2.meta.method_to_api_mapping.items()}
    sent = []
    ec2.meta.events.register("before-send", lambda request, **_: sent.append(request) or _refusal())
    for operation in operations - {"RunInstances"}:
        request = filled(DRY_RUNS.get(operation, {}), {**MADE_UP, "region": "us-east-1"})
        with pytest.raises(ec2.exceptions.ClientError):  # and no ParamValidationError
            getattr(ec2, names[operation])(**request, DryRun=True)
    assert len(sent) == len(operations) - 1
    assert all("DryRun=true" in str(request.body) for request in sent)


def _refusal():
    from botocore.awsrequest import AWSResponse

    class Raw:
        def stream(self):
            yield b"<Response><Errors><Error><Code>DryRunOperation</Code></Error></Errors></Response>"

    return AWSResponse("https://ec2", 412, {}, Raw())


def test_each_statement_is_asked_about_as_the_policy_words_it_in_the_labs_own_account_table_and_bucket():
    place = Place("111122223333", "eu-west-1", "speech", "speech-runs", "f" * 32)
    asked = [(statement.actions, statement.question(place)) for statement in statements()]
    by_action = {action: question for named, question in asked for action in named}
    grant = by_action["kms:CreateGrant"]["ContextEntries"]
    assert grant == [
        {"ContextKeyName": "kms:GrantIsForAWSResource", "ContextKeyType": "boolean", "ContextKeyValues": ["true"]},
        {"ContextKeyName": "kms:ViaService", "ContextKeyType": "string",
         "ContextKeyValues": ["ec2.eu-west-1.amazonaws.com"]}
    ]  # fmt: skip
    assert by_action["dynamodb:PutItem"]["ResourceArns"] == ["arn:aws:dynamodb:eu-west-1:111122223333:table/speech"]
    assert by_action["s3:GetObject"]["ResourceArns"][0] == "arn:aws:s3:::speech-runs"
    assert "ResourceArns" not in by_action["ec2:TerminateInstances"]
    tag = {"ContextKeyName": "aws:ResourceTag/lab:registry", "ContextKeyType": "string", "ContextKeyValues": ["f" * 32]}
    assert by_action["ec2:TerminateInstances"]["ContextEntries"] == [tag], "a policy may name the registry"
    absent = [q for _, q in asked if "lab:dataset" in str(q)]
    assert [e["ContextKeyName"] for q in absent for e in q["ContextEntries"]] == ["aws:ResourceTag/lab:dataset"]
    copied = [arn for named, q in asked if "ec2:CopySnapshot" in named for arn in q["ResourceArns"]]
    assert copied == ["arn:aws:ec2:eu-west-1::snapshot/*", "arn:aws:ec2:eu-west-1::snapshot/snap-0123456789abcdef0"]
    tagging = [entry for named, q in asked if "ec2:CreateTags" in named for entry in q.get("ContextEntries", ())]
    marks = [set(entry["ContextKeyValues"]) for entry in tagging if entry["ContextKeyType"] == "stringList"]
    assert {"lab:deletion-policy", "lab:retained", "lab:retain-reason", "lab:retain-until"} in marks


def test_what_is_refused_of_what_would_be_made_is_wrong_in_words_that_aws_hides(said, cloud):
    context = {"principal": {"arn": "alice"}, "action": "ec2:RunInstances", "resource": "r"}
    reason = base64.b64encode(json.dumps({"context": context, "explicitDeny": True}).encode()).decode()
    encoded = f"Encoded authorization failure message: {reason}"
    cloud.scenario(faults=[fault("RunInstances", message=encoded), fault("CreateVolume")])
    found = said()
    assert {action for identity, action in found if identity == "permission-denied"} == {
        "ec2:RunInstances",
        "ec2:CreateVolume",
    }
    launch = found["permission-denied", "ec2:RunInstances"]
    assert launch.text == (
        "ec2:RunInstances is not allowed in us-east-1: alice may not ec2:RunInstances on r: an explicit deny"
    )
    assert "docs/iam-policy.json" in launch.remedy


def test_a_refusal_about_a_thing_that_does_not_exist_says_nothing_and_the_simulator_is_asked(lab, said, cloud):
    cloud.scenario(faults=[fault("TerminateInstances"), fault("StartSnapshot", "AccessDeniedException")])
    found = said()
    assert found["permission-denied-by-simulation", ""].subjects == ("ec2:TerminateInstances",)
    assert found["dataset-permission-denied", ""].subjects == ("ebs:StartSnapshot",)
    assert "docs/iam-policy-data.json" in found["dataset-permission-denied", ""].remedy
    cloud.scenario()
    instance_of_the_lab(cloud)
    cloud.scenario(faults=[fault("TerminateInstances")])
    assert ("permission-denied", "ec2:TerminateInstances") in said(), "an instance of the lab's own leaves no doubt"


def test_where_the_simulator_may_not_be_asked_reading_calls_tell_and_the_rest_is_said_to_be_open(said, cloud):
    refusals = [fault("SimulatePrincipalPolicy", "AccessDenied"), fault("GetProducts", "AccessDeniedException")]
    cloud.scenario(faults=refusals)
    found = said()
    assert found["optional-permission-denied", ""].subjects == ("pricing:GetProducts",)
    unknown = found["permission-unknown", ""].subjects
    assert {"ebs:StartSnapshot", "ec2:TerminateInstances"} <= set(unknown)
    told = {"servicequotas:ListServiceQuotas", "ssm:GetParameters", "ec2:DescribeInstances", "ec2:CreateVolume"}
    assert not told & set(unknown)
    assert told <= set(found["allowed", ""].subjects)


def test_volumes_are_tried_in_a_zone_that_aws_names(said, cloud):
    assert "ec2:CreateVolume" in said()["allowed", ""].subjects
    zones = {
        zone["ZoneName"] for zone in cloud.client("ec2", "us-east-1").describe_availability_zones()["AvailabilityZones"]
    }
    assert {call["params"]["AvailabilityZone"] for call in cloud.calls("CreateVolume")} <= zones
    assert cloud.calls("DescribeAvailabilityZones")


def test_only_what_a_lab_with_these_files_comes_to_call_is_asked_about(lab, said, cloud):
    services = {action.partition(":")[0] for action in said()["allowed", ""].subjects}
    assert not services & {"dynamodb", "s3", "kms", "iam"}
    lab.write(
        "experiments/demo.toml",
        'instance_types = ["g5.xlarge"]\nmarkets = ["spot"]\ncommand = "true"\nartifact_uri = "s3://runs"\n'
        'instance_profile = "p"\n',
    )
    lab.write(
        "lab.toml",
        'regions = ["us-east-1"]\nregistry = "dynamodb://us-east-1/team"\n'
        '[kms_keys]\nus-east-1 = "arn:aws:kms:us-east-1:111122223333:key/1"\n',
    )
    services = {action.partition(":")[0] for action in said()["allowed", ""].subjects}
    assert {"dynamodb", "s3", "kms", "iam"} <= services
    assert cloud.calls("CreateTable") == []


def test_a_launch_that_would_be_refused_for_another_reason_is_told_of_and_is_no_matter_of_permissions(said, cloud):
    cloud.scenario(faults=[fault("RunInstances", "InvalidParameterValue", message="no such thing")])
    launch = next(f for (identity, _), f in said().items() if identity == "launch-refused")
    assert launch.text.endswith("in us-east-1 is rejected: InvalidParameterValue: no such thing")


def test_dry_runs_carry_the_id_of_the_registry_as_a_policy_may_name_it(lab, said, cloud):
    assert lab.launch().code == 0
    known = {r["annotation"]["registry"] for r in lab.records() if "registry" in (r.get("annotation") or {})}
    before = len(cloud.calls())
    said()
    asked = [call["params"] for call in cloud.calls()[before:] if call["action"] == "CreatePlacementGroup"]
    assert {value for params in asked for value in params.values() if len(value) == 32} >= known != set()
