"""The modules that decide what is ours, what is deleted, what came of a call, what is written down, what it costs."""

from __future__ import annotations

TESTS: dict[str, tuple[str, ...]] = {
    "scripts/core/ownership.py": ("ownership_proof",),
    "scripts/core/living.py": ("reconcile", "removal"),
    "scripts/core/reconcile.py": ("reconcile", "removal"),
    "scripts/core/machines/removal.py": ("removal",),
    "scripts/core/account/audit.py": ("audit_findings",),
    "scripts/core/account/lab_belongings.py": ("audit_findings",),
    "scripts/core/account/orphans.py": ("orphans",),
    "scripts/core/registry/evidence.py": ("evidence", "resources", "reconcile"),
    "scripts/core/registry/resources.py": ("resources",),
    "scripts/core/registry/resuming.py": ("resuming",),
    "scripts/core/registry/known_soon.py": ("known_soon",),
    "scripts/core/registry/needed_records.py": ("needed_records",),
    "scripts/core/registry/call.py": ("ownership_proof",),
    "scripts/core/registry/account.py": ("elsewhere",),
    "scripts/core/registry/elsewhere.py": ("elsewhere",),
    "scripts/core/registry/redaction.py": ("redaction",),
    "scripts/core/secret_detection.py": ("secret_detection",),
    "scripts/core/aws/tag_forms.py": ("malformed_tags",),
    "scripts/core/launch/run_request.py": ("run_request", "launch_parts", "evidence"),
    "scripts/core/capacity/error_codes.py": ("error_codes",),
    "scripts/core/capacity/quota_names.py": ("error_codes",),
    "scripts/core/costs/dollars.py": ("money",),
    "scripts/core/costs/rates.py": ("money",),
    "scripts/core/costs/charges.py": ("money",),
    "scripts/core/costs/cost_sums.py": ("money",),
    "scripts/core/costs/budget.py": ("money",),
    "scripts/core/costs/metering.py": ("money",),
    "scripts/core/costs/standing_costs.py": ("money",),
}
"""Each module, and the files of the tests that hold it: tests/test_….py."""


def tests_of(module: str) -> list[str]:
    """Return the paths of the tests that hold a module."""
    return [f"tests/test_{name}.py" for name in TESTS[module]]
