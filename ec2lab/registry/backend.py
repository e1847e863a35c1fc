"""A place where a registry can be kept, as a plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ec2lab.registry.base import Registry
    from ec2lab.session import Session


class RegistryBackend(ABC):
    """Opens the registries whose address begins with its scheme and `://`; a bare path is a file."""

    scheme: ClassVar[str]

    @abstractmethod
    def open(self, session: Session, address: str, where: str) -> Registry:
        """Return the registry at `address`. Raises UserError that begins with `where`, which says who named it."""
