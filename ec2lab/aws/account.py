"""The account of a record: an id says nothing about resources in other accounts."""

from __future__ import annotations

from dataclasses import dataclass

LOCAL = "local"
"""The partition of local clouds. AWS has none of that name."""


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """An AWS account, or a local cloud, which has its own account number."""

    partition: str  # as in ARNs: aws, aws-us-gov, aws-cn
    id: str

    @property
    def is_local(self) -> bool:
        return self.partition == LOCAL

    def __str__(self) -> str:
        return f"local cloud {self.id}" if self.is_local else f"account {self.id}"
