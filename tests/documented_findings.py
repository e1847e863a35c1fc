"""All that `make doctor` can find, as the code has it, and the row that docs/doctor.md has of each."""

import importlib
import pkgutil
import re

import ec2lab.doctor.checks
import ec2lab.registry
from ec2lab.doctor import runner
from ec2lab.findings import Diagnosis


def modules():
    """Every module that may hold a diagnosis: the checks, the registries that tell of themselves, the check-up."""
    for package in (ec2lab.doctor.checks, ec2lab.registry):
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
            yield importlib.import_module(f"{package.__name__}.{found.name}")
    yield runner


def diagnoses():
    found = [value for module in modules() for value in vars(module).values() if isinstance(value, Diagnosis)]
    return list(dict.fromkeys(found))


def row(diagnosis):
    """What the document says of a diagnosis: what differs from case to case is in capitals."""
    said, fixed = (in_capitals(text) for text in (diagnosis.message, diagnosis.remedy))
    return f"| `{diagnosis.id}` | {diagnosis.severity} | {said} | {fixed or 'nothing'} |"


def in_capitals(template):
    plain = template.replace("{subjects}", "…").replace("{spaced}", "…")
    return re.sub(r"\{(\w+)(?:!r)?\}", lambda found: found[1].upper(), plain)
