"""No secret survives being written down, and everything else does."""

import base64
import hashlib

import botocore.session
import pytest
from botocore.model import ShapeResolver
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.registry.redaction import redact

EC2 = botocore.session.get_session().get_service_model("ec2")
SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----"


def outputs(operation):
    return EC2.operation_model(operation).output_shape


def inputs(operation):
    return EC2.operation_model(operation).input_shape


def test_a_new_key_pairs_private_key_is_not_written_down():
    answer = {"KeyName": "alice", "KeyMaterial": SECRET, "KeyPairId": "key-1"}
    assert redact(answer, outputs("CreateKeyPair")) == {**answer, "KeyMaterial": "(secret)"}


def test_user_data_is_its_hash_and_size_however_it_is_wrapped():
    body = b"#cloud-config\n"
    mark = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    encoded = base64.b64encode(body).decode()
    assert redact({"UserData": encoded}, inputs("RunInstances"))["UserData"] == mark
    assert redact({"UserData": body})["UserData"] == mark
    assert redact({"UserData": {"Value": encoded}})["UserData"] == {"Value": mark}
    template = {"LaunchTemplateData": {"ImageId": "ami-1", "UserData": encoded}}
    assert redact(template, inputs("CreateLaunchTemplate"))["LaunchTemplateData"]["UserData"] == mark


