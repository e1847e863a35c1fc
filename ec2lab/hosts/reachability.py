"""Whether a host that HOST names can be reached, and what to do if it cannot: ssh's own messages name no remedy."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.hosts.own_keys import output_of
from ec2lab.validators import did_you_mean

Settings = Mapping[str, Sequence[str]]  # ssh's settings for a host, by lower-case keywords (`ssh -G`)
CONNECT_TIMEOUT = 10.0  # seconds in which TCP connects to any host that is up
UNRESOLVED = "Could not resolve hostname"
DENIED = "Permission denied"

REMEDIES = {  # by what ssh prints (a regular expression), what that means and what to do
    UNRESOLVED: "DNS does not know it; `make status` lists the lab's hosts",
    "Connection refused": (
        "it refuses ssh connections: sshd does not run there (yet), or listens on another port (Port in ~/.ssh/config)"
    ),
    "timed out": (
        "it does not respond: it is stopped, or no security group admits your address (`make doctor` checks that)"
    ),
    "No route to host|Network is unreachable": "there is no route to it from here: check your network or VPN",
    "kex_exchange_identification|banner exchange|Connection closed by|Connection reset": (
        "it closed the connection before the login: sshd may be starting, so try again in a minute"
    ),
    "Too many authentication failures": "your agent offered too many wrong keys: `ssh-add -D` empties it",
    "REMOTE HOST IDENTIFICATION HAS CHANGED": (
        "its host key is not the one that was pinned, and nothing was sent: another instance answers at its address, "
        "or it has a new key since a `cloud-init clean` there; delete the old one from the lab's .ssh/known_hosts/, "
        "and the new one is read from its console"
    ),
    "Host key verification failed": (
        "its host key is not known; log in once by hand (`ssh {host}`) and compare the fingerprint, or name an "
        "experiment, whose instances' keys are pinned"
    ),
    DENIED: (
        "none of your keys opens an account there: is it in the agent (`ssh-add -l`), and are you a member there? "
        "MEMBER=name says who; an account whose login shell does not exist is refused as well"
    ),
}


def explain(host: str, printed: str) -> str:
    for pattern, remedy in REMEDIES.items():
        if re.search(pattern, printed):
            return remedy.format(host=host)
    return (printed.strip().splitlines() or ["ssh could not connect"])[-1].strip()


def ssh_settings(config: Path, host: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    output = output_of("ssh", "-F", str(config), "-G", "--", host)
    for keyword, value in re.findall(r"^([a-z0-9]+) (.*)$", output, re.MULTILINE):
        found.setdefault(keyword, []).append(value)
    return found if "hostname" in found else {}


def expect_resolvable(config: Path, word: str, known: Iterable[str]) -> None:
    """Raise UserError if HOST is a name that nobody knows; `known` are those of the lab, for a suggestion."""
    settings = ssh_settings(config, word.rpartition("@")[2])
    if _has_direct_address(settings) and not _addresses(settings):
        raise UserError(
            f"HOST: {word!r} is not an experiment or an instance of this lab, and neither DNS nor ~/.ssh/config knows "
            f"it{did_you_mean(word, known) or ' (`make status` lists hosts)'}"
        )


def expect_connection(config: Path, host: str) -> None:
    """Raise UserError if nothing answers on a host's ssh port, or its host key is not known."""
    settings = ssh_settings(config, host)
    if not _has_direct_address(settings):
        return
    address, port = settings["hostname"][0], int(settings.get("port", ["22"])[0])
    try:
        socket.create_connection((address, port), CONNECT_TIMEOUT).close()
    except socket.gaierror as problem:
        raise UserError(f"{host}: {explain(host, UNRESOLVED)}") from problem
    except OSError as problem:
        raise UserError(f"{host}: {explain(host, str(problem))}") from problem
    if not _has_host_key(settings, address, port):
        raise UserError(f"{host}: {explain(host, 'Host key verification failed')}")


def _has_direct_address(settings: Settings) -> bool:
    """Say whether ssh connects by itself; what a proxy resolves and reaches cannot be told from here."""
    return bool(settings) and all(settings.get(proxy, ["none"]) == ["none"] for proxy in ("proxycommand", "proxyjump"))


def _addresses(settings: Settings) -> Sequence[object]:
    try:
        return socket.getaddrinfo(settings["hostname"][0], None)
    except (socket.gaierror, UnicodeError):
        return ()


def _has_host_key(settings: Settings, address: str, port: int) -> bool:
    if settings.get("knownhostscommand", ["none"]) != ["none"]:
        return True
    name = settings.get("hostkeyalias", [address if port == 22 else f"[{address}]:{port}"])[0]  # noqa: PLR2004
    files = [*settings.get("userknownhostsfile", ()), *settings.get("globalknownhostsfile", ())]
    paths = [Path(path).expanduser() for line in files for path in _words(line)]
    return any(output_of("ssh-keygen", "-F", name, "-f", str(path)) for path in paths if path.is_file())


def _words(line: str) -> list[str]:
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', line)]
