"""botocore's model files, parsed once per process: moto reads EC2's, of 4 MB, four times at its start."""

from __future__ import annotations

from typing import Any

from botocore.loaders import JSONFileLoader

_load = JSONFileLoader.load_file
_loaded: dict[str, Any] = {}


def _load_once(self: JSONFileLoader, path: str) -> Any:
    if path not in _loaded:
        _loaded[path] = _load(self, path)
    return _loaded[path]


def read_once() -> None:
    """Patch botocore."""
    JSONFileLoader.load_file = _load_once  # type: ignore[method-assign,assignment]
