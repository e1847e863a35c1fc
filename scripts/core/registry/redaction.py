"""What of a call may be written down: everything but secrets."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import Shape

SECRET = frozenset(
    {
        "accesskeyid", "authorizationtoken", "keymaterial", "masteruserpassword", "passworddata", "presignedurl",
        "privatekey", "secretaccesskey", "secretbinary", "secretstring", "sessiontoken", "token",
    }
)  # fmt: skip
"""Members that are secret by name. The service models mark more as sensitive, and not all of these."""

USER_DATA = "userdata"


def without_secrets(value: Any, shape: Shape | None = None) -> Any:
    """Return `value` as plain JSON with every secret replaced by a mark, user data by its hash and size.

    A member is secret by its name, or because botocore's model of the service marks its shape as sensitive
    (https://smithy.io/2.0/spec/documentation-traits.html#sensitive-trait).
    """
    match value:
        case Mapping():
            secure = value.get("Type") == "SecureString"
            return {key: _member(key, member, shape, secure=secure) for key, member in value.items()}
        case list() | tuple():
            return [without_secrets(item, getattr(shape, "member", None)) for item in value]
        case datetime():
            return value.isoformat()
        case bytes() | bytearray():
            return fingerprint(bytes(value))
        case str() | int() | float() | bool() | None:
            return value
    return str(value)


def _member(key: str, value: Any, shape: Shape | None, *, secure: bool) -> Any:
    inner = getattr(shape, "members", {}).get(key) or getattr(shape, "value", None)
    name = str(key).lower()
    if name == USER_DATA:
        return _user_data(value)
    if value is not None and (name in SECRET or (secure and key == "Value") or _is_sensitive(inner)):
        return "(secret)"
    return without_secrets(value, inner)


def _is_sensitive(shape: Shape | None) -> bool:
    return bool(shape is not None and shape.metadata.get("sensitive"))


def _user_data(value: Any) -> Any:
    """Return the hash of user data, which travels as bytes, as base64, or wrapped in {"Value": base64}."""
    if isinstance(value, Mapping):
        return {key: _user_data(inner) for key, inner in value.items()}
    if isinstance(value, str):
        try:
            return fingerprint(base64.b64decode(value, validate=True))
        except binascii.Error:
            return fingerprint(value.encode())
    return fingerprint(value) if isinstance(value, bytes) else value


def fingerprint(body: bytes) -> dict[str, Any]:
    """Return the size and SHA-256 that stand for a body that is not written down."""
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
