"""Patches of moto: it uses the cloud's clock, and computes once what never changes, or not at all what nobody needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import cache
from types import SimpleNamespace
from typing import Any

from moto import backends
from moto.core import responses, utils
from moto.core.utils import method_names_from_class
from moto.ec2.models.amis import Ami
from moto.ec2.models.instance_types import InstanceTypeOfferingBackend
from moto.ec2.utils import filter_dict_attribute_mapping
from moto.kms import models
from moto.kms.utils import KeySpec, generate_private_key

from local_cloud import clock


class CloudTime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return clock.now().astimezone(tz)


def patch_moto() -> None:
    # `utcnow`, which all of moto calls, looks up `datetime` there.
    utils.datetime = SimpleNamespace(datetime=CloudTime)  # type: ignore[attr-defined, assignment]
    # DescribeInstances filters of EC2 on which moto would return a server error.
    own = {"client-token": "client_token", "instance-lifecycle": "lifecycle", "launch-time": "launch_time"}
    filter_dict_attribute_mapping.update(own)
    # Its modules on disk and the names of a class's methods took a fifth of each call's time.
    modules: Any = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]
    # The zones that offer an instance type: comparing thousands of offerings took 8 of the 10 ms of such a call.
    InstanceTypeOfferingBackend.describe_instance_type_offerings = _once(  # type: ignore[method-assign]
        InstanceTypeOfferingBackend.describe_instance_type_offerings
    )
    models.generate_private_key = _private_key  # type: ignore[attr-defined]
    Ami.block_device_mappings = property(_root_mapping)  # type: ignore[assignment, method-assign]


def _root_mapping(image: Ami) -> list[dict[str, Any]]:
    """Return an image's root disk with its snapshot's size, as DescribeImages does. moto's are all of 15 GiB."""
    snapshot = image.ebs_snapshot
    disk = {"SnapshotId": snapshot.id, "VolumeSize": snapshot.volume.size, "DeleteOnTermination": True}
    return [{"DeviceName": image.root_device_name, "Ebs": {**disk, "VolumeType": "gp3"}}]


def _private_key(key_spec: str) -> Any:
    """Generate the RSA key of a KMS key only for signing keys: it takes 50 ms.

    EC2 creates a symmetric key in each region at its first encrypted volume.
    """
    return None if key_spec == KeySpec.SYMMETRIC_DEFAULT else generate_private_key(key_spec)


def _once(look: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    known: dict[str, list[Any]] = {}

    def look_once(backend: Any, *arguments: Any, **named: Any) -> list[Any]:
        key = json.dumps([backend.region_name, arguments, named], sort_keys=True)
        if key not in known:
            known[key] = look(backend, *arguments, **named)
        return list(known[key])

    return look_once
