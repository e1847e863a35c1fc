"""What a launch would do: the order of the pools, which are excluded and why, and the request. Creates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ec2lab.aws.authorization import WOULD_WORK, DryRuns, dry_runs
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.errors import AwsError, RegionUnavailable, api_error, described
from ec2lab.aws.region_queries import NoResponse
from ec2lab.capacity_pools import ON_DEMAND, SPOT, Pool
from ec2lab.config.image import SSM
from ec2lab.config.models import Experiment
from ec2lab.costs.budget import ROOT
from ec2lab.costs.money import Dollars
from ec2lab.costs.pricing import pricing
from ec2lab.datasets.dataset import in_no_region
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchFragment
from ec2lab.launch.quotas import quota_of, quotas, virtual_cpus
from ec2lab.launch.region_specs import RegionSpecs, Zones, known, zones_of
from ec2lab.launch.reservations import read_reservations
from ec2lab.launch.run_instances import RequestRejected, ask
from ec2lab.launch.run_instances_request import build_request
from ec2lab.launch.search import Exclusion, Search, placement_preferences
from ec2lab.launch.shared_by_launches import SharedByLaunches
from ec2lab.registry.record import new_id
from ec2lab.session import Session

FACTS = "facts"


@dataclass(frozen=True, slots=True)
class PlannedPool:
    pool: Pool
    price: Dollars  # dollars per hour for one instance; None if unknown
    out: str | None  # why the pool is excluded; None if it is not


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """What is known about a region before the first request."""

    zones: Zones
    cpus: Mapping[str, int]
    quotas: Mapping[str, float]
    lack: str | None  # what the region lacks for a launch
    unknown: Sequence[str] = ()  # optional information that AWS did not return


class Plan:
    """The plan for a launch of `count` instances. Makes read-only calls."""

    def __init__(self, session: Session, name: str, experiment: Experiment, count: int) -> None:
        self.session, self.name = session, name
        self.preferences = placement_preferences(session.lab, name, experiment)
        self.experiment = experiment
        self.count = count
        self.shares = RegionSpecs(session, name, experiment)
        self.shares.prefetch(self.preferences.regions)
        self._lacks: dict[str, RegionUnavailable] = {}
        responses = session.queries.run(
            {(region, FACTS): partial(self._facts, region) for region in self.preferences.regions}
        )
        for problem in responses.failures.values():
            if not isinstance(problem, NoResponse):
                raise problem
        if len(self._lacks) == len(self.preferences.regions) and (why := in_no_region(self._lacks.values())):
            raise UserError(f"{name}: no region is usable: {why}")
        self.unseen = responses.unseen
        """By region, why it did not respond. The plan excludes it; a launch would try it again."""
        silent = {
            region: RegionFacts(Zones(None, None), {}, {}, f"not seen: {why}") for region, why in self.unseen.items()
        }
        self.facts = {region: facts for (region, _), facts in responses.found.items()} | silent

    def candidates(self) -> list[PlannedPool]:
        search = Search(self.preferences, lambda region, one: self.facts[region].zones.to_try(one))
        read_reservations(self.session.cloud, self.preferences, search)
        pools = list(search.round())
        for region, facts in self.facts.items():
            if facts.lack:
                search.exclude_region(region, facts.lack)
        for pool in pools:
            if reason := self._static_exclusion(pool) or search.lack(pool, self._least):
                search.ruled_out.setdefault(
                    Exclusion(pool.region, pool.instance_type, pool.zone, market=pool.market), reason
                )
        return [PlannedPool(pool, self._price(pool), search.exclusion_reason(pool)) for pool in pools]

    def unknown(self) -> list[str]:
        unknown = (what for facts in self.facts.values() if not facts.lack for what in facts.unknown)
        return list(dict.fromkeys(unknown))

    def share(self, region: str) -> LaunchFragment:
        return self.shares.plain(region)

    def image(self, region: str) -> Mapping[str, Any]:
        """Describe the image of the request; empty if AWS does not return it."""
        cloud, image = self.session.cloud, str(self.share(region).request.get("ImageId", ""))
        if image.startswith(SSM):
            found = cloud.client("ssm", region).get_parameters(Names=[image.removeprefix(SSM)])["Parameters"]
            image = found[0]["Value"] if found else ""
        images: Any = cloud.ec2(region).describe_images(ImageIds=[image])["Images"] if image else []
        return images[0] if images else {}

    def sizes(self, region: str, image: Mapping[str, Any]) -> dict[str, int]:
        """Return the sizes in GiB of an image and of the experiment's snapshots, as `forecast` takes them."""
        root = {mapping["DeviceName"]: mapping.get("Ebs", {}) for mapping in image.get("BlockDeviceMappings", ())}
        found = {ROOT: root.get(image.get("RootDeviceName"), {}).get("VolumeSize", 0)}
        asked = self.share(region).request.get("BlockDeviceMappings", ())[1:]
        ids = {str(v.mount): m["Ebs"]["SnapshotId"] for v, m in zip(self.experiment.data, asked, strict=False)}
        if ids:
            described = self.session.cloud.ec2(region).describe_snapshots(SnapshotIds=list(set(ids.values())))
            gib = {snapshot["SnapshotId"]: snapshot["VolumeSize"] for snapshot in described["Snapshots"]}
            found |= {mount: gib.get(identity, 0) for mount, identity in ids.items()}
        return found

    def request(self, pool: Pool) -> dict[str, Any]:
        """Return the request to a pool, as far as its prerequisites exist."""
        return build_request(self.share(pool.region), pool, self.count, self._least)

    @property
    def _least(self) -> int:
        return self.count if self.experiment.nodes > 1 else 1

    def dry_run(self, pool: Pool) -> ApiError | None:
        """Return AWS's error for a dry run, None if it is allowed. Raises UserError if the endpoint makes none."""
        request = self.request(pool) | {"DryRun": True}
        limiter = self.session.once(SharedByLaunches).limiter(pool.region)
        if (found := dry_runs(self.session.cloud.ec2(pool.region))) is not DryRuns.DRY:
            raise UserError(f"a dry run in {pool.region} is not made: {found.value} (see `make doctor`)")
        try:
            made = ask(self.session.cloud.ec2_no_retry(pool.region), request, new_id(), limiter)
        except RequestRejected as answer:
            return None if answer.error.code == WOULD_WORK else answer.error
        ids = ", ".join(instance["InstanceId"] for instance in made)
        raise UserError(
            f"the dry run in {pool.region} was carried out: {ids} is running; delete it with `make teardown "
            f"EXP={self.name}`, and check AWS_ENDPOINT_URL and the proxy: the endpoint is not EC2"
        )

    def _facts(self, region: str) -> RegionFacts:
        """Query a region. Only one response is required; without the others, the plan shows less."""
        cloud, types = self.session.cloud, self.experiment.instance_types
        failures: list[str] = []

        def unknown(problem: AwsError) -> None:
            api_error(problem)  # raises errors that do not come from AWS or the network
            failures.append(described(problem))

        return RegionFacts(
            zones=zones_of(cloud.ec2(region), types, unknown),
            cpus=known(lambda: virtual_cpus(cloud, region, types), unknown) or {},
            quotas=quotas(cloud, region),
            lack=self._lack(region),
            unknown=failures,
        )

    def _lack(self, region: str) -> str | None:
        try:
            self.shares.plain(region)
        except RegionUnavailable as lack:
            self._lacks[region] = lack
            return str(lack)
        return None

    def _static_exclusion(self, pool: Pool) -> str | None:
        facts = self.facts[pool.region]
        if reason := facts.zones.exclusion_reason(pool.instance_type, pool.region, pool.zone):
            return reason
        quota = quota_of(pool.instance_type, pool.market.type, facts.quotas)
        wanted = facts.cpus.get(pool.instance_type, 0) * self.count
        if quota and wanted > quota[1]:
            return f"quota: {quota[0]}: {quota[1]:.0f} vCPUs, {wanted} are needed"
        return None

    def _price(self, pool: Pool) -> Dollars:
        """Return a pool's price. Queried here, because a slow price is no reason to exclude a region."""
        book = pricing(self.session).book
        if pool.market == SPOT and not self.facts[pool.region].lack:
            return book.spot_now(pool.region, self.experiment.instance_types).get(pool.instance_type)
        return book.instance_hour(pool.region, pool.instance_type) if pool.market == ON_DEMAND else None
