"""botocore's own data, cut down to what the lab calls: a client is made in a fifth of the time.

botocore describes EC2 by 830 operations and 4,400 shapes, and reads them all, every service's endpoints, and the
names of 430 services, before the first call. What is left out here is read when someone asks for it, so that any
operation of any service works as it does without: only later. Made at set-up (scripts/environment.py) for the
botocore that was installed; where that is another now, or a file is damaged, botocore's own is read.
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
"""The names of our files that are not of one service: botocore's own, and ours for its list of services."""


class LazyMapping(Mapping[str, Any]):
    """A part of a mapping that stands for the whole of it, which is read as soon as anything else is asked for.

    Whoever walks it sees the part alone: botocore does so at each refusal by AWS, in search of a service's exceptions.
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

    Ours step aside where the user has models of their own (AWS_DATA_PATH, ~/.aws/models).
    """

    def __init__(self, users: Sequence[str] = (), directory: Path | None = None) -> None:
        """Look for data in the user's directories, then where botocore looks; for what was cut in `directory`."""
        super().__init__([str(Path(os.path.expandvars(path)).expanduser()) for path in users])
        self._directory = (directory or DIRECTORY) / botocore.__version__
        self._has_only_botocores = [p for p in self.search_paths if Path(p).is_dir()] == [self.BUILTIN_DATA_PATH]
        self._ours: dict[str, Any] = {}

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return the data of a name like `ec2/2016-11-15/service-2`, and where botocore has it."""
        cut = self._cut(name)
        if cut is None:
            found: tuple[Any, str] = super().load_data_with_path(name)
            return found
        return cut, str(Path(self.BUILTIN_DATA_PATH, name))

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services that have a file of a type, without a look into 430 directories."""
        known = (self._cut(SERVICES) or {}).get(type_name)
        services: list[str] = known or super().list_available_services(type_name)
        return services

    def _cut(self, name: str) -> Any:
        """Return what set-up left of a name; None where it left nothing, or what it left is not to be used."""
        if name not in self._ours:
            cut = read(self._directory / f"{name}.json") if self._has_only_botocores else None
            self._ours[name] = cut and self._completed(name, cut)
        return self._ours[name]

    def _completed(self, name: str, cut: dict[str, Any]) -> dict[str, Any]:
        """Let what was cut off be found: a service's other shapes, the endpoints of other services."""

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