def test_session_credentials_and_passwords_are_not_written_down():
    answer = {"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "soon"}}
    assert redact(answer)["Credentials"] == {
        "AccessKeyId": "(secret)", "SecretAccessKey": "(secret)", "SessionToken": "(secret)", "Expiration": "soon",
    }  # fmt: skip
    assert redact({"PasswordData": "p"})["PasswordData"] == "(secret)"
    assert redact({"PresignedUrl": "https://…&X-Amz-Signature=s"})["PresignedUrl"] == "(secret)"


def test_a_secure_parameter_is_not_written_down_and_a_plain_one_is():
    assert redact({"Parameter": {"Type": "SecureString", "Value": "s"}})["Parameter"]["Value"] == "(secret)"
    assert redact({"Parameter": {"Type": "String", "Value": "ami-1"}})["Parameter"]["Value"] == "ami-1"


def structure(**members):
    """A shape as botocore has it: members with their traits."""
    shapes = {name: {"type": "string", **traits} for name, traits in members.items()}
    made = {"type": "structure", "members": {name: {"shape": name} for name in members}}
    return ShapeResolver({**shapes, "Made": made}).get_shape_by_name("Made")


def test_what_the_model_marks_as_sensitive_is_not_written_down_whatever_it_is_called():
    shape = structure(Comment={"sensitive": True}, Remark={})
    assert redact({"Comment": "c", "Remark": "r"}, shape) == {"Comment": "(secret)", "Remark": "r"}


@pytest.mark.parametrize("outer", ["list", "map"])
def test_a_sensitive_shape_is_not_written_down_inside_of_another(outer):
    inside = {"list": {"type": "list", "member": {"shape": "Inner"}},
              "map": {"type": "map", "key": {"shape": "Plain"}, "value": {"shape": "Inner"}}}[outer]  # fmt: skip
    shapes = {"Inner": {"type": "string", "sensitive": True}, "Plain": {"type": "string"}, "Outer": inside}
    value = {"list": ["hunter2"], "map": {"a": "hunter2"}}[outer]
    assert "hunter2" not in repr(redact(value, ShapeResolver(shapes).get_shape_by_name("Outer")))


def test_a_real_members_trait_counts_though_its_name_tells_nothing():
    """SSM marks the value of a parameter, and nothing else does where its type is left out."""
    ssm = botocore.session.get_session().get_service_model("ssm").operation_model("PutParameter").input_shape
    assert ssm.members["Value"].metadata.get("sensitive")
    assert redact({"Name": "a", "Value": "c"}, ssm) == {"Name": "a", "Value": "(secret)"}


@pytest.mark.parametrize(
    "name",
    ["Password", "MasterUserPassword", "AuthToken", "authorizationToken", "SessionToken", "SecretAccessKey", "ApiKey",
     "ClientSecret", "SecretString", "SharedSecret", "PrivateKey", "KeyMaterial", "PresignedUrl", "preSignedURL",
     "BearerToken", "refresh_token", "db-password", "DB_PASSWD", "Passphrase", "Set-Cookie", "Authorization"],
)  # fmt: skip
def test_a_member_is_secret_by_its_name_in_any_service(name):
    assert redact({name: SECRET}) == {name: "(secret)"}
    assert redact({"Of": [{name: [SECRET]}, {name: {"a": SECRET}}]}) == {"Of": [{name: "(secret)"}] * 2}
    assert redact({"Variables": [{"Name": name, "Value": "v"}]})["Variables"][0]["Value"] == "(secret)"


@pytest.mark.parametrize(
    "name",
    ["ClientToken", "NextToken", "clientRequestToken", "ContinuationToken", "HttpTokens", "PublicKeyMaterial",
     "SecretArn", "SecretId", "KeyName", "PasswordPolicy", "SnapshotId", "SecurityGroupIds"],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_is_written_down(name):
    assert redact({name: "v"}) == {name: "v"}


@pytest.mark.parametrize("pair", [{"Name": "LEARNING_RATE", "Value": "v"}, {"Name": 3, "Value": "v"}, {"Key": "team"}])
def test_a_pair_whose_name_is_no_secrets_is_written_down(pair):
    assert redact({"Of": [pair]}) == {"Of": [pair]}


def test_a_number_is_a_secret_where_its_name_says_so_and_not_where_tokens_are_counted():
    assert redact({"Password": 1234, "ClientSecret": 0.5}) == {
        "Password": "(secret)",
        "ClientSecret": "(secret)",
    }
    plain = {"Tokens": 5, "AuthToken": 2.5, "HasPassword": True}
    assert redact(plain) == plain


def test_a_signed_address_and_a_private_key_are_cut_out_of_any_text():
    address = "https://s3.amazonaws.com/b/k?X-Amz-Credential=AKIA&X-Amz-Signature=abc&partNumber=1"
    told = redact({"Message": f"no answer from {address}", "Location": address, "Body": f"key: {SECRET}\nabc"})
    assert "abc" not in repr(told)
    assert "AKIA" not in repr(told)
    assert told["Location"].endswith("&partNumber=1")


def test_a_console_is_written_down_as_its_digest_and_length():
    answer = {"InstanceId": "i-1", "Output": "hf_token=abc\n", "Timestamp": "2026-11-26T10:00:00+00:00"}
    mark = {"bytes": 13, "sha256": hashlib.sha256(b"hf_token=abc\n").hexdigest()}
    assert redact(answer, outputs("GetConsoleOutput")) == {**answer, "Output": mark}
    picture = redact({"ImageData": "YWJj"}, outputs("GetConsoleScreenshot"))
    assert picture["ImageData"] == {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}


def test_user_data_of_an_unforeseen_form_is_not_written_down():
    assert SECRET not in repr(redact({"UserData": [SECRET], "userData": {"Value": {"a": SECRET}}}))


plain = st.recursive(
    st.text() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["Id", "Tags", "Filters", "NextToken"]), inner),
    max_leaves=20,
)


@given(plain)
def test_what_is_not_secret_is_written_down_in_full(value):
    assert redact(value) == value


@given(plain, st.lists(st.sampled_from(["Reservations", "Instances", "Item"]), max_size=4))
def test_a_secret_is_found_however_deep_it_lies(value, path):
    for step in path:
        value = [{step: value, "SecretString": SECRET}]
    assert SECRET not in repr(redact({"Answer": value, "PrivateKey": SECRET}))
