"""Names of container images. Pure."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from ec2lab.config.fields import matching

COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
HOST = r"[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*(?::[0-9]{1,5})?"
DIGEST = r"sha256:[0-9a-f]{64}"
REFERENCE = (  # https://github.com/distribution/reference/blob/main/reference.go
    rf"(?=.{{1,400}}\Z)(?P<repository>(?:{HOST}/)?{COMPONENT}(?:/{COMPONENT})*)"
    rf"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@(?P<digest>{DIGEST}))?"
)
ECR = r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)/"
"""A private registry of Amazon ECR
(https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html)."""
ContainerImage = Annotated[
    str,
    matching(REFERENCE, 'the name of a container image (try "nvcr.io/nvidia/pytorch:26.01-py3")'),
    Field(examples=["nvcr.io/nvidia/pytorch:26.01-py3"]),
]


def ecr_repository(image: str) -> tuple[str, str, str] | None:
    """Return the account, the region and the name of an image's repository; None if it is not in Amazon ECR."""
    found, named = re.match(ECR, image), re.fullmatch(REFERENCE, image)
    return (found[1], found[2], named["repository"][found.end() :]) if found and named else None


def digest_in(image: str) -> str:
    """Return the digest in an image's name; an empty string if it has none."""
    found = re.fullmatch(REFERENCE, image)
    return (found and found["digest"]) or ""


def at_digest(image: str, digest: str) -> str:
    """Return the name of the image with that digest, in the repository of another image."""
    found = re.fullmatch(REFERENCE, image)
    return f"{found['repository'] if found else image}@{digest}"
