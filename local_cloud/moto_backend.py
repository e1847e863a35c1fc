"""moto, which stores the resources: one call, one response; and patches of it."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import cache
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import xmltodict
from moto import backends
from moto.core import responses, utils
from moto.core.serialize import AttributePickerContext, XFormedAttributePicker
from moto.core.utils import method_names_from_class
from moto.ec2.models.amis import Ami
from moto.ec2.utils import filter_dict_attribute_mapping
from moto.kms import models
from moto.kms.utils import KeySpec, generate_private_key

from local_cloud import clock
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, error

OWN = ("content-type", "content-length", "x-amzn-requestid", "date", "server", "connection", "transfer-encoding")
"""Headers that the server writes itself."""
CONSTANT = ("DescribeInstanceTypes", "DescribeInstanceTypeOfferings")
"""Calls whose responses depend on nothing but the region and the parameters: moto takes up to 0.1 s for each."""
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

_constant: dict[tuple[Any, ...], Answer] = {}


def ask(moto: Wsgi, call: Call) -> Answer:
    key = (call.region, *sorted(call.params.items()))
    answer = _constant.get(key) or _asked(moto, call)
    if call.action in CONSTANT and answer.code is None:
        _constant[key] = answer
        answer = replace(answer, request_id=str(uuid.uuid4()), headers=dict(answer.headers))
    answer.body = answer.body.replace(b"<requestId>request-id<", f"<requestId>{answer.request_id}<".encode())
    return answer


def _asked(moto: Wsgi, call: Call) -> Answer:
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
    # Of a large response, these took a quarter of the time.
    xmltodict._validate_name = cache(xmltodict._validate_name)  # noqa: SLF001
    XFormedAttributePicker.get_possible_keys = _keys_once(  # type: ignore[method-assign,assignment]
        XFormedAttributePicker.get_possible_keys
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


def _keys_once(look: Callable[..., Any]) -> Callable[..., Sequence[str]]:
    """Cache what a member of a service's structure may be called in objects of a type."""
    known: dict[tuple[Any, ...], Sequence[str]] = {}

    def look_once(picker: Any, context: AttributePickerContext) -> Sequence[str]:
        shape, service = context.shape, context.service_model
        parent = getattr(shape, "parent", None)
        key = (type(context.obj), context.key, shape.name, parent and parent.name, service and service.service_name)
        if (keys := known.get(key)) is None:
            keys = known[key] = tuple(look(picker, context))
        return keys

    return look_once
