"""EC2's filters by tag, for services that have none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from scripts.core.aws.tags import tag_map


def matching(items: Iterable[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the items, with their Tags, that match all filters: `tag:KEY` by its value, `tag-key` by any key."""
    for item in items:
        tags = tag_map(item.get("Tags"))
        if all(_matches(tags, wanted["Name"], wanted["Values"]) for wanted in filters):
            yield item


def _matches(tags: Mapping[str, str], name: str, values: Sequence[str]) -> bool:
    if name == "tag-key":
        return any(fnmatchcase(key, value) for key in tags for value in values)
    key = name.removeprefix("tag:")
    return key in tags and any(fnmatchcase(tags[key], value) for value in values)
