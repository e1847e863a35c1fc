"""The whole state of the local cloud as bytes: moto's and the layer's.

One pickle of both, because the layer refers to moto's objects, whose identity is kept. pickle rejects what it cannot
rebuild (a closure, a lock), so a state that would be restored only in part cannot be saved.
"""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from types import FunctionType
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.moto_api._internal.models import moto_api_backend

SERVICES: list[Any] = BackendDict._instances  # type: ignore[misc]  # noqa: SLF001
"""moto's own list of the services in use."""


class _Saver(pickle.Pickler):
    def __init__(self, file: io.BytesIO, process: list[Any]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._process = process
        self._places = {id(kept): place for place, kept in enumerate(process)}

    def persistent_id(self, kept: Any) -> int | None:
        if isinstance(kept, FunctionType) and kept.__name__ == "<lambda>" and kept.__closure__ is None:
            return self._place_of(kept)  # one of moto's default factories: code without state
        return self._places.get(id(kept))

    def _place_of(self, function: FunctionType) -> int:
        if id(function) not in self._places:
            self._places[id(function)] = len(self._process)
            self._process.append(function)
        return self._places[id(function)]

    def reducer_override(self, kept: Any) -> Any:
        """Pickle moto's dict subclasses as dicts: their methods show and store something else."""
        if not isinstance(kept, dict) or not type(kept).__module__.startswith("moto."):
            return NotImplemented
        factory = kept.default_factory if isinstance(kept, defaultdict) else None
        return _empty, (type(kept),), (dict.copy(kept), vars(kept), factory), None, None, _fill


def _empty(kind: type[dict[Any, Any]]) -> dict[Any, Any]:
    return kind.__new__(kind)


def _fill(kept: dict[Any, Any], state: tuple[dict[Any, Any], dict[str, Any], Any]) -> None:
    contents, attributes, factory = state
    dict.update(kept, contents)
    vars(kept).update(attributes)
    if isinstance(kept, defaultdict):
        kept.default_factory = factory


class _Loader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, process: list[Any]) -> None:
        super().__init__(file)
        self._process = process

    def persistent_load(self, place: int) -> Any:
        return self._process[place]


class SavedState:
    """The state of a local cloud at one moment; it can be restored any number of times."""

    def __init__(self, layer: dict[str, Any], process: list[Any]) -> None:
        """Save the layer's state with moto's, by reference to `process`. Raises pickle.PicklingError."""
        self._services = list(SERVICES)
        self._process = [*process, *self._services]
        file = io.BytesIO()
        moto = [(dict.copy(service), vars(service)) for service in self._services]
        _Saver(file, self._process).dump((moto, layer))
        self._bytes = file.getvalue()

    def restored(self) -> dict[str, Any]:
        forget_everything()  # before loading: it closes the files of all objects that moto ever created
        # Safe: these are our own bytes, which never left the process.
        moto, layer = _Loader(io.BytesIO(self._bytes), self._process).load()
        for service, (backends, attributes) in zip(self._services, moto, strict=True):
            service.update(backends)
            vars(service).update(attributes)
            SERVICES.append(service)
        return dict(layer)


def forget_everything() -> None:
    """Empty moto. A service without a reset of its own would only be recreated to be dropped."""
    for service in SERVICES:
        if service.backend.reset is BaseBackend.reset:
            service.clear()
    moto_api_backend.reset()
