"""Describes the whole account, and compares it with the registry before and after."""

from __future__ import annotations

from collections.abc import Sequence

from ec2lab import clock
from ec2lab.audit.audit import Finding, findings
from ec2lab.audit.inventory import Survey, survey
from ec2lab.resources.live_resources import within_consistency_window
from ec2lab.session import Session


def examined(session: Session, regions: Sequence[str]) -> tuple[Survey, list[Finding]]:
    """Return the live resources of regions, by default all, and the findings."""
    before = session.records.state_with_history()
    seen = survey(session, regions)
    today = clock.now().date()
    after, ids = session.records.state_with_history(), session.records.registry_ids()
    return seen, findings(seen, before, after, ids, lambda time: within_consistency_window(session, time), today)
