"""The registry's records of the AWS account in use, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from ec2lab.aws.account import Account
from ec2lab.errors import UserError
from ec2lab.registry.base import Registry
from ec2lab.registry.other_accounts import Elsewhere
from ec2lab.registry.ownership import Ownership
from ec2lab.registry.record import Record, by_account
from ec2lab.registry.state import ResourceState, holdings
from ec2lab.resource import ResourceType


@dataclass
class AccountRecords:
    """Reads one registry for one account. `find_account` raises UserError where AWS does not say which that is."""

    registry: Registry
    resource_types: Mapping[str, ResourceType]
    find_account: Callable[[], Account]
    may_create: bool = True  # whether reading may create the registry
    _ids: frozenset[str] = frozenset()

    def current(self, experiment: str | None = None) -> list[Record]:
        """Return the records of the current registry, without its archive."""
        return self.of_this_account(self.registry.records(experiment))

    def history(self, experiment: str | None = None) -> list[Record]:
        """Return all records, the archived ones too."""
        return self.of_this_account(self.registry.history(experiment))

    def of_this_account(self, records: Iterable[Record]) -> list[Record]:
        """Return those of some records. Raises UserError where the account can't be found out."""
        found = by_account(records)
        return found.get(self.find_account(), []) if found else []

    def state(self, experiment: str | None = None) -> ResourceState:
        """Return which resources an experiment has, or all experiments have."""
        return holdings(self.current(experiment), self.resource_types, experiment)

    def state_with_history(self, experiment: str | None = None) -> ResourceState:
        """Return the same from the archive too, which tells of all calls that were ever made."""
        return holdings(self.history(experiment), self.resource_types, experiment)

    def registry_ids(self) -> Collection[str]:
        """Return the ids with which resources of this registry are tagged; none before the first one."""
        if not self._ids and (self.may_create or self.registry.is_there()):
            self._ids = frozenset(self.registry.ids())
        return self._ids

    def ownership(self, known: ResourceState) -> Ownership:
        return Ownership(known, self.registry_ids())

    def everywhere(self, experiment: str | None = None) -> tuple[ResourceState, list[Elsewhere]]:
        """Return the state in this account, and the others in which an experiment has resources, or may have."""
        found = by_account(self.registry.records(experiment))
        if not found:
            return ResourceState(), []
        known = {account: holdings(records, self.resource_types, experiment) for account, records in found.items()}
        here = known.pop(self.find_account(), ResourceState())
        return here, [Elsewhere(account, there) for account, there in known.items() if there.names]

    def elsewhere(self, experiment: str | None = None) -> list[Elsewhere]:
        return self.everywhere(experiment)[1]

    def expect_here(self, experiment: str) -> None:
        """Raise UserError if an experiment has resources in other accounts only."""
        here, others = self.everywhere(experiment)
        if others and not here.names:
            raise UserError(others[0].message(self.find_account()))

    def expect_free(self, experiment: str) -> None:
        """Raise UserError if an experiment of this name has resources in another AWS account.

        Those in a local cloud do not count: everybody starts with one.
        """
        if found := [one for one in self.elsewhere(experiment) if not one.may_be_over]:
            raise UserError(f"{found[0].message(self.find_account())}, or another name is free here")
