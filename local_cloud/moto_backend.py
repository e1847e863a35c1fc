"""moto, which stores the resources: one call, one response; and patches of it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from functools import cache
from http import HTTPStatus
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
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, error

OWN = ("content-type", "content-length", "x-amzn-requestid", "date", "server", "connection", "transfer-encoding")
"""Headers that the server writes itself."""
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def ask(moto: Wsgi, call: Call) -> Answer:
    caught: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        caught["status"] = int(status.split(maxsplit=1)[0])
        caught["type"] = dict(headers).get("Content-Type", "text/xml")
        caught["headers"] = {name: value for name, value in headers if name.lower() not in OWN}

    try:
        body = b"".join(moto(call.rewritten(), start_response))
    except Exception:  # noqa: BLE001 - whatever moto fails with
        traceback.print_exc()
        caught = {"status": HTTPStatus.INTERNAL_SERVER_ERROR, "type": "text/html"}
    if caught["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR and caught["type"].startswith("text/html"):
        # A page would be taken for an outage, and retried.
        what = f"{call.service}:{call.action} as it was asked is not in the local cloud"
        return error(Problem("UnsupportedOperation", what), call.protocol)
    answer = Answer(caught["status"], body, caught["type"], headers=caught["headers"])
    answer.body = body.replace(b"<requestId>request-id<", f"<requestId>{answer.request_id}<".encode())
    answer.code = _code_in(answer)
    return answer


def _code_in(answer: Answer) -> str | None:
    if answer.status < HTTPStatus.BAD_REQUEST:
        return None
    _, _, rest = answer.body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode() or str(answer.status)


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
