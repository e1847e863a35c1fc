"""moto's KMS keys without the RSA key that it generates for each, which only signing keys need.

EC2 creates a symmetric key in each region at its first encrypted volume; the RSA key took 50 ms of each such launch.
"""

from __future__ import annotations

from typing import Any

from moto.kms import models
from moto.kms.utils import KeySpec, generate_private_key


def _private_key(key_spec: str) -> Any:
    return None if key_spec == KeySpec.SYMMETRIC_DEFAULT else generate_private_key(key_spec)


def without_private_keys() -> None:
    """Patch moto."""
    models.generate_private_key = _private_key  # type: ignore[attr-defined]
