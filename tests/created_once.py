"""What each process makes for itself with its libraries, made once for all that are forked from one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import botocore.session
import typer.main
from botocore.client import ClientCreator
from botocore.hooks import EventAliaser
from botocore.loaders import JSONFileLoader
from pydantic import BaseModel

from ec2lab import plugins
from ec2lab.aws import botocore_cache
from ec2lab.plugin_interfaces import PROJECT


def make_once(services: Sequence[str]) -> None:
    """Make it, for clients of some services; call it when all modules are loaded."""
    models: list[type[BaseModel]] = [BaseModel]
    for model in models:
        models += model.__subclasses__()
    for model in models[1:]:
        model.model_rebuild()
    _remember(JSONFileLoader, "load_file", lambda _, path: path)
    _remember(botocore_cache, "read", lambda path: path)
    _remember(EventAliaser, "_alias_event_name", lambda _, name: name)
    _remember(typer.main, "get_command", id)
    # A lab's directory, the first one, holds no installed packages.
    _remember(plugins, "entry_points", lambda group: (group, *sys.path[1:]))
    plugins.entry_points(group=PROJECT)
    _remember(ClientCreator, "_create_client_class", lambda _, name, model: (name, *model.operation_names))
    for loader in (botocore.session.Session().get_component("data_loader"), botocore_cache.TrimmedLoader()):
        session = botocore.session.Session()
        session.register_component("data_loader", loader)
        for service in services:
            session.create_client(service, "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")


def _remember(owner: Any, name: str, key_of: Callable[..., Hashable]) -> None:
    """Let a function return what it returned the first time; what it depends on is its key."""
    results: dict[Hashable, Any] = {}
    function = getattr(owner, name)

    def remembering(*arguments: Any, **named: Any) -> Any:
        key = key_of(*arguments, **named)
        if key not in results:
            results[key] = function(*arguments, **named)
        return results[key]

    setattr(owner, name, remembering)
