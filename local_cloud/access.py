"""Who may reach the local cloud: no web page, whatever its name resolves to, and nobody without the secret."""

from __future__ import annotations

import ipaddress
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

BROWSER_HEADERS = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_DEST")
"""At least one is in each request of a page to a loopback address, also in those without Origin
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
    """Say whether a Host header names this computer without DNS.

    A virtual machine reaches its host by a link-local address.
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
