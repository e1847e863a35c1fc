"""Weeks of a team's work as records: launches, refusals, spot interruptions, stops, sweeps, teardowns."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ec2lab.registry.file_format import TRAILER, as_line
from ec2lab.registry.record import Event, Record

TYPES = ("p4d.24xlarge", "g5.12xlarge", "g5.xlarge", "g6.12xlarge")
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
PEOPLE = ("alice@laptop", "bob@desk", "carol@cluster")
REFUSALS = (
    ("InsufficientInstanceCapacity", "We currently do not have sufficient {type} capacity in {region}.", 500),
    ("InsufficientInstanceCapacity", "We currently do not have sufficient {type} capacity in {region}.", 500),
    ("VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 96 allows.", 400),
    ("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded", 400),
    ("RequestLimitExceeded", "Request limit exceeded.", 503),
)


@dataclass
class GeneratedRegistry:
    """Records of made-up work that ends now; the same seed gives the same work."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    seed: int = 1
    records: list[Record] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def team(self, weeks: int = 6, sweep: int = 24) -> GeneratedRegistry:
        """Six weeks of three people's work, with a sweep."""
        begin = self.now - timedelta(weeks=weeks)
        for name, every, length, market in (
            ("speech", 3, 20, "spot"), ("vision-large", 8, 60, "on-demand"), ("tokenizer", 5, 3, "on-demand"),
            ("align", 11, 9, "spot"), ("evaluation", 2, 1.2, "on-demand"),
        ):  # fmt: skip
            moment = begin + timedelta(hours=self.chance.uniform(0, 90))
            while moment < self.now - timedelta(hours=8):
                hours = self.chance.uniform(0.3, 1.7) * length
                self.run(name, moment, hours, market=market, refusals=self.chance.choice((0, 0, 1, 3, 14)))
                moment += timedelta(days=every * self.chance.uniform(0.5, 1.5))
        middle = begin + timedelta(weeks=weeks) * 0.6
        for number in range(sweep):
            late = middle + timedelta(minutes=7 * number)
            self.run(f"speech-lr0_1-seed{number}", late, self.chance.uniform(3, 12), base="sweep", market="spot")
        return self

    def run(
        self, experiment, began, hours, *, base=None, market="on-demand", refusals=0, by=None, message=None, ended=True
    ):
        """One instance of an experiment, with the refusals before it; it lives where its end would be in the future."""
        region, kind = self.chance.choice(REGIONS), self.chance.choice(TYPES)
        by = by or PEOPLE[len(base or experiment) % len(PEOPLE)]
        common = {"experiment": experiment, "script": "launch", "actor": f"{by}:4711"}
        self.add(began, Event.ANNOTATION, annotation={"run": {"from": base or experiment, "experiment": {}}}, **common)
        request = {"InstanceType": kind, "MinCount": 1, "MaxCount": 1, "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "lab:experiment", "Value": experiment}]}]}  # fmt: skip
        if market == "spot":
            request["InstanceMarketOptions"] = {"MarketType": "spot"}
        for number in range(refusals):
            code, text, status = self.chance.choice(REFUSALS)
            self.call(began - timedelta(minutes=11 * (refusals - number)), "RunInstances", region, request, common,
                      error={"code": code, "message": message or text.format(type=kind, region=region),
                             "http_status": status, "retries": 0})  # fmt: skip
        identity = f"i-{self.chance.getrandbits(68):017x}"
        self.instances.append(identity)
        instance = {
            "InstanceId": identity, "InstanceType": kind, "State": {"Name": "pending"}, "LaunchTime": began.isoformat(),
            "Placement": {"AvailabilityZone": f"{region}a"},
            **({"InstanceLifecycle": "spot"} if market == "spot" else {}),
        }  # fmt: skip
        self.call(began, "RunInstances", region, request, common, response={"Instances": [instance]})
        self.described(began + timedelta(minutes=1), {**instance, "State": {"Name": "running"}}, region, common)
        end = began + timedelta(hours=hours)
        if end > self.now or not ended:
            return identity
        if market == "spot" and self.chance.random() < 0.4:
            code = "Server.SpotInstanceTermination"
            reason = {"StateReason": {"Code": code}, "State": {"Name": "terminated"},
                      "StateTransitionReason": f"{code} ({end:%Y-%m-%d %H:%M:%S} GMT)"}  # fmt: skip
            self.described(end + timedelta(minutes=9), instance | reason, region, common)
        else:
            answer = {"TerminatingInstances": []}
            self.call(end, "TerminateInstances", region, {"InstanceIds": [identity]}, common, response=answer)
        return identity

    def stop(self, identity, region, experiment, moment, operation="StopInstances"):
        common = {"experiment": experiment, "script": "stop", "actor": "alice@laptop:1"}
        self.call(moment, operation, region, {"InstanceIds": [identity]}, common, response={})

    def described(self, moment, instance, region, common):
        found = {"Reservations": [{"Instances": [instance]}]}
        self.add(moment, Event.RESPONSE, service="ec2", operation="DescribeInstances", region=region, response=found,
                 request={"InstanceIds": [instance["InstanceId"]]}, **common)  # fmt: skip

    def call(self, moment, operation, region, request, common, **outcome):
        """An intent and what came of it."""
        told = {"service": "ec2", "operation": operation, "region": region, "request": request, **common}
        intent = self.add(moment, Event.INTENT, **told)
        event = Event.ERROR if "error" in outcome else Event.RESPONSE
        self.add(moment + timedelta(seconds=1), event, parent_id=intent.id, **told, **outcome)

    def add(self, moment, event, **fields):
        time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.records.append(record := Record(event=event, time=time, **fields))
        return record

    def fill(self, count: int) -> GeneratedRegistry:
        """Add what a launch that waits writes, until there are so many records."""
        begin = self.now - timedelta(weeks=4)
        while len(self.records) < count:
            moment = begin + timedelta(seconds=self.chance.uniform(0, 2e6))
            instance = {"InstanceId": self.chance.choice(self.instances), "State": {"Name": "running"}}
            common = {"experiment": "speech", "script": "wait", "actor": "alice@laptop:1"}
            self.described(moment, instance, "us-east-1", common)
        return self

    def write(self, path: Path) -> None:
        """Write them as a registry file, as of the account of the lab that it is in."""
        number = path.parent / ".local-cloud" / "account"
        whose = {"partition": "local", "account": number.read_text().strip()} if number.exists() else {}
        ordered = [replace(record, **whose) for record in sorted(self.records, key=lambda record: record.time)]
        path.write_bytes(b"[\n" + b",\n".join(as_line(record.as_json()) for record in ordered) + TRAILER)
        path.chmod(0o600)
