"""The sources of a profile's credentials, and one line for each reason why there are none."""

from __future__ import annotations

import getpass
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectionError,  # noqa: A004
    CredentialRetrievalError,
    HTTPClientError,
    InvalidConfigError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.utils import JSONFileCache

from ec2lab.aws.errors import AWS_ERRORS, AwsError
from ec2lab.errors import UserError
from ec2lab.progress import LINE

if TYPE_CHECKING:
    import boto3
    import botocore.session

UNREACHED = (ConnectionError, HTTPClientError)  # botocore's errors for an unreachable network
CLI_CACHE = "~/.aws/cli/cache"
"""Where the AWS CLI stores the credentials of roles: a code entered for one command is valid for the others for an hour
(https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html#cli-configure-role-cache)."""
MFA_REJECTED = "MultiFactorAuthentication failed"  # start of STS's message for a wrong MFA code

ASSUME = "sts:AssumeRole on it"
SAME = "`aws sts get-caller-identity{profile}` fails likewise: see `aws configure list{profile}`"
REMEDIES: Sequence[tuple[type[Exception] | tuple[type[Exception], ...], str]] = (
    (LoginError, "`aws login{profile}`"),
    ((SSOError, TokenRetrievalError), "`aws sso login{profile}`"),
    ((InvalidConfigError, ConfigParseError), "correct ~/.aws/config (or where AWS_CONFIG_FILE points)"),
    (CredentialRetrievalError, "`aws configure get credential_process{profile}` shows the program: run it by hand"),
    (PartialCredentialsError, "set both keys, or neither"),
)
"""botocore's errors -> what fixes them."""


class CredentialsProblem(UserError):
    """There are no credentials for a call."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what, self.remedy = what, remedy


class CliCache(JSONFileCache):
    """The AWS CLI's credential cache; does nothing if the home directory is not writable."""

    def __init__(self) -> None:
        super().__init__(str(Path(CLI_CACHE).expanduser()))

    def __setitem__(self, key: str, credentials: Any) -> None:
        """Store credentials in a file that only its owner can read."""
        with suppress(OSError):
            super().__setitem__(key, credentials)


def share_with_cli(session: botocore.session.Session) -> None:
    """Make a session use the AWS CLI's cache for credentials of roles, and ask for MFA codes only on a terminal.

    Raises CredentialsProblem if the profile does not exist or the configuration cannot be read.
    """

    def ask(question: str) -> str:
        try:
            os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        except OSError as problem:
            profile = session.profile
            raise CredentialsProblem(
                f"profile {profile} needs an MFA code, and there is no terminal to prompt on",
                f"run `make status` or `aws sts get-caller-identity{option(profile)}` in a terminal first: the "
                "credentials are then kept for an hour",
            ) from problem
        with LINE.paused():
            return getpass.getpass(question)

    try:
        provider = session.get_component("credential_provider").get_provider("assume-role")
    except BotoCoreError as problem:
        raise explained(problem, session) from problem
    provider.cache = CliCache()
    provider._prompter = ask  # noqa: SLF001 - botocore accepts none, and getpass would read piped input


def expect_credentials(session: boto3.Session) -> None:
    """Raise CredentialsProblem if there are no credentials; expired ones are renewed if possible."""
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        credentials.get_frozen_credentials()
    except AWS_ERRORS as problem:
        if isinstance(problem, UNREACHED):
            raise
        raise explained(problem, session._session) from problem  # noqa: SLF001 - boto3 has no public way to it


def explained(problem: AwsError, session: botocore.session.Session) -> CredentialsProblem:
    """Return what is wrong with a session's credentials, and the command that fixes it."""
    profile = session.profile
    what = f"profile {profile}: {_first_line(problem)}" if profile else _first_line(problem)
    return CredentialsProblem(what, _remedy(problem, session))


def option(profile: str | None) -> str:
    """Return ` --profile NAME` for the AWS CLI; empty without a profile."""
    return f" --profile {shlex.quote(profile)}" if profile else ""


def _first_line(problem: AwsError) -> str:
    if isinstance(problem, ClientError):
        error = problem.response.get("Error", {})
        return " ".join(f"{problem.operation_name}: {error.get('Code')}: {error.get('Message', '')}".split())
    return str(problem).partition("\n")[0].rstrip(". ")


def _remedy(problem: AwsError, session: botocore.session.Session) -> str:
    profile = session.profile
    if isinstance(problem, ClientError):
        return _remedy_of(problem, profile)
    if isinstance(problem, NoCredentialsError):
        return _where_to_get_some(profile, session.available_profiles)
    if isinstance(problem, InvalidConfigError) and "sso" in str(problem).lower():
        return f"`aws configure sso{option(profile)}`"
    remedy = next((remedy for resource_types, remedy in REMEDIES if isinstance(problem, resource_types)), SAME)
    return remedy.format(profile=option(profile))


def _where_to_get_some(profile: str | None, known: list[str]) -> str:
    if profile:
        return f"`aws configure sso{option(profile)}` or `aws configure{option(profile)}` sets it up"
    if known:
        return f'name a profile in lab.toml: profile = "{known[0]}" (here: {", ".join(known)}), or set AWS_PROFILE'
    return (
        '`aws configure sso --profile NAME` sets up a profile (then in lab.toml: profile = "NAME"); or set '
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def _remedy_of(error: ClientError, profile: str | None) -> str:
    if MFA_REJECTED in str(error):
        return "the MFA code was wrong or used before: wait for the next one, then run the command again"
    if error.operation_name.startswith("AssumeRole"):
        return f"role_arn of profile {profile} must name a role whose trust policy allows you, and you need {ASSUME}"
    return SAME.format(profile=option(profile))
