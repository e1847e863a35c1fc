"""Who may reach the local cloud: no web page, whatever its name resolves to, and nobody who lacks the secret."""

from __future__ import annotations

import ipaddress
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

BROWSER_HEADERS = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_DEST")
"""At least one comes with each request that a page makes of a loopback address, also with those that have no Origin
(https://www.w3.org/TR/fetch-metadata/). No AWS client sends any."""


def browser_error(environ: dict[str, Any]) -> str | None:
    """Return why a request is refused that a web page may have caused."""
    if any(header in environ for header in BROWSER_HEADERS):
        return "requests of web pages are not served"
    host = environ.get("HTTP_HOST", "")
    if not _is_local(host):
        return f"Host: {host[:200]!r} is not an address of this computer"
    return None


def _is_local(host: str) -> bool:
    """Say whether a Host header names this computer in a way that no name server decides.

    Link-local addresses are how a virtual machine reaches the computer that it runs on.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost":
            return True
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local


def is_authorized(environ: dict[str, Any], secret: str) -> bool:
    """Say whether a control request carries the secret."""
    given: str = environ.get("HTTP_AUTHORIZATION", "")
    return compare_digest(given.encode(), f"Bearer {secret}".encode())
