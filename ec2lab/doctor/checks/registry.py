"""The registry: whether it can be read and written, open intents, and processes that died."""

from __future__ import annotations

from collections.abc import Iterator

from ec2lab.aws.credentials import CredentialsProblem
from ec2lab.doctor.check import Check, Requirement
from ec2lab.doctor.context import CheckSkipped, DoctorContext
from ec2lab.errors import UserError
from ec2lab.findings import Finding, error, ok, warning
from ec2lab.registry.base import NotARegistry
from ec2lab.registry.history import History
from ec2lab.registry.state import holdings

READABLE = ok("registry-readable", "{name}: {records} records, {live} live resources")
NOT_CREATED_YET = ok("registry-not-created-yet", "{name}: the first command that calls AWS creates it")
UNREADABLE = error("registry-unreadable", "{reason}", "docs/registry.md; `make registry-rebuild` recovers a lost one")
NOT_ONE = error(
    "no-registry", "{reason}", "set another in lab.toml (registry = …) or in REGISTRY; leave this one alone"
)
MALFORMED = error(
    "record-malformed", "{where}: is not a valid record ({problem}); it is ignored",
    "docs/registry.md#malformed-records: it may name a running instance; compare `make audit`, then delete it",
)  # fmt: skip
UNRESOLVED_INTENT = warning(
    "unresolved-intent", "{subjects}: a request has no recorded response",
    "`make {again} EXP={experiment}` completes it, `make teardown EXP={experiment}` removes it",
)  # fmt: skip
STALE_LOCK = warning(
    "stale-lock", "{subjects}: {who} ended abnormally",
    "`make {again} EXP={experiment}` completes it, `make teardown EXP={experiment}` removes it",
)  # fmt: skip
LOCK_HELD = ok("lock-held", "{subjects}: {who} is running")


ENDED_BY_ITSELF = ("teardown", "stop", "start")
"""Commands that complete their work when repeated. After a successful launch, or with nothing left of an experiment, a
process that died leaves nothing to do, and the next one replaces its name."""


class RegistryHealth(Check):
    """The registry itself reports its problems, whatever stores it."""

    name = "registry"
    order = 70
    needs = Requirement.LAB

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        """Read it, without writing to it or creating it."""
        try:
            registry = lab.opened.registry
            yield from registry.health_findings()
            records = list(registry.records()) if registry.is_there() else []
            lock_owners = registry.lock_owners()
        except CredentialsProblem as problem:
            raise CheckSkipped("there are no credentials to read it with") from problem
        except UserError as problem:
            yield (NOT_ONE if isinstance(problem, NotARegistry) else UNREADABLE).of(reason=problem)
            return
        for malformed in registry.set_aside.values():
            yield MALFORMED.of(where=malformed.where, problem=malformed.problem)
        if not records:
            yield NOT_CREATED_YET.of(name=registry.name)
            return
        known, history = holdings(records, lab.opened.resource_types), History(records)
        yield READABLE.of(name=registry.name, records=len(records), live=len(known.live))
        at_work = {holder.experiment for holder in lock_owners if holder.alive}
        for name, script in {str(intent.experiment): intent.script for intent in known.unresolved}.items():
            if name not in at_work:
                yield UNRESOLVED_INTENT.of(name, experiment=name, again=_again(script))
        for holder in lock_owners:
            name, script = holder.experiment, holder.script
            if holder.alive:
                yield LOCK_HELD.of(name, who=holder.who)
            elif name in known.names and (script in ENDED_BY_ITSELF or history.of(name).interrupted):
                yield STALE_LOCK.of(name, who=holder.who, experiment=name, again=_again(script))


def _again(script: str | None) -> str:
    """Return the command for an experiment: a sweep's trial cannot be launched by its own name."""
    return script if script in ("launch", *ENDED_BY_ITSELF) else "teardown"
