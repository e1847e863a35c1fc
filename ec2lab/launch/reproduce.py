"""Reproduces the last run of an experiment from the registry alone, with every choice fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.config.container import at_digest, digest_in
from ec2lab.datasets.dataset import list_snapshots
from ec2lab.errors import UserError
from ec2lab.files import exists
from ec2lab.launch.run_spec import RunSpec, from_record, load_pack
from ec2lab.registry.history import History
from ec2lab.registry.record import PROVENANCE
from ec2lab.session import Session
from ec2lab.volumes.spec import DEVICES

REPRODUCES = "repeats"  # in the annotation of a run: the experiment whose run it repeats


def reproduce_last_run(session: Session, name: str, new: str) -> tuple[RunSpec, int]:
    if exists(session.directory / "experiments" / f"{new}.toml"):
        raise UserError(
            f"NEW_EXP: experiments/{new}.toml exists, so {new} is an experiment of its own; give another name"
        )
    past = History(session.registry.history(name)).of(name)
    found = past.ran
    recorded, instances = (found[0], found[1].get(PROVENANCE)) if found else (None, None)
    if recorded is None or not instances:
        session.expect_known(name)
        raise UserError(f"{name}: was never launched; `make launch EXP={name}` launches it")
    written = pinned_container(
        pinned(from_record(session.directory, recorded, name), instances, _versions(session.cloud, instances, name)),
        past.containers,
        name,
        new,
    )
    pack = load_pack(session.directory, recorded, name)
    return RunSpec(written, recorded["from"], {REPRODUCES: name}, pack, recorded_of=name), len(instances)


def pinned(
    written: Mapping[str, Any], instances: Sequence[Mapping[str, Any]], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Return an experiment reduced to the types, regions, images and versions that the instances had.

    `versions` are those of the datasets, by device name. Zones and subnets are not fixed, because capacity moves.
    """
    images = {instance["region"]: instance["image"] for instance in instances}
    data = [
        {**volume, "version": versions[device]} if device in versions else volume
        for volume, device in zip(written.get("data", ()), DEVICES, strict=False)
    ]
    rest = {key: value for key, value in written.items() if key not in ("zones", "data")}
    return {
        **rest,
        "instance_types": list(dict.fromkeys(instance["type"] for instance in instances)),
        "regions": list(images),
        "image": images,
        **({"data": data} if data else {}),
    }


def pinned_container(written: dict[str, Any], digests: Sequence[str], name: str, new: str) -> dict[str, Any]:
    """Return an experiment whose container is the image that was pulled. Raises UserError if that is unknown."""
    image = written.get("container", "")
    if not image or digest_in(image):
        return written
    if len(digests) != 1:
        why = f"was pulled as {' and as '.join(digests)}" if digests else "has no digest on record"
        raise UserError(
            f"{name}: its container {image} {why}, so it cannot be repeated exactly (`make wait` and `make watch` "
            f"record the digest); `make launch EXP={new} BASE={name}` runs the image that the name refers to now"
        )
    return {**written, "container": at_digest(image, digests[0])}


def _versions(cloud: Cloud, instances: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    first = instances[0]
    if not first["snapshots"]:
        return {}
    there = {snapshot.id: snapshot.version for snapshot in list_snapshots(cloud, first["region"])}
    if gone := next((snapshot for snapshot in first["snapshots"].values() if snapshot not in there), None):
        raise UserError(
            f"{name}: ran on {gone} in {first['region']}, which no longer exists; `make datasets` lists what does"
        )
    return {device: there[snapshot] for device, snapshot in first["snapshots"].items()}
