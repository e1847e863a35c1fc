"""Registry backends. Built in are a file next to lab.toml and a DynamoDB table."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter, ValidationError

from ec2lab.config.fields import Duration
from ec2lab.errors import UserError
from ec2lab.output_file import followed
from ec2lab.plugin_guard import Guard, ResultCheck, guarded, is_a, several
from ec2lab.plugins import Plugins
from ec2lab.regions import no_region, regions
from ec2lab.registry.base import Registry
from ec2lab.registry.record import Record

ClientFactory = Callable[[str, str], Any]
"""Creates a client of a service in a region whose calls are not recorded: recording them would create more records."""
TABLE = r"[A-Za-z0-9_.-]{3,255}"
"""Valid table names
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html)."""
LEASE = "60s"  # how long a dead process keeps its lock if nobody can tell that it died
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=1)
"""Limits of a lease, which is renewed three times in its length."""


def _registry(found: Any, guard: Guard, *_: Any) -> Registry:
    registry: Registry = is_a(found, Registry, "Registry")
    records = several(Record, "Record")
    return guarded(registry, guard, {"records": records, "history": records, "histories": records})


class RegistryBackend(ABC):
    """Opens registries whose address begins with its scheme and `://`. A plain path is a file."""

    scheme: ClassVar[str]
    results: ClassVar[Mapping[str, ResultCheck]] = {"open": _registry}

    @abstractmethod
    def open(self, address: str, where: str, directory: Path, client: ClientFactory) -> Registry:
        """Return the registry at `address` for the lab in `directory`; `client` creates AWS clients.

        Raises UserError that begins with `where`, the place that names the address.
        """


class File(RegistryBackend):
    """`registry = "registry.json"`: for one person, or for a team on one computer."""

    scheme = "file"

    def open(self, address: str, where: str, directory: Path, client: ClientFactory) -> Registry:
        """Return the registry at a path relative to the lab's directory. Raises UserError."""
        from ec2lab.registry.file_registry import FileRegistry

        if re.match(r"[a-z0-9]+:/(?!/)", address):
            raise UserError(
                f"{where}: {address!r} is not an address; two slashes follow the colon (dynamodb://us-east-1/lab)"
            )
        path = directory / Path(address.removeprefix("file://")).expanduser()
        if path.is_dir():
            raise UserError(f"{where}: {path} is a directory; name a file in it")
        if not path.parent.is_dir():
            raise UserError(f"{where}: {path.parent} does not exist; create it, or choose another file")
        try:
            return FileRegistry(followed(path))
        except OSError as problem:
            raise UserError(f"{where}: {problem.filename or path}: {problem.strerror}") from problem


class DynamoDbBackend(RegistryBackend):
    """`registry = "dynamodb://us-east-1/lab"`: for a team. `?lease=5m` sets the length of leases."""

    scheme = "dynamodb"

    def open(self, address: str, where: str, directory: Path, client: ClientFactory) -> Registry:
        """Return the registry in a table, which is created on first use. Raises UserError."""
        from ec2lab.registry.dynamodb_registry import DynamoDbRegistry

        parts = urlsplit(address)
        region, table = parts.netloc, parts.path.removeprefix("/")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not re.fullmatch(TABLE, table) or options.keys() - {"lease"}:
            raise UserError(f"{where}: {address!r} is not the address of a table (try dynamodb://us-east-1/lab)")
        if region not in regions():
            raise UserError(f"{where}: {address!r}: {no_region(region)}")
        try:
            lease = TypeAdapter(Duration).validate_python(options.get("lease", LEASE))
        except ValidationError as problem:
            raise UserError(f"{where}: lease: {problem.errors()[0]['ctx']['error']}") from problem
        if not SHORTEST <= lease <= LONGEST:
            raise UserError(f"{where}: lease: {options['lease']} is not from 1s to 1h")
        return DynamoDbRegistry(client("dynamodb", region), address, table, lease.total_seconds())


def registry_backends(plugins: Plugins) -> dict[str, RegistryBackend]:
    return plugins.named("lab_registry_backends", RegistryBackend, by="scheme")
