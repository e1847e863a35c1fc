"""Who may use the local cloud: its owner's programs, and neither another local user nor a web page."""

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab.aws.local_server import proof_of
from tests.local_cloud.requests import UBUNTU, every_instance, run

DESCRIBE = "Action=DescribeInstances&Version=2016-11-15"


@pytest.fixture
def send(cloud):
    """Sends one plain HTTP request; returns its status and its body."""
    address = urlsplit(cloud.url).netloc

    def request(method, path, headers=(), body=b""):
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    return request


@pytest.fixture
def owner(cloud):
    """The header of a control request that carries the secret."""
    return {"Authorization": f"Bearer {cloud.secret}"}


def client_of(cloud, secret, service):
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3.Session("local", secret).client(service, "us-east-1", endpoint_url=cloud.url, config=config)


def signed(cloud, body, path="/", service="ec2"):
    """Sign a POST request as an AWS client does; return its headers."""
    request = AWSRequest("POST", f"{cloud.url}{path}", {"Content-Type": "application/x-www-form-urlencoded"}, body)
    SigV4Auth(Credentials("local", cloud.secret), service, "us-east-1").add_auth(request)
    return dict(request.headers.items())


def test_no_control_request_is_carried_out_without_the_secret(cloud, send):
    from local_cloud.admin_api import ACTIONS  # moto takes a second, in this test's process alone

    identity = run(cloud.client("ec2", "us-east-1"))[0]["InstanceId"]
    for authorization in (None, "Bearer ", "Bearer 0", "Bearer \xff", "Basic bG9jYWw6bG9jYWw="):
        headers = {"Authorization": authorization} if authorization is not None else {}
        for method, path in ACTIONS:
            status, answer = send(method, path, headers, b"{}")
            assert status == 401, (path, authorization)
            assert cloud.secret.encode() not in answer
    assert identity in {instance["InstanceId"] for instance in every_instance(cloud.client("ec2", "us-east-1"))}


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code"),
    [
        ("ec2", "run_instances", {"ImageId": UBUNTU, "MinCount": 1, "MaxCount": 1}, "AuthFailure"),
        ("ec2", "describe_instances", {}, "AuthFailure"),
        ("sts", "get_caller_identity", {}, "SignatureDoesNotMatch"),
        ("ssm", "get_parameters", {"Names": ["/a"]}, "InvalidSignatureException"),
        ("dynamodb", "list_tables", {}, "InvalidSignatureException"),
        ("s3", "create_bucket", {"Bucket": "recordings"}, "SignatureDoesNotMatch"),
        ("ebs", "list_snapshot_blocks", {"SnapshotId": "snap-1"}, "InvalidSignatureException"),
    ],
)
def test_a_call_signed_with_another_secret_is_refused_as_aws_refuses_it(cloud, service, operation, arguments, code):
    with pytest.raises(ClientError) as caught:
        getattr(client_of(cloud, "x" * 40, service), operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 401, 403)
    assert cloud.calls(everyone=True) == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "AWS4-HMAC-SHA256 Credential=local"}])
def test_an_unsigned_call_is_refused(cloud, send, headers):
    status, answer = send("POST", "/", headers, DESCRIBE.encode())
    assert (status, b"MissingAuthenticationToken" in answer) == (403, True)


def test_a_signature_holds_for_its_own_request_only(cloud, send):
    headers = signed(cloud, DESCRIBE)
    assert send("POST", "/", headers, DESCRIBE.encode())[0] == 200
    for path, changed, body in (
        ("/", {}, DESCRIBE.replace("Instances", "Volumes")),
        ("/other", {}, DESCRIBE),
        ("/?Action=RunInstances", {}, DESCRIBE),
        ("/", {"X-Amz-Date": "20200101T000000Z"}, DESCRIBE),
        ("/", {"Content-Type": "text/plain"}, DESCRIBE),
    ):
        assert send("POST", path, headers | changed, body.encode())[0] == 401, (path, changed)


