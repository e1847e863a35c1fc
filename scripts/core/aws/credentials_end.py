"""When credentials end that do not renew themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError
from botocore.utils import JSONFileCache, SSOTokenLoader

if TYPE_CHECKING:
    import boto3

SSO_CACHE = "~/.aws/sso/cache"
"""Where `aws sso login` leaves its token, and botocore looks for it."""
ENVIRONMENT_END = "AWS_CREDENTIAL_EXPIRATION"
"""Set by those who hand credentials over in the environment, and heeded by botocore."""


def end_of_credentials(session: boto3.Session) -> datetime | None:
    """Return when a session's credentials end; None where they renew themselves, never end, or do not say.

    Those of a role are renewed for as long as what it is assumed by is valid: with IAM Identity Center that is the
    token of `aws sso login`, unless that too is renewed.
    """
    credentials = session.get_credentials()
    method = credentials.method if credentials else ""
    if method == "env":
        return _moment(os.environ.get(ENVIRONMENT_END))
    config: Mapping[str, Any] = session._session.get_scoped_config()  # noqa: SLF001 - boto3 has no public way to it
    return _moment(_token(config).get("expiresAt")) if str(method).startswith("sso") else None


def _token(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the token of `aws sso login` of a profile; nothing where there is none, or where it is renewed."""
    named = config.get("sso_session")
    load = SSOTokenLoader(JSONFileCache(str(Path(SSO_CACHE).expanduser())))
    try:
        token: Mapping[str, Any] = load(config.get("sso_start_url", ""), session_name=named)
    except BotoCoreError:
        return {}
    return {} if token.get("refreshToken") else token


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None
