#!/usr/bin/python3 -I
"""Pull the image of an experiment's container, and record its id and digest. Python 3.9 or later.

    pull-container IMAGE

An image that is already there (from the AMI, or from before a reboot) is not pulled again. If it cannot be pulled, the
reason is written in one line for write-exit-status, and the command does not begin.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

STATE = pathlib.Path("/var/lib/ec2-lab/instance")
ID, DIGEST = STATE / "container-id", STATE / "container"
WHY = pathlib.Path("/run/ec2-lab/never-began")
LOGIN = "/run/ec2-lab/docker"
"""Docker's configuration with the password of ECR: in memory, and deleted after the pull."""
ECR = re.compile(r"(\d{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws))/")
METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
PAUSES = (2, 5, 10, 20, 40, 60, 0)
"""Seconds between attempts."""
FINAL = re.compile("not found|unknown|denied|unauthorized|no basic auth|no matching manifest|no space left|invalid ref")
"""In the messages of docker and of registries about what another attempt does not change."""
INSTALL = {"apt-get": "apt-get install docker.io", "dnf": "dnf install docker"}


class Failed(Exception):
    """The image cannot be pulled."""


def run(*command, given=None):
    """Run a command with the proxy that is set, except for the metadata service. Raises Failed with its last line."""
    no_proxy = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    no_proxy = no_proxy if no_proxy == "*" else f"{METADATA},{no_proxy}".rstrip(",")
    env = {**os.environ, "HOME": "/root", "no_proxy": no_proxy, "NO_PROXY": no_proxy}
    done = subprocess.run(command, input=given, check=False, capture_output=True, text=True, env=env, cwd="/")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Failed(lines[-1] if lines else f"{command[0]} exited with {done.returncode}")
    return done.stdout


def pull(image):
    """Pull it, from ECR with the credentials of the instance profile. Raises Failed."""
    registry = ECR.match(image)
    if registry and not shutil.which("aws"):
        raise Failed("the AMI has no AWS CLI, which logs in to ECR: python3 -m pip install awscli")
    if registry:
        password = run("aws", "ecr", "get-login-password", "--region", registry[2])
        run(*DOCKER, "login", "--username", "AWS", "--password-stdin", registry[1], given=password)
    run(*DOCKER, "pull", "--quiet", image)


DOCKER = ("docker", "--config", LOGIN)


def pulled(image):
    """Return the image's id and digest. Raises Failed."""
    if not shutil.which("docker"):
        how = next((INSTALL[manager] for manager in INSTALL if shutil.which(manager)), "https://docs.docker.com/engine")
        raise Failed(f"docker is not installed on the AMI: {how}")
    with contextlib.suppress(Failed):
        return inspected(image)
    for pause in PAUSES:
        try:
            pull(image)
            break
        except Failed as why:
            print(f"ec2-lab: {image}: {why}", flush=True)
            if not pause or FINAL.search(str(why)):
                raise
            time.sleep(pause)
    return inspected(image)


def inspected(image):
    """Return the id and digest of an image that is there. Raises Failed.

    Docker shortens the names of its own registry: docker.io/library/python is python.
    """
    found = json.loads(run("docker", "image", "inspect", image))[0]
    name = re.sub(r"^(docker\.io/)?(library/)?", "", re.sub(r"(:[\w.-]+)?(@.*)?$", "", image))
    digests = [one.rpartition("@")[2] for one in found["RepoDigests"] or [] if one.rpartition("@")[0] == name]
    return found["Id"], digests[0] if digests else ""


def main(image):
    """Pull it, and write the result."""
    for path in (ID, WHY):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    try:
        known, digest = pulled(image)
    except Failed as why:
        line = " ".join(str(why).split())[:1000]
        WHY.write_text(f"the command never started: container {image}: {line}")
        return 1
    finally:
        shutil.rmtree(LOGIN, ignore_errors=True)
    DIGEST.write_text(digest)
    draft = ID.with_suffix(".new")
    draft.write_text(known)
    draft.replace(ID)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
