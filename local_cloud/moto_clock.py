"""moto, by the cloud's clock."""

from __future__ import annotations

from datetime import datetime, tzinfo
from types import SimpleNamespace
from typing import Any

from moto.core import utils

from local_cloud import clock


class CloudTime(datetime):
    """A moment; now is the cloud's time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """Return the cloud's time."""
        return clock.now().astimezone(tz)


def keep_time() -> None:
    """Make moto use the cloud's clock: `utcnow`, which all of moto calls, looks up `datetime` there."""
    utils.datetime = SimpleNamespace(datetime=CloudTime)  # type: ignore[attr-defined, assignment]
