"""botocore's data, reduced to what the lab calls, so that a client is created in a fifth of the time.

botocore describes EC2 by 830 operations and 4,400 shapes, and reads all of them, every service's endpoints, and the
names of 430 services before the first call. What is left out here is read on demand, so every operation of every
service still works, only later. It is built at set-up (scripts/environment.py) for the installed botocore; for another
version, or if a file is damaged, botocore's own data is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import botocore
from botocore.loaders import Loader

from ec2lab.disk_cache import CACHE, read

DIRECTORY = CACHE / "botocore"
ENDPOINTS = "endpoints"
SERVICES = "services"
"""Names of our files that are not for one service: botocore's own, and ours for its list of services."""


class LazyMapping(Mapping[str, Any]):
    """A part of a mapping that reads the whole one as soon as anything else is requested.

    Iterating shows only the part: botocore does so for each error, to find a service's exceptions.
    """

    def __init__(self, part: Mapping[str, Any], whole: Callable[[], Mapping[str, Any]]) -> None:
        self._part, self._read = part, whole

    @cached_property
    def _whole(self) -> Mapping[str, Any]:
        return self._read()

    def __getitem__(self, key: str) -> Any:
        return self._part[key] if key in self._part else self._whole[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._part)

    def __len__(self) -> int:
        return len(self._part)


class TrimmedLoader(Loader):
    """Reads botocore's data, ours first.

    Ours are not used if the user has models of their own (AWS_DATA_PATH, ~/.aws/models).
    """

    def __init__(self, users: Sequence[str] = (), directory: Path | None = None) -> None:
        """Search the user's directories, then botocore's; the reduced data is in `directory`."""
        super().__init__([str(Path(os.path.expandvars(path)).expanduser()) for path in users])
        self._directory = (directory or DIRECTORY) / botocore.__version__
        self._has_only_botocores = [p for p in self.search_paths if Path(p).is_dir()] == [self.BUILTIN_DATA_PATH]
        self._ours: dict[str, Any] = {}

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return the data for a name like `ec2/2016-11-15/service-2`, and where botocore has it."""
        cut = self._cut(name)
        if cut is None:
            found: tuple[Any, str] = super().load_data_with_path(name)
            return found
        return cut, str(Path(self.BUILTIN_DATA_PATH, name))

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services that have a file of a type, without reading 430 directories."""
        known = (self._cut(SERVICES) or {}).get(type_name)
        services: list[str] = known or super().list_available_services(type_name)
        return services

    def _cut(self, name: str) -> Any:
        """Return the reduced data for a name; None if there is none, or it must not be used."""
        if name not in self._ours:
            cut = read(self._directory / f"{name}.json") if self._has_only_botocores else None
            self._ours[name] = cut and self._completed(name, cut)
        return self._ours[name]

    def _completed(self, name: str, cut: dict[str, Any]) -> dict[str, Any]:
        """Add what was left out, read on demand: a service's other shapes, other services' endpoints."""

        def whole() -> Any:
            return Loader.load_data_with_path(self, name)[0]

        def services_of(number: int) -> Mapping[str, Any]:
            services: Mapping[str, Any] = whole()["partitions"][number]["services"]
            return services

        if name == ENDPOINTS:
            for number, partition in enumerate(cut["partitions"]):
                partition["services"] = LazyMapping(partition["services"], partial(services_of, number))
        elif "shapes" in cut:
            cut["shapes"] = LazyMapping(cut["shapes"], lambda: whole()["shapes"])
        return cut
