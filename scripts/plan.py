"""Show what a launch would do, without creating anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, exit_if_incomplete, run, warn
from ec2lab.options import FILE, AsJson, BaseExperiment, Count, ExperimentName, Force, Parameters, Wide, option, script

if TYPE_CHECKING:
    from ec2lab.capacity_pools import Pool
    from ec2lab.config.models import Experiment
    from ec2lab.events.plan import PlannedContainer, PlannedSecret
    from ec2lab.launch.plan import Plan, PlannedPool
    from ec2lab.session import Session

app = script(__doc__)
Verbose = Annotated[bool, option("VERBOSE", "Print the whole request and the cloud-init document.")]
Out = Annotated[str, option("OUTPUT", "File to write those two to: plan.txt.", metavar=FILE)]
MARKER = "# ec2-lab plan of "
"""Every file that OUTPUT names begins with it."""


@app.command()
def plan(
    exp: ExperimentName = "",
    count: Count = 1,
    base: BaseExperiment = "",
    parameters: Parameters = "",
    verbose: Verbose = False,
    out: Out = "",
    force: Force = False,
    wide: Wide = False,
    as_json: AsJson = False,
) -> None:
    """Show the pools that a launch of EXP would try, in order, with prices and exclusions, and the first request.

    It also shows the cost over EXP's ttl and what remains of the budgets, and asks AWS in a dry run whether the
    request is allowed. VERBOSE=1 prints the whole request and the cloud-init document; OUTPUT=plan.txt writes them.

    Exit status: 1 if no pool is left, or the request is not allowed; 3 if a region did not respond.
    """
    from ec2lab.config.parameters import parse_parameters
    from ec2lab.costs.budget_guard import planned as would_cost
    from ec2lab.costs.pricing import pricing
    from ec2lab.errors import UserError
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.plan import CodeToUpload, Forecast, GpuSelection
    from ec2lab.launch.plan import Plan
    from ec2lab.launch.run_spec import definition
    from ec2lab.output_file import OutputFile
    from ec2lab.session import open_session

    console = Console(as_json=as_json, wide=wide)
    file = OutputFile(Path(out), "OUTPUT", MARKER, force=force) if out else None
    if file:
        file.check()
    with open_session("plan", exp) as session:
        console.hint(session.cloud.banner)
        defined = definition(session, exp, base, parse_parameters(parameters), first_of_matrix=True)
        if defined.trials > 1:
            sweep = f"`make sweep EXP={defined.base}` launches all {defined.trials}"
            console.hint(f"{defined.base} has a matrix: this is the first of its trials; {sweep}")
        warn_if_live(session, exp)
        planned = Plan(session, exp, defined.experiment, max(count, defined.experiment.nodes))
        candidates = planned.candidates()
        if requested := defined.more.get("gpu"):
            console.emit(GpuSelection(gpu=requested, instance_types=defined.experiment.instance_types))
        for what in planned.unknown():
            warn(f"unknown to this plan: {what}")
        show_candidates(console, candidates)
        console.emit(*pricing(session).book.unknown())
        console.emit(*RegionsUnavailable.by_reason(planned.unseen))
        first = next((candidate for candidate in candidates if not candidate.out), None)
        if first is None:
            raise UserError(f"{exp}: no pool would be tried: {candidates[0].out}")
        if pack := defined.with_code(session.directory).pack:
            console.emit(CodeToUpload(**pack.as_annotation(), summary=str(pack)))
        console.emit(*planned_container(defined.experiment), *planned_secrets(defined.experiment))
        image, sizes = described_sources(planned, first.pool.region)
        forecast, budgets = would_cost(session, defined.base, defined.experiment, planned.count, sizes)
        console.emit(Forecast(**asdict(forecast)), *(budget.usage(forecast) for budget in budgets))
        document = show_request(console, planned, first, image)
        if verbose:
            console.document(document)
        if file:
            console.hint(f"the whole request is in {file.write(document)}")
        elif not verbose:
            console.hint("VERBOSE=1 shows the whole request and cloud-init document, OUTPUT=plan.txt writes them")
        check_permission(console, planned, candidates)
    exit_if_incomplete(planned.unseen)


def warn_if_live(session: Session, exp: str) -> None:
    from ec2lab.launch.resume import already_live

    if live := already_live(session, exp):
        warn(f"{live}; a launch would be refused")


def planned_container(experiment: Experiment) -> list[PlannedContainer]:
    from ec2lab.events.plan import PlannedContainer

    return [PlannedContainer(image=experiment.container)] if experiment.container else []


def planned_secrets(experiment: Experiment) -> list[PlannedSecret]:
    from ec2lab.events.plan import PlannedSecret
    from ec2lab.runs.launcher_secrets import is_set

    return [
        PlannedSecret(name=name, source=str(source), is_set=is_set(source.name) if source.is_from_launcher else None)
        for name, source in experiment.secrets.items()
    ]


def show_candidates(console: Console, candidates: list[PlannedPool]) -> None:
    from ec2lab.costs.aws_prices import shown
    from ec2lab.events.plan import Candidate

    console.emit_table([
        Candidate(
            region=pool.region, zone=pool.zone, subnet=pool.subnet, instance_type=pool.instance_type,
            market=str(pool.market), dollars_per_hour=candidate.price, excluded=candidate.out, position=number,
            price=shown(pool, candidate.price),
        )
        for number, candidate in enumerate(candidates, start=1)
        for pool in (candidate.pool,)
    ])  # fmt: skip


def described_sources(planned: Plan, region: str) -> tuple[str, Mapping[str, int]]:
    """Return the image's id and name, and the sizes that only it and the snapshots have, as far as AWS returns them."""
    from ec2lab.aws.errors import AwsError, described
    from ec2lab.launch.region_specs import known

    def unknown(problem: AwsError) -> None:
        warn(f"unknown to this plan: {described(problem)}")

    image = known(lambda: planned.image(region), unknown) or {}
    name = f"{image['ImageId']}, {image.get('Name', '')}" if image else ""
    return name, known(lambda: planned.sizes(region, image), unknown) or {}


