"""The only botocore session of a process, and its clients, including those of the registry."""

from __future__ import annotations

import json
import os
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectionClosedError, ProfileNotFound

from ec2lab.aws.botocore_cache import TrimmedLoader
from ec2lab.aws.credentials import CredentialsProblem, expect_credentials, explained, share_with_cli
from ec2lab.aws.errors import PROFILE, carry_regions
from ec2lab.aws.local_server import LOCAL_DIRECTORY, LocalServer, ensure_running
from ec2lab.config.models import Lab
from ec2lab.progress import working
from ec2lab.validators import did_you_mean

FIRST_ERROR_STATUS = 300


Attach = Callable[[Any], None]  # records the calls of a client, given its events


class Clients:
    """Creates clients for AWS or the local cloud. Thread-safe."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        """Find the local cloud, or the profile. Raises UserError."""
        server = ensure_running(directory / LOCAL_DIRECTORY) if lab.cloud == "local" else None
        self.url = server.url if server else None  # the address of the local cloud; None on AWS
        self.session = _local_session(server) if server else _aws_session(lab.profile, lab.regions[0])
        self._lock = threading.Lock()

    def make(self, service: str, region: str, *, attempts: int, record: Attach | None = None) -> Any:
        """Return a client that sends each request up to `attempts` times, recorded by `record`.

        The registry's own calls are not recorded, because they would record themselves.
        """
        with self._lock:  # boto3 cannot create two clients of a session at once
            client: Any = self.session.client(
                service,  # type: ignore[call-overload]  # only the caller knows the name of the service
                region_name=region,
                endpoint_url=self.url,
                config=_config(attempts, is_local=self.url is not None),
            )
        endpoint = client._endpoint  # noqa: SLF001 - boto3 has no public way to it
        endpoint.http_session = _WholeAnswers(endpoint.http_session)
        if record:
            record(client.meta.events)
        self._explain_errors(client.meta.events)
        return client

    def _explain_errors(self, events: Any) -> None:
        """Make calls without credentials fail before they are recorded, and add the profile to errors."""
        profile = self.session._session.profile  # noqa: SLF001 - boto3 has no public way to it

        def mark(http_response: Any, parsed: Any, **_: Any) -> None:
            if http_response.status_code >= FIRST_ERROR_STATUS and isinstance(parsed, dict):
                parsed.setdefault("ResponseMetadata", {})[PROFILE] = profile

        if self.url is None:
            events.register_first("provide-client-params", lambda **_: expect_credentials(self.session))
        events.register_last("after-call", mark)


def _config(attempts: int, *, is_local: bool) -> Config:
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=32,
        proxies={} if is_local else None,  # a proxy cannot reach our loopback address
    )


def _local_session(server: LocalServer) -> boto3.Session:
    """Return a session that ignores the user's AWS settings and signs with the local cloud's secret."""
    nothing = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    return boto3.Session(
        "local", server.secret, botocore_session=_quick(botocore.session.Session(session_vars=nothing))
    )


def _aws_session(profile: str | None, region: str) -> boto3.Session:
    session = botocore.session.Session(profile=profile)
    try:
        made = boto3.Session(botocore_session=_quick(session))
        if session.get_config_variable("region") is None:  # STS, which assumes roles, is called in one
            session.set_config_variable("region", region)
        share_with_cli(session)
    except ProfileNotFound as problem:
        raise _no_such_profile(profile, session) from problem
    except BotoCoreError as problem:
        raise explained(problem, session) from problem
    return made


def _no_such_profile(profile: str | None, session: botocore.session.Session) -> CredentialsProblem:
    named = session.profile
    where, known = "lab.toml: profile" if profile else "AWS_PROFILE", session.available_profiles
    return CredentialsProblem(
        f"{where}: there is no profile {named!r} in ~/.aws/config{did_you_mean(str(named), known)}",
        f"`aws configure list-profiles` lists them, `aws configure sso --profile {shlex.quote(str(named))}` makes it",
    )


def _quick(session: botocore.session.Session) -> botocore.session.Session:
    """Make a session read the reduced botocore data; boto3 adds its own to that."""
    carry_regions(session)
    users = session.get_config_variable("data_path")
    session.register_component("data_loader", TrimmedLoader(users.split(os.pathsep) if users else ()))
    return session


class _WholeAnswers:
    """Wraps a client's HTTP session: a response shorter than announced counts as lost, so botocore retries it.

    botocore reads with enforce_content_length=False (botocore/httpsession.py), so a truncated response reaches its
    parser, whose errors it never retries; a truncated JSON document may even parse, without its members.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and return the response. Raises ConnectionClosedError if it is incomplete."""
        with working("waiting for AWS", is_background=True):
            answer: AWSResponse = self._session.send(request)
        if request.stream_output or request.method == "HEAD":
            return answer
        if cut_off := _what_is_cut_off(answer):
            raise ConnectionClosedError(endpoint_url=request.url, request=request, error=cut_off)
        return answer

    def close(self) -> None:
        self._session.close()


def _what_is_cut_off(answer: AWSResponse) -> str:
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and len(answer.content) < int(announced):
        return f"{len(answer.content)} of {announced} bytes"
    if "json" in answer.headers.get("Content-Type", "") and answer.content:
        try:
            json.loads(answer.content)
        except ValueError as problem:
            return f"no whole JSON: {problem}"
    return ""
