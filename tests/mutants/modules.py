"""The modules that decide what is ours, what is deleted, what came of a call, what is written down, what it costs."""

from __future__ import annotations

TESTS: dict[str, tuple[str, ...]] = {
    "ec2lab/registry/ownership.py": ("ownership_proof",),
    "ec2lab/resources/live_in_aws.py": ("reconcile", "deletion"),
    "ec2lab/resources/reconcile.py": ("reconcile", "deletion"),
    "ec2lab/instances/deletion.py": ("deletion",),
    "ec2lab/audit/audit.py": ("audit_findings",),
    "ec2lab/account/uninstall.py": ("audit_findings",),
    "ec2lab/audit/orphans.py": ("orphans",),
    "ec2lab/registry/evidence.py": ("evidence", "resources", "reconcile", "ownership_proof"),
    "ec2lab/registry/state.py": ("resources",),
    "ec2lab/launch/resume.py": ("resume",),
    "ec2lab/registry/history.py": ("resume", "watch_report"),
    "ec2lab/registry/not_found_retries.py": ("not_found_retries",),
    "ec2lab/registry/compaction.py": ("compaction",),
    "ec2lab/aws/account.py": ("other_accounts",),
    "ec2lab/registry/other_accounts.py": ("other_accounts",),
    "ec2lab/registry/redaction.py": ("redaction",),
    "ec2lab/secret_detection.py": ("secret_detection",),
    "ec2lab/aws/tag_forms.py": ("malformed_tags",),
    "ec2lab/deletion_policy.py": ("malformed_tags",),
    "ec2lab/launch/run_instances_request.py": ("run_request", "launch_parts", "evidence"),
    "ec2lab/aws/error_codes.py": ("error_codes",),
    "ec2lab/quota_names.py": ("error_codes",),
    "ec2lab/costs/money.py": ("money",),
    "ec2lab/costs/rates.py": ("money",),
    "ec2lab/costs/charges.py": ("money",),
    "ec2lab/costs/summary.py": ("money",),
    "ec2lab/costs/budget.py": ("money",),
    "ec2lab/costs/budget_guard.py": ("budget",),
    "ec2lab/costs/pricer.py": ("money",),
    "ec2lab/costs/pricing.py": ("money",),
    "ec2lab/costs/current_costs.py": ("money",),
}
"""Each module, and the files of the tests that hold it: tests/test_….py."""


def tests_of(module: str) -> list[str]:
    """Return the paths of the tests that hold a module."""
    return [f"tests/test_{name}.py" for name in TESTS[module]]
