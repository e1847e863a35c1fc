"""Whether the lab may be taken out of an account: not while anybody works with it, nor half of it unseen."""

from __future__ import annotations

from collections.abc import Mapping

from ec2lab.account.ownership import Belongings
from ec2lab.audit.inventory import Item
from ec2lab.aws.tags import BY, REGISTRY, SHARED
from ec2lab.errors import UserError
from ec2lab.resources.base import GLOBAL
from ec2lab.session import Session


def check_can_uninstall(session: Session, found: Belongings, unseen: Mapping[str, str], *, with_data: bool) -> None:
    """Raise UserError where something must be seen to before the lab is deleted."""
    unsettled = {str(intent.experiment) for intent in session.holdings().unsettled}
    at_work = sorted({whose(item) for item in found.at_work} | unsettled)
    if at_work:
        raise UserError(f"it is at work: {', '.join(at_work)}; `make teardown` each first, or have its owner do so")
    if not uses_iam(session):
        unseen = {region: why for region, why in unseen.items() if region != GLOBAL}
    if unseen:
        named = "; ".join(f"{region}: {why}" for region, why in unseen.items())
        raise UserError(f'could not be looked at: {named}; REGIONS="…" names those that are meant, nothing was deleted')
    ids = session.registry_ids()
    labs = sorted(
        {item.tags[SHARED] for item in found.others if SHARED in item.tags and item.tags.get(REGISTRY) in ids}
    )
    if with_data and labs:
        raise UserError(
            f"INCLUDE_DATASETS: {', '.join(labs)} is a lab of this registry too, and datasets do not say which one's; "
            "`make dataset-prune` deletes them one by one"
        )


def uses_iam(session: Session) -> bool:
    """Say whether the lab has, or had, anything in IAM, so that it matters whether that can be looked at."""
    asked_for = session.state_with_history().kinds
    return bool(session.lab.logs.artifact_uri) or any(session.kinds[name].is_global for name in asked_for)


def whose(item: Item) -> str:
    """Return the experiment that something belongs to, and who asked for it."""
    by = item.tags.get(BY, "")
    return f"{item.resource.experiment or item.resource}{f' of {by}' if by else ''}"
