"""What a notifier promises: it carries what happens to a watched experiment to where people are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ec2lab.events import Event


class Notifier(ABC):
    """Tells somebody, somewhere."""

    name: ClassVar[str]

    @abstractmethod
    def notify(self, event: Event) -> None:
        """Tell of an event. It may take its time, and fail in any way: that is said, and the watch goes on."""
