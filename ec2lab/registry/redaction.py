"""Removes secrets, and bodies that may contain some, from what is recorded.

A member is secret if botocore's model of the service says so
(https://smithy.io/2.0/spec/documentation-traits.html#sensitive-trait), or by its name or content: the models mark only
some, and plugins may call any service.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from botocore.model import Shape

REDACTED = "(secret)"
SECRET = re.compile(  # parts of member names, in lower case and without - and _
    r"accesskeyid|apikey|authorization|cookie|(?<!public)keymaterial|passphrase|passwd|password|presigned\w*url|"
    r"privatekey|secret"
)
PUBLIC = re.compile(r".*arns?|.*secret(id|name|status)|.*(policy|type)")
"""Names of members that are not secret, although what they refer to may be."""
TOKEN = re.compile(r".*tokens?")
PLAIN_TOKEN = re.compile(
    r"http.*|.*(change|client|continuation|creation|idempotency|lock|next\w*|page|pagination|request|sequence|starting|"
    r"update|version)tokens?"
)
"""Tokens that identify a call or a page of results. Any other token grants access."""
NAMES, VALUES = ("name", "key", "parametername", "parameterkey"), ("value", "parametervalue")
"""Names of the two members of a name-value pair: {"Name": "DB_PASSWORD", "Value": "…"}."""
SIGNED = re.compile(r"((?:X-Amz-(?:Signature|Security-Token|Credential)|Signature|AWSAccessKeyId)=)[^&\s\"']+")
"""The parts of a signed URL that grant access."""
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*KEY-----|\Z)", re.DOTALL)
USER_DATA = "userdata"
CONSOLE = {"GetConsoleOutputResult": "Output", "GetConsoleScreenshotResult": "ImageData"}
"""An instance's console output, which may contain secrets that its boot scripts print."""


def redact(value: Any, shape: Shape | None = None) -> Any:
    """Return `value` as plain JSON, with secrets replaced by a mark, user data and console by size and hash."""
    if value is not None and _is_sensitive(shape):
        return REDACTED
    match value:
        case Mapping():
            secret = _names_a_secret(value)
            return {key: _member(key, member, shape, secret=secret) for key, member in value.items()}
        case list() | tuple():
            return [redact(item, getattr(shape, "member", None)) for item in value]
    return _plain(value)


def _plain(value: Any) -> Any:
    match value:
        case bytes() | bytearray():
            return fingerprint(bytes(value))
        case int() | float() | bool() | None:
            return value
    return text_without_secrets(value.isoformat() if isinstance(value, datetime) else str(value))


def text_without_secrets(text: str) -> str:
    """Return a text without private keys and without the signatures of URLs."""
    return PRIVATE_KEY.sub(REDACTED, SIGNED.sub(rf"\1{REDACTED}", text)) if "=" in text or "-----" in text else text


def _member(key: Any, value: Any, shape: Shape | None, *, secret: bool) -> Any:
    inner = getattr(shape, "members", {}).get(key) or getattr(shape, "value", None)
    name = _bare(str(key))
    if name == USER_DATA:
        return _user_data(value)
    if CONSOLE.get(getattr(shape, "name", "")) == key:
        return _body(value)
    if value is not None and (is_secret(name, value) or (secret and name in VALUES)):
        return REDACTED
    return redact(value, inner)


def is_secret(name: str, value: Any = "") -> bool:
    """Return whether a member is secret by its name. Booleans and numbers of tokens are not."""
    sounds = _sounds(str(name))
    if isinstance(value, bool) or sounds == "plain":
        return False
    return sounds == "secret" or not isinstance(value, int | float)


@lru_cache(maxsize=4096)
def _bare(name: str) -> str:
    return re.sub(r"[-_]", "", name.lower())


@lru_cache(maxsize=4096)
def _sounds(name: str) -> Literal["plain", "secret", "token"]:
    """Return what a member is by its name. Cached: a response has some hundred names."""
    bare = _bare(name)
    if PUBLIC.fullmatch(bare):
        return "plain"
    if SECRET.search(bare):
        return "secret"
    return "token" if TOKEN.fullmatch(bare) and not PLAIN_TOKEN.fullmatch(bare) else "plain"


def _names_a_secret(pair: Mapping[Any, Any]) -> bool:
    """Return whether an object is a secret's name with its value, or an encrypted parameter."""
    names = (value for key, value in pair.items() if _bare(str(key)) in NAMES)
    return pair.get("Type") == "SecureString" or any(isinstance(name, str) and is_secret(name) for name in names)


def _is_sensitive(shape: Shape | None) -> bool:
    return bool(shape is not None and shape.metadata.get("sensitive"))


def _user_data(value: Any) -> Any:
    """Return the hash of user data, which may be bytes, base64, or {"Value": base64}."""
    return {key: _body(inner) for key, inner in value.items()} if isinstance(value, Mapping) else _body(value)


def _body(value: Any) -> Any:
    """Return the hash of a text, base64-decoded if possible; for anything else, a mark."""
    match value:
        case None:
            return None
        case bytes() | bytearray():
            return fingerprint(bytes(value))
        case str():
            try:
                return fingerprint(base64.b64decode(value, validate=True))
            except (binascii.Error, ValueError):
                return fingerprint(value.encode(errors="surrogatepass"))
    return REDACTED


def fingerprint(body: bytes) -> dict[str, Any]:
    """Return the size and SHA-256 that replace a body."""
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