def show_request(console: Console, planned: Plan, first: PlannedPool, image: str) -> str:
    """Show the request to the first pool in short; return all of it, and the instance's cloud-init document."""
    from ec2lab.events.plan import PlannedRequest
    from ec2lab.launch.user_data import cloud_init
    from ec2lab.registry.redaction import redact

    share = planned.share(first.pool.region)
    request = planned.request(first.pool)
    request["TagSpecifications"] = planned.session.recorder.tags_of("RunInstances", request, "(the record's id)")
    request = redact(request)
    document = cloud_init(share.cloud_init)
    made_first = [preparation.what for preparation in share.prerequisites]
    region = first.pool.region
    console.emit(
        PlannedRequest(region=region, request=request, cloud_init=document, prerequisites=made_first, image=image)
    )
    asked = f"{MARKER}{planned.name}: the request to {first.pool}\n{json.dumps(request, indent=2)}"
    return f"{asked}\n\ncloud-init:\n{document}\n"


def check_permission(console: Console, planned: Plan, candidates: list[PlannedPool]) -> None:
    """Report the first region in which AWS allows the request. Raises UserError if none does."""
    from ec2lab.aws.authorization import decoded
    from ec2lab.aws.error_codes import STOPS
    from ec2lab.aws.errors import format_code
    from ec2lab.errors import UserError
    from ec2lab.events.plan import DryRunAllowed

    refused: list[str] = []
    for pool in first_in_each_region(candidates):
        error = planned.dry_run(pool)
        if error is None:
            for line in refused:
                warn(f"{line}; a launch tries the next region")
            console.emit(DryRunAllowed(region=pool.region))
            return
        message = decoded(planned.session.cloud, pool.region, error)
        refused.append(f"a dry run in {pool.region}: {format_code(error.code, message)}")
        if error.category in STOPS:
            break
    raise UserError(refused[-1])


def first_in_each_region(candidates: list[PlannedPool]) -> list[Pool]:
    found: dict[str, Pool] = {}
    for candidate in candidates:
        if not candidate.out:
            found.setdefault(candidate.pool.region, candidate.pool)
    return list(found.values())


if __name__ == "__main__":
    run(app)
