"""No secret survives being written down, and everything else does."""

import base64
import hashlib

import botocore.session
from hypothesis import given
from hypothesis import strategies as st

from scripts.core.registry.redaction import without_secrets

EC2 = botocore.session.get_session().get_service_model("ec2")
SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----"


def outputs(operation):
    return EC2.operation_model(operation).output_shape


def inputs(operation):
    return EC2.operation_model(operation).input_shape


def test_a_new_key_pairs_private_key_is_not_written_down():
    answer = {"KeyName": "alice", "KeyMaterial": SECRET, "KeyPairId": "key-1"}
    assert without_secrets(answer, outputs("CreateKeyPair")) == {**answer, "KeyMaterial": "(secret)"}


def test_user_data_is_its_hash_and_size_however_it_is_wrapped():
    body = b"#cloud-config\n"
    mark = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    encoded = base64.b64encode(body).decode()
    assert without_secrets({"UserData": encoded}, inputs("RunInstances"))["UserData"] == mark
    assert without_secrets({"UserData": body})["UserData"] == mark
    assert without_secrets({"UserData": {"Value": encoded}})["UserData"] == {"Value": mark}
    template = {"LaunchTemplateData": {"ImageId": "ami-1", "UserData": encoded}}
    assert without_secrets(template, inputs("CreateLaunchTemplate"))["LaunchTemplateData"]["UserData"] == mark


def test_session_credentials_and_passwords_are_not_written_down():
    answer = {"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "soon"}}
    assert without_secrets(answer)["Credentials"] == {
        "AccessKeyId": "(secret)", "SecretAccessKey": "(secret)", "SessionToken": "(secret)", "Expiration": "soon",
    }  # fmt: skip
    assert without_secrets({"PasswordData": "p"})["PasswordData"] == "(secret)"
    assert without_secrets({"PresignedUrl": "https://…&X-Amz-Signature=s"})["PresignedUrl"] == "(secret)"


def test_a_secure_parameter_is_not_written_down_and_a_plain_one_is():
    assert without_secrets({"Parameter": {"Type": "SecureString", "Value": "s"}})["Parameter"]["Value"] == "(secret)"
    assert without_secrets({"Parameter": {"Type": "String", "Value": "ami-1"}})["Parameter"]["Value"] == "ami-1"


plain = st.recursive(
    st.text() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["Id", "Tags", "Filters", "NextToken"]), inner),
)


@given(plain)
def test_what_is_not_secret_is_written_down_in_full(value):
    assert without_secrets(value) == value


@given(plain, st.lists(st.sampled_from(["Reservations", "Instances", "Item"]), max_size=4))
def test_a_secret_is_found_however_deep_it_lies(value, path):
    for step in path:
        value = [{step: value, "SecretString": SECRET}]
    assert SECRET not in repr(without_secrets({"Answer": value, "PrivateKey": SECRET}))
