"""One registry after the other: what holds for one holds for all."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ec2lab.config.models import Lab
from ec2lab.registry.base import Registry
from ec2lab.session import Session


@dataclass
class Opener:
    """Opens one and the same registry as often as one likes, each time as another process would."""

    session: Session
    address: str

    def __call__(self) -> Registry:
        return self.session.registry_at(self.address, "test")


@pytest.fixture(params=["registry.json", "dynamodb://us-east-1/lab?lease=2s"], ids=["file", "dynamodb"])
def opened(request, lab) -> Callable[[], Registry]:
    """Open the test's registry."""
    return Opener(Session(lab.path, Lab(regions=["us-east-1"]), "test"), request.param)


@pytest.fixture
def registry(opened):
    """The test's registry, opened once."""
    made = opened()
    yield made
    made.close()
