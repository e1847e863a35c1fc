"""A lab with an instance in each of many regions, of which two are really launched."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.lab_directory import LabDirectory


def run_instances(lab: LabDirectory, here: str, elsewhere: Sequence[str]) -> None:
    """Let demo run in one region, and by the registry lost-0, lost-1, … in the others.

    All of these are lost-0's records, moved: AWS has but that one.
    """
    for name, region in (("demo", here), ("lost-0", elsewhere[0])):
        lab.write(f"experiments/{name}.toml", f'instance_types = ["c6i.large"]\nregions = ["{region}"]\n')
        assert lab.launch(name).code == 0
    mine = [json.dumps(record) for record in lab.records() if record.get("experiment") == "lost-0"]
    moved = [
        text.replace(elsewhere[0], region).replace('"lost-0"', f'"lost-{n}"').replace('"i-', f'"i-{n}')
        for n, region in enumerate(elsewhere)
        for text in (mine if n else ())
    ]
    lab.registry.write_text(json.dumps([*lab.records(), *map(json.loads, moved)]))
