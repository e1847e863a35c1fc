"""ec2lab is a house with floors: nothing leans on what stands above it, but for what is named here."""

import ast
import re
from pathlib import Path

import ec2lab
import local_cloud

HOUSE, BESIDE = Path(ec2lab.__file__).parent, Path(local_cloud.__file__).parent
FLOORS = [line.split("  ")[0].split(", ") for line in re.findall(r"^    (.+)$", ec2lab.__doc__, re.MULTILINE)]
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
"""The floor of each, from 0, the ground, where all stands that is not named."""
UPWARD = {
    "aws/idempotency.py": {"ec2lab.session"},
    "aws/tagging.py": {"ec2lab.resources.base"},
    "costs/budget_guard.py": {"ec2lab.session"},
    "costs/charges.py": {"ec2lab.session"},
    "costs/current_costs.py": {"ec2lab.session"},
    "costs/dataset_costs.py": {
        "ec2lab.datasets.dataset",
        "ec2lab.session",
    },
    "hosts/inventory.py": {
        "ec2lab.volumes.mount",
        "ec2lab.volumes.sources",
    },
    "plugin_results.py": {
        "ec2lab.costs.charges",
        "ec2lab.costs.meter",
        "ec2lab.doctor.check",
        "ec2lab.launch.part",
    },
    "plugins.py": {
        "ec2lab.doctor.check",
        "ec2lab.launch.part",
        "ec2lab.watch.notifier",
    },
    "registry/backend.py": {"ec2lab.session"},
    "registry/backends.py": {"ec2lab.session"},
    "registry/base.py": {"ec2lab.doctor.check"},
    "registry/compaction.py": {"ec2lab.resources.base"},
    "registry/copy.py": {"ec2lab.session"},
    "registry/dynamodb_registry.py": {"ec2lab.doctor.check"},
    "registry/dynamodb_table.py": {
        "ec2lab.aws.errors",
        "ec2lab.aws.tags",
    },
    "registry/evidence.py": {
        "ec2lab.aws.error_codes",
        "ec2lab.resources.base",
    },
    "registry/file_registry.py": {"ec2lab.doctor.check"},
    "registry/health.py": {"ec2lab.doctor.check"},
    "registry/history.py": {"ec2lab.aws.error_codes"},
    "registry/instance_timeline.py": {
        "ec2lab.aws.tag_forms",
        "ec2lab.aws.tags",
    },
    "registry/live_resources.py": {
        "ec2lab.aws.region_queries",
        "ec2lab.aws.tags",
        "ec2lab.resources.base",
        "ec2lab.session",
    },
    "registry/ownership.py": {
        "ec2lab.aws.tags",
        "ec2lab.resources.base",
    },
    "registry/plugin_responses.py": {"ec2lab.resources.base"},
    "registry/reconcile.py": {
        "ec2lab.aws.tags",
        "ec2lab.resources.base",
        "ec2lab.session",
    },
    "registry/state.py": {"ec2lab.resources.base"},
    "registry/table_ailments.py": {"ec2lab.doctor.check"},
    "registry/snapshot_timeline.py": {"ec2lab.aws.tags"},
    "registry/volume_timeline.py": {"ec2lab.aws.tags"},
    "resources/elastic_ip.py": {
        "ec2lab.costs.money",
        "ec2lab.costs.price_book",
    },
    "resources/base.py": {
        "ec2lab.costs.meter",
        "ec2lab.costs.money",
        "ec2lab.costs.price_book",
    },
    "resources/instance.py": {
        "ec2lab.costs.meter",
        "ec2lab.costs.meters.instance_meter",
        "ec2lab.costs.money",
        "ec2lab.costs.price_book",
        "ec2lab.instances.expiry",
    },
    "resources/instance_profile.py": {"ec2lab.account.log_bucket_role"},
    "resources/role.py": {"ec2lab.account.log_bucket_role"},
    "resources/snapshot.py": {
        "ec2lab.costs.meter",
        "ec2lab.costs.meters.snapshot_meter",
        "ec2lab.costs.money",
        "ec2lab.costs.price_book",
    },
    "resources/volume.py": {
        "ec2lab.costs.meter",
        "ec2lab.costs.meters.volume_meter",
        "ec2lab.costs.money",
        "ec2lab.costs.price_book",
    },
    "session.py": {"ec2lab.launch.part"},
}
"""Imports that go up, by the file that has them: the list only gets shorter."""
OF_THE_LAB = {
    "ec2lab.aws.local_server",
    "ec2lab.console",
    "ec2lab.costs.price_book",
    "ec2lab.costs.price_lookup",
    "ec2lab.events.lab",
    "ec2lab.launch.quota_names",
    "ec2lab.options",
    "ec2lab.private_files",
}
"""What the local cloud still has from the lab; the lab starts it as a process, and imports nothing of it."""


def floor_of(module):
    return ROOMS.get(module.split(".")[1], 0) if module.startswith("ec2lab.") else 0


def imports(path):
    """The modules that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            package = node.module.replace(".", "/")
            for name in node.names:
                is_module = (HOUSE.parent / package / f"{name.name}.py").exists()
                yield f"{node.module}.{name.name}" if is_module else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def upward(path):
    name = ".".join(path.relative_to(HOUSE.parent).with_suffix("").parts)
    return {module for module in imports(path) if floor_of(module) > floor_of(name)}


def test_every_room_stands_on_a_floor():
    assert {path.parent.name for path in HOUSE.glob("*/__init__.py")} <= ROOMS.keys()
    assert all((HOUSE / room).is_dir() or (HOUSE / f"{room}.py").is_file() for room in ROOMS)


def test_no_file_imports_from_a_floor_above_but_those_that_are_known_to():
    found = {str(path.relative_to(HOUSE)): upward(path) for path in HOUSE.rglob("*.py")}
    assert {name: modules for name, modules in found.items() if modules} == UPWARD


def test_the_library_imports_neither_scripts_nor_the_local_cloud():
    found = {module.partition(".")[0] for path in HOUSE.rglob("*.py") for module in imports(path)}
    assert not found & {"scripts", "local_cloud", "tests", "bench"}


def test_the_local_cloud_imports_of_the_lab_what_is_known_and_no_script():
    found = {module for path in BESIDE.rglob("*.py") for module in imports(path)}
    assert {module for module in found if module.startswith("ec2lab")} == OF_THE_LAB
    assert not {module for module in found if module.partition(".")[0] in ("scripts", "tests")}
