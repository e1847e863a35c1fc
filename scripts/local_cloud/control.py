"""The local cloud's own door, /lab/…: its weather, the calls it saw, and a way back to the beginning."""

from __future__ import annotations

import json
from typing import Any

from moto.core.base_backend import BackendDict
from pydantic import ValidationError

from scripts.local_cloud.answers import Answer
from scripts.local_cloud.call import as_json
from scripts.local_cloud.client_tokens import ClientTokens
from scripts.local_cloud.front import Front
from scripts.local_cloud.machines import Machines
from scripts.local_cloud.seed import seed
from scripts.local_cloud.weather import Weather


def controlled(front: Front, identity: str, method: str, path: str, body: bytes) -> Answer:
    """Answer a request to /lab/…."""
    doors = {
        ("GET", "/lab/health"): lambda: _json({"id": identity, "local": True}),
        ("GET", "/lab/weather"): lambda: _json(front.weather.model_dump()),
        ("POST", "/lab/weather"): lambda: _change_weather(front, body),
        ("GET", "/lab/calls"): lambda: _json(list(front.log)),
        ("POST", "/lab/reset"): lambda: _reset(front),
        ("POST", "/lab/end"): lambda: _end(front, json.loads(body)),
    }
    unknown = _json({"error": f"{method} {path}: not known here"}, 404)
    return doors[method, path]() if (method, path) in doors else unknown


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, as_json(value), "application/json")


def _change_weather(front: Front, body: bytes) -> Answer:
    try:
        weather = Weather.model_validate_json(body)
    except ValidationError as problem:
        first = problem.errors()[0]
        return _json({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)
    with front.lock:
        front.weather = weather
    return _json(weather.model_dump())


def _reset(front: Front) -> Answer:
    """Empty everything, and seed it anew; the weather is calm then."""
    with front.lock:
        BackendDict.reset()
        front.weather, front.machines, front.tokens = Weather(), Machines(), ClientTokens()
        front.log.clear()
        seed()
    return _json({})


def _end(front: Front, what: dict[str, str]) -> Answer:
    """Let EC2 take a machine away, as it does with spot instances."""
    with front.lock:
        front.machines.end(what["region"], what["instance"], what["code"], what["message"])
    return _json({})
