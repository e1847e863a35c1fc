"""What AWS does not take of tags, parameters, policies and simulations, and moto does."""

import json

import pytest
from botocore.exceptions import ClientError

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def refusal(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    return refused.value.response["Error"]


def tag(key, value):
    return [{"Key": key, "Value": value}]


def test_the_ebs_direct_apis_take_shorter_tags_than_ec2(cloud):
    start = cloud.client("ebs", "us-east-1").start_snapshot
    assert refusal(start, VolumeSize=1, Tags=tag("k" * 128, "v"))["Code"] == "ValidationException"
    assert refusal(start, VolumeSize=1, Tags=tag("k", "v" * 256))["Code"] == "ValidationException"
    assert start(VolumeSize=1, Tags=tag("k" * 127, "v" * 255))["SnapshotId"]


def test_iam_takes_fewer_characters_in_tags_than_ec2(cloud):
    make = cloud.client("iam", "us-east-1").create_role
    request = {"RoleName": "r", "AssumeRolePolicyDocument": json.dumps(TRUST)}
    assert refusal(make, **request, Tags=tag("team", "R&D"))["Code"] == "ValidationError"
    assert make(**request, Tags=tag("team", "R_D: a.b/c=d+e-f@g"))["Role"]


def test_ec2_takes_only_parameters_of_the_type_for_images(cloud):
    cloud.client("ssm", "us-east-1").put_parameter(Name="own", Value="ami-12345678", Type="String")
    run = cloud.client("ec2", "us-east-1").run_instances
    error = refusal(run, ImageId="resolve:ssm:own", InstanceType="c6i.large", MinCount=1, MaxCount=1)
    assert (error["Code"], error["Message"]) == ("SsmInvalidParameter", "Unsupported data type: text (own)")


def test_the_simulator_takes_no_mixed_actions_and_no_unknown_kind_of_context(cloud):
    simulate = cloud.client("iam", "us-east-1").simulate_principal_policy
    asked = {"PolicySourceArn": "arn:aws:iam::123456789012:user/alice", "ActionNames": ["s3:GetObject"]}
    assert refusal(simulate, **{**asked, "ActionNames": ["s3:GetObject", "ec2:RunInstances"]})["Code"] == "InvalidInput"
    entry = {"ContextKeyName": "aws:TagKeys", "ContextKeyType": "texts", "ContextKeyValues": ["a"]}
    assert refusal(simulate, **asked, ContextEntries=[entry])["Code"] == "InvalidInput"
    assert simulate(**asked, ContextEntries=[{**entry, "ContextKeyType": "stringList"}])["EvaluationResults"]


def test_a_policy_with_an_unknown_condition_is_refused(cloud):
    iam = cloud.client("iam", "us-east-1")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = {
        "Version": "2012-10-17",
        "Statement": [{**statement, "Condition": {"StringLyke": {"aws:TagKeys": "a"}}}],
    }
    put = {"RoleName": "r", "PolicyName": "p", "PolicyDocument": json.dumps(document)}
    assert refusal(iam.put_role_policy, **put)["Code"] == "MalformedPolicyDocument"


def test_quotas_that_nobody_changed_may_not_be_listed_and_apply_by_default(cloud):
    name = "All P5 Spot Instance Requests"
    cloud.scenario(unlisted_quotas=[name])
    quotas = cloud.client("service-quotas", "us-east-1")
    assert name not in {quota["QuotaName"] for quota in quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]}
    listed = quotas.list_aws_default_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {quota["QuotaName"]: quota["Value"] for quota in listed}[name] == 0.0
