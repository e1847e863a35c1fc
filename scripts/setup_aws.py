"""Show what the lab needs in an AWS account, and create it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ec2lab.console import Console, run, warn
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Confirm, Regions, script

if TYPE_CHECKING:
    from ec2lab.account.setup import AccountSetup
    from ec2lab.config.models import Experiment
    from ec2lab.session import Session

app = script(__doc__)


@app.command()
def setup_aws(regions: Regions = "", yes: Confirm = False, as_json: AsJson = False) -> None:
    """Check the lab's regions (or REGIONS): network, security group, and IAM if lab.toml has [logs]. YES=1 creates.

    Running it before the first launch is optional, as launches create the security group themselves, but it reports
    problems early. It also prints recommended account settings; it does not change those.

    Exit status: 1 if something is missing that YES=1 cannot create.
    """
    from ec2lab.account.region_setup import NO_NAME
    from ec2lab.account.setup import AccountSetup, IamPermissionDenied
    from ec2lab.regions import region_names
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("setup-aws") as session, session.registry.lock_experiment(NO_NAME, "setup-aws"):
        console.hint(session.cloud.banner)
        setup = AccountSetup(session, list(readable_experiments(session.directory)))
        try:
            setup.inspect(region_names(regions) or session.lab.regions)
            show(console, setup)
            if yes:
                setup.make(console.emit)
        except IamPermissionDenied:
            print_manual_steps(console, setup)
            raise
        ended(console, setup, yes)


def show(console: Console, setup: AccountSetup) -> None:
    from ec2lab.events.account import Blocked, Creatable, Present, Recommendation

    for one in setup.regions:
        console.emit(*(Present(region=one.region, what=what) for what in one.there))
        console.emit(*(Creatable(region=one.region, what=step.what) for step in one.lacking))
        console.emit(*(Blocked(region=one.region, what=what) for what in one.missing))
    for what in dict.fromkeys(what for one in setup.regions for what in one.advice):
        console.emit(Recommendation(regions=[one.region for one in setup.regions if what in one.advice], what=what))
    if setup.denied:
        print_manual_steps(console, setup)
    show_profile_policies(console, setup.session, setup.experiments)


def show_profile_policies(console: Console, session: Session, experiments: Sequence[Experiment]) -> None:
    """Show what instance profiles must allow for the secrets and images that experiments name."""
    from ec2lab.account.profile_policies import profile_policies
    from ec2lab.events.account import ProfilePolicy

    account = session.cloud.account.id
    policies = profile_policies(experiments, session.lab.regions, session.cloud.partition, account)
    console.emit(*(ProfilePolicy(instance_profile=profile, policy=policy) for profile, policy in policies.items()))


def readable_experiments(directory: Path) -> Iterator[Experiment]:
    """Yield the experiments; a warning names each file with a mistake in it, which is no reason to set up nothing."""
    from ec2lab.config.lab_files import experiment_files, load_experiment

    for path in experiment_files(directory):
        try:
            yield load_experiment(directory, path.stem)
        except UserError as mistake:
            warn(str(mistake))


def print_manual_steps(console: Console, setup: AccountSetup) -> None:
    """Print the commands, with their documents, that somebody with more permissions can run instead."""
    from ec2lab.events.account import ManualStep

    if setup.delivery:
        topic = setup.topic.manual_commands() if setup.topic else []
        console.emit(*(ManualStep(command=line) for line in [*topic, *setup.delivery.manual_commands()]))


def ended(console: Console, setup: AccountSetup, made: bool) -> None:
    from ec2lab.events.account import SetupComplete
    from ec2lab.units import counted

    if setup.missing:
        raise UserError(f"no launch is possible there: {'; '.join(setup.missing)}")
    if setup.denied:
        raise UserError(setup.denied)
    if setup.lacking and not made:
        console.hint(
            f"nothing was created; run again with YES=1 to create {counted(len(setup.lacking), 'missing item')}"
        )
        return
    console.emit(SetupComplete(created=len(setup.lacking)))
    if setup.delivery:
        console.hint(f'  in an experiment: instance_profile = "{setup.delivery.profile}"')
        console.hint(f'                    artifact_uri = "{setup.delivery.bucket}"' if setup.delivery.bucket else "")


if __name__ == "__main__":
    run(app)