def test_a_body_that_is_not_the_one_whose_digest_was_signed_is_refused(cloud, send):
    cloud.client("s3", "us-east-1").create_bucket(Bucket="recordings")
    request = AWSRequest("PUT", f"{cloud.url}/recordings/a", {}, b"mine")
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(b"mine").hexdigest()
    S3SigV4Auth(Credentials("local", cloud.secret), "s3", "us-east-1").add_auth(request)
    headers = dict(request.headers.items())
    assert send("PUT", "/recordings/a", headers, b"mine")[0] == 200
    status, answer = send("PUT", "/recordings/a", headers, b"others")
    assert (status, b"XAmzContentSHA256Mismatch" in answer) == (400, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:80"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": "203.0.113.7"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_no_request_of_a_web_page_is_served_even_with_the_secret(cloud, send, owner, headers):
    for method, path in (("GET", "/lab/health"), ("GET", "/lab/calls"), ("POST", "/lab/reset")):
        assert send(method, path, owner | headers)[0] == 403
    assert send("POST", "/", signed(cloud, DESCRIBE) | headers, DESCRIBE.encode())[0] == 403


@pytest.mark.parametrize("length", ["99999999999", "-1", "4e9", "\u0663"])
def test_no_memory_is_set_aside_for_a_length_that_anybody_claims(cloud, length):
    address = urlsplit(cloud.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_health_proves_the_secret_and_does_not_tell_it(cloud, send):
    first, second = (send("GET", f"/lab/health?{nonce}") for nonce in ("1", "2"))
    assert json.loads(first[1]) == {"proof": proof_of(cloud.secret, "1")}
    assert json.loads(second[1]) == {"proof": proof_of(cloud.secret, "2")}
    assert cloud.secret not in first[1].decode() + second[1].decode()


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "file:///etc/passwd"])
def test_no_file_is_read_for_a_console(cloud, path):
    ec2 = cloud.client("ec2", "us-east-1")
    identity = run(ec2)[0]["InstanceId"]
    cloud.host(identity, "us-east-1", "127.0.0.1", path)
    assert ec2.get_console_output(InstanceId=identity)["Output"] == path


@pytest.mark.parametrize("path", ["/moto-api/", "/moto-api/data.json", "/moto-api/reset", "/latest/meta-data/"])
def test_motos_own_api_is_not_served(cloud, send, path):
    ec2 = cloud.client("ec2", "us-east-1")
    identity = run(ec2)[0]["InstanceId"]
    assert send("POST", path)[0] == 403
    assert send("POST", path, signed(cloud, DESCRIBE, path), DESCRIBE.encode())[0] == 404
    assert identity in {instance["InstanceId"] for instance in every_instance(ec2)}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "X"]),
    path=st.text("/.%?#&=lab-moticwxyz0123", max_size=40),
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "X-Amz-Date", "X-Amz-Target", "Content-Length", "Transfer-Encoding"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60),
    ),
)
def test_whatever_a_stranger_sends_is_refused(cloud, send, method, path, headers):
    if path.startswith("/lab/health") or headers.get("Content-Length", "").strip().isdecimal():
        return  # the body that is announced would be waited for
    try:
        status, answer = send(method, f"/{path}", headers)
    except (http.client.HTTPException, ConnectionError, ValueError):
        return  # it is no HTTP, and was cut off or never sent
    assert status in (400, 401, 403, 413, 501), (status, answer)
    assert cloud.calls(everyone=True) == []


def test_the_aws_tools_of_the_owner_find_it_by_its_configuration_file(cloud, cloud_directory):
    run(cloud.client("ec2", "us-east-1"))
    ask = "import boto3; print(len(boto3.client('ec2').describe_instances()['Reservations']))"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment = {**inherited, "AWS_CONFIG_FILE": str(cloud_directory / "aws-config"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "1\n", done.stderr
