"""The evaluator, held against what AWS's documentation says of the evaluation of policies."""

import pytest

from tests.iam.evaluation import PolicyError, Request, decide
from tests.iam.reference import can_have, resource_types

ACTION, BUCKET = "s3:GetObject", "arn:aws:s3:::lab-runs/demo/log"


def allow(condition=None, effect="Allow", action=ACTION, resource="arn:aws:s3:::lab-runs/*"):
    statement = {"Sid": "One", "Effect": effect, "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def is_allowed(*statements, **context):
    given = {key.replace("_", ":"): value for key, value in context.items()}
    return decide(statements, Request(ACTION, BUCKET, given)).allowed


def test_what_no_statement_allows_is_denied_and_a_denial_outweighs_all():
    assert not is_allowed()
    assert is_allowed(allow())
    assert not is_allowed(allow(), allow(effect="Deny"))
    assert is_allowed(allow(), allow({"Bool": {"aws:SecureTransport": "false"}}, effect="Deny"))


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:Get*", "*", True),
        ("S3:GETOBJECT", "*", True),
        ("s3:GetObjec?", "*", True),
        ("*", "*", True),
        ("s3:Put*", "*", False),
        ("ec2:*", "*", False),
        (["s3:PutObject", ACTION], "*", True),
        (ACTION, "arn:aws:s3:::lab-runs", False),
        (ACTION, "arn:aws:s3:::*/log", True),
        (ACTION, "arn:aws:s3:::LAB-runs/*", False),
        (ACTION, ["arn:aws:s3:::other/*", "arn:aws:s3:::lab-runs/demo/*"], True),
        (ACTION, "arn:aws-cn:s3:::lab-runs/*", False),
        (ACTION, "arn:aws:s3:::lab-runs/demo/[l]og", False),
    ],
)
def test_actions_have_no_case_and_wildcards_match_within_their_part_of_an_arn(action, resource, allowed):
    assert is_allowed(allow(action=action, resource=resource)) is allowed


def test_the_star_of_a_policy_variable_is_no_wildcard():
    statement = allow(action="ec2:CopySnapshot", resource="arn:aws:ec2:*::snapshot/${*}")
    copied, source = (
        Request("ec2:CopySnapshot", f"arn:aws:ec2:eu-west-1::snapshot/{name}") for name in ("*", "snap-1")
    )
    assert decide([statement], copied).allowed
    assert not decide([statement], source).allowed


ABSENT = None


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "met"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["b", "a"], "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a", ABSENT, False),
        ("StringEqualsIfExists", "a", ABSENT, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", ABSENT, True),
        ("StringLike", "*", "", True),
        ("StringLike", "*", ABSENT, False),
        ("StringLike", "ec2.*.amazonaws.com", "ec2.eu-west-1.amazonaws.com", True),
        ("StringNotLike", "a*", "ab", False),
        ("Bool", "true", "true", True),
        ("Bool", "true", "false", False),
        ("Bool", "true", ABSENT, False),
        ("Null", "true", ABSENT, True),
        ("Null", "true", "a", False),
        ("Null", "false", "a", True),
        ("Null", "false", ABSENT, False),
        ("ArnLike", "arn:aws:iam::*:role/ec2-lab/*", "arn:aws:iam::1:role/ec2-lab/a", True),
        ("ArnLike", "arn:aws:iam::*:role/ec2-lab/*", "arn:aws:iam::1:role/a", False),
        ("ForAllValues:StringEquals", ["a", "b"], ["a"], True),
        ("ForAllValues:StringEquals", ["a"], ["a", "b"], False),
        ("ForAllValues:StringEquals", ["a"], ABSENT, True),
        ("ForAnyValue:StringEquals", ["a"], ["a", "b"], True),
        ("ForAnyValue:StringEquals", ["a"], ["b"], False),
        ("ForAnyValue:StringEquals", ["a"], ABSENT, False),
    ],
)
def test_conditions_are_met_as_aws_says(operator, wanted, value, met):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html."""
    values = [value] if isinstance(value, str) else value
    context = {} if values is ABSENT else {"lab:key": values}
    assert decide([allow({operator: {"LAB:Key": wanted}})], Request(ACTION, BUCKET, context)).allowed is met


def test_all_conditions_of_a_statement_must_be_met_and_what_failed_is_told():
    both = allow({"StringEquals": {"a:a": "1", "a:b": "2"}})
    assert is_allowed(both, a_a=["1"], a_b=["2"])
    told = decide([both], Request(ACTION, BUCKET, {"a:a": ["1"], "a:b": ["3"]}))
    assert told.why == "One: StringEquals a:b 2, is ['3']"
    assert decide([both], Request("s3:PutObject", BUCKET)).why == "no statement speaks of it"


@pytest.mark.parametrize(
    "statement",
    [
        allow({"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}),
        allow() | {"NotAction": "s3:*"},
        allow() | {"Principal": "*"},
    ],
)
def test_what_is_not_evaluated_is_an_error_and_never_a_decision(statement):
    with pytest.raises(PolicyError):
        is_allowed(statement)


def test_a_condition_on_a_key_that_such_a_request_never_has_is_an_error():
    never = Request(ACTION, BUCKET, {}, lambda key: can_have("ec2:CopySnapshot", "snapshot", key))
    with pytest.raises(PolicyError, match="aws:ResourceTag/lab:registry"):
        decide([allow({"Null": {"aws:ResourceTag/lab:registry": "true"}})], never)


@pytest.mark.parametrize(
    ("action", "kind", "key", "there"),
    [
        ("ec2:CreateTags", "volume", "ec2:CreateAction", True),
        ("ec2:RunInstances", "image", "ec2:CreateAction", False),
        ("ec2:ModifyInstanceAttribute", "instance", "ec2:Attribute", True),
        ("ec2:ModifyInstanceAttribute", "volume", "ec2:Attribute", False),
        ("ec2:CopySnapshot", "snapshot", "aws:ResourceTag/lab:request-id", False),
        ("ec2:CreateVolume", "snapshot", "aws:ResourceTag/lab:request-id", True),
        ("ebs:StartSnapshot", "snapshot", "aws:RequestTag/lab:request-id", True),
        ("iam:PassRole", "role", "aws:PrincipalAccount", True),
    ],
)
def test_the_reference_knows_which_keys_an_action_has_on_a_type_of_resource(action, kind, key, there):
    assert can_have(action, kind, key) is there


def test_the_reference_is_aws_own():
    assert "ec2:CreateTags" in resource_types("ebs:StartSnapshot")["snapshot"]["dependent_actions"]
    assert set(resource_types("ec2:AttachVolume")) == {"instance", "volume", ""}
