"""What the lab's own notes hold, as far as anything is computed from them; and how AWS refuses."""

from __future__ import annotations

from pydantic_core import core_schema

from ec2lab.registry.shapes import (
    ANYTHING,
    AREA,
    COMMIT,
    DIGEST,
    EXPERIMENT,
    INSTANCE_ID,
    LINE,
    MOMENT,
    NAME_OF_FILE,
    RESOURCE_ID,
    TEXT,
    TYPE_NAME,
    checked,
    mapping,
    members,
    nullable,
    optional,
    several,
    whole,
)
from ec2lab.units import duration

FOUND = members(
    kind=TYPE_NAME, id=RESOURCE_ID, region=AREA, record=nullable(LINE), experiment=optional(nullable(EXPERIMENT)),
    since=core_schema.union_schema([core_schema.literal_schema([""]), MOMENT]), others="ignore",
)  # fmt: skip
"""A resource that AWS was found to have."""
CODE = members(commit=COMMIT, pack_sha256=DIGEST, diff_sha256=optional(DIGEST))
"""The code of a run: `commit` becomes an argument of git, the digest a file's name."""
EXPERIMENT_FILE = members(
    ttl=optional(checked(duration, TEXT)), code=optional(members(path=optional(TEXT))),
    parameters=optional(mapping(ANYTHING)), data=optional(several(mapping(ANYTHING))),
)  # fmt: skip
"""An experiment's file; the rest of it is validated as any such file is where it is launched again."""
RUN = members(
    from_=NAME_OF_FILE, experiment=EXPERIMENT_FILE, command_sha256=optional(DIGEST), code=optional(CODE),
)  # fmt: skip
ORIGIN = members(instance=INSTANCE_ID, region=AREA, type=LINE, image=LINE, snapshots=mapping(TEXT))
"""What an instance was made from."""

ANNOTATION = members(
    deleted=optional(several(RESOURCE_ID)),
    resolved=optional(several(TEXT)),
    discovered=optional(several(FOUND)),
    run=optional(RUN),
    launched=optional(several(INSTANCE_ID)),
    provenance=optional(several(ORIGIN)),
    exited=optional(members(exit_code=whole(-(2**31), 2**31 - 1))),
    pulls=optional(TEXT),
    failed=optional(TEXT),
    kept_bytes=optional(whole(0, 2**53)),
)
"""A note of a later version, or of a plugin, may say what it likes under other names."""
ERROR = members(
    code=TEXT, message=optional(nullable(TEXT)), http_status=optional(nullable(whole(0, 999))),
    retries=optional(whole(-(10**6), 10**6)),
)  # fmt: skip
