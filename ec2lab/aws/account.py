"""Which account a record speaks of: an id says nothing of what another account has."""

from __future__ import annotations

from dataclasses import dataclass

LOCAL = "local"
"""The partition of local clouds: none of AWS's is called so."""


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """An AWS account, or a local cloud, which has a number of its own."""

    partition: str
    """As ARNs have it: aws, aws-us-gov, aws-cn."""
    id: str

    @property
    def is_local(self) -> bool:
        """Whether it is a local cloud, where nothing is real."""
        return self.partition == LOCAL

    def __str__(self) -> str:
        return f"local cloud {self.id}" if self.is_local else f"account {self.id}"
