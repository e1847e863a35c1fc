#!/usr/bin/python3 -I
"""Put an experiment's secrets where its unit reads them, just before its command begins. Python 3.9 or later.

/opt/ec2-lab/secrets.json has the source of each. Those that the launch delivered are in /run, a tmpfs. Those in
Parameter Store and Secrets Manager are read with the credentials of the instance profile, by requests that are signed
here: not every image has the AWS CLI, and its standard output would be one more copy. If one is unavailable, the reason
is written in one line for write-exit-status, and the command does not begin.

AWS_ENDPOINT_URL, AWS_EC2_METADATA_SERVICE_ENDPOINT and https_proxy work as in AWS's own tools.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import json
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.request

from ec2lab.hosts.signed_requests import PATIENCE, Instance, Later, Refused

SOURCES = pathlib.Path("/opt/ec2-lab/secrets.json")
RUNTIME = pathlib.Path("/run/ec2-lab")
DELIVERED, RESULT, WHY = RUNTIME / "secrets.json", RUNTIME / "secrets.env", RUNTIME / "never-began"
PAUSES = (1, 2, 4, 8, 15, 30, 60)
"""Seconds between attempts, two minutes in total."""
TARGETS = {"ssm": "AmazonSSM.GetParameter", "secretsmanager": "secretsmanager.GetSecretValue"}
SERVER_ERROR = 500
THROTTLED = ("ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")


class Missing(Refused):
    """A secret is unavailable, for a reason that waiting does not change."""


class SecretsClient(Instance):
    """Reads secrets with the credentials of the instance."""

    def ask(self, service: str, region: str, body: dict) -> dict:
        """Return a service's answer. Raises Missing, Later."""
        url = os.environ.get("AWS_ENDPOINT_URL") or f"https://{service}.{region}.{self.domain}"
        content = json.dumps(body).encode()
        address, digest = f"{url.rstrip('/')}/", hashlib.sha256(content).hexdigest()
        kind = {"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGETS[service]}
        headers = self.signed(service, region, "POST", address, kind, digest)
        try:
            asking = urllib.request.Request(address, content, headers)
            return json.loads(urllib.request.urlopen(asking, timeout=PATIENCE).read(1 << 20))
        except urllib.error.HTTPError as refused:
            raise problem_of(refused, region) from refused
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise Later(f"{service} in {region} does not answer ({problem})") from problem


def problem_of(refused: urllib.error.HTTPError, region: str) -> Exception:
    """Return the exception for AWS's error, with AWS's own message."""
    try:
        said = json.loads(refused.read(1 << 16))
        code = str(said.get("__type", "")).rpartition("#")[2]
        message = said.get("message") or said.get("Message") or ""
    except (ValueError, AttributeError):
        code, message = "", ""
    words = f"{code or refused.code} in {region}{f': {message}' if message else ''}"
    if refused.code >= SERVER_ERROR or code in THROTTLED:
        return Later(words)
    hint = " (`make setup-aws` shows the policy that is needed)" if code.startswith("AccessDenied") else ""
    return Missing(words + hint)


def value_of(source: dict, instance: SecretsClient) -> str:
    """Return a secret that AWS keeps. Raises Missing, Later."""
    region = source["region"] or instance.region
    if source["store"] == "ssm":
        return instance.ask("ssm", region, {"Name": source["id"], "WithDecryption": True})["Parameter"]["Value"]
    text = instance.ask("secretsmanager", region, {"SecretId": source["id"]}).get("SecretString")
    if text is None:
        raise Missing("is not text")
    return of_key(text, source["key"]) if source["key"] else text


def of_key(text: str, key: str) -> str:
    """Return the text that a JSON object has at a key. Raises Missing."""
    try:
        found = json.loads(text)[key]
    except (ValueError, TypeError):
        raise Missing("is no JSON object") from None
    except KeyError:
        raise Missing(f"has no key {key!r}") from None
    if not isinstance(found, str):
        raise Missing(f"has no text at {key!r}")
    return found


def patiently(ask):
    """Call a function, again for two minutes while it raises Later. Raises Missing."""
    for pause in PAUSES:
        try:
            return ask()
        except Later:
            time.sleep(pause)
    try:
        return ask()
    except Later as late:
        raise Missing(str(late)) from late


def value(name: str, source: dict, delivered: dict, instance: SecretsClient | None) -> str:
    """Return a secret. Raises Missing."""
    if instance is None or source["store"] == "env":
        if name not in delivered:
            raise Missing("lost, because the instance rebooted before the command began; tear down and launch again")
        return delivered[name]
    found = patiently(functools.partial(value_of, source, instance))
    if "\0" in found:
        raise Missing("has a NUL, which no environment can hold")
    return found


def all_values(sources: dict) -> dict:
    """Return every secret by its variable. Raises Missing, which says what is wrong with each, and no value."""
    delivered = json.loads(DELIVERED.read_text()) if DELIVERED.exists() else {}
    asks = any(source["store"] != "env" for source in sources.values())
    instance = patiently(SecretsClient) if asks else None
    values, problems = {}, []
    for name, source in sources.items():
        try:
            values[name] = value(name, source, delivered, instance)
        except Refused as why:
            problems.append(f"{name} ({source['store']}:{source['id']}): {why}")
    if problems:
        raise Missing("; ".join(problems))
    return values


def write(path: pathlib.Path, text: str) -> None:
    """Write a file that only root can read, at any time."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def assignment(name: str, value: str) -> str:
    """Return a line of an environment file (systemd.exec(5), EnvironmentFile=): quoted, so line breaks are its own."""
    quoted = re.sub(r'([\\"$`])', r"\\\1", value)
    return f'{name}="{quoted}"\n'


def main() -> int:
    """Fetch all of them, or none; what the launch delivered is gone from here on."""
    try:
        values = all_values(json.loads(SOURCES.read_text()))
    except (Refused, OSError, ValueError, LookupError) as why:
        line = " ".join(str(why).split())[:2000]
        write(WHY, f"the command never started: secrets: {line}")
        return 1
    finally:
        DELIVERED.unlink(missing_ok=True)
    write(RESULT, "".join(assignment(name, value) for name, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
