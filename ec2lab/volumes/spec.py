"""What an instance is told of one of its volumes: an entry of /etc/ec2-lab/volumes.json, read by mount-volumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

PROGRAM = "/opt/ec2-lab/mount-volumes"
VOLUMES = "/etc/ec2-lab/volumes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """How a volume is found, and what is made of it. What is None is left out."""

    mount: str
    source: Literal["ebs", "instance-store"] = "ebs"
    device: str | None = None
    """The name that the volume was asked for with: /dev/sdf."""
    volume: str | None = None
    """Its id, where that is known already."""
    uuid: str | None = None
    """Its file system's."""
    read_only: bool | None = None
    format: str | None = None
    """The file system that is made on an empty disk; nothing is ever formatted without."""
    owner: str | None = None
    mode: str | None = None
    options: Sequence[str] | None = None
    """How it is mounted, beside nosuid and nodev, which suid and dev among them take back."""

    def as_dict(self) -> dict[str, Any]:
        """Return what is told."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def as_json(self) -> str:
        """Return it as the instance reads it."""
        return json.dumps(self.as_dict())
