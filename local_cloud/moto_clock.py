"""moto, by the cloud's clock: what it makes was made when the cloud says."""

from __future__ import annotations

from datetime import datetime, tzinfo
from types import SimpleNamespace
from typing import Any

from moto.core import utils

from local_cloud import clock


class CloudTime(datetime):
    """A moment; now is what the cloud's clock shows."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """Return the cloud's time."""
        return clock.now().astimezone(tz)


def keep_time() -> None:
    """Have moto go by the cloud's clock from now on: `utcnow`, which all of moto asks, looks for `datetime` there."""
    utils.datetime = SimpleNamespace(datetime=CloudTime)  # type: ignore[attr-defined, assignment]
