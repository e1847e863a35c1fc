"""Whatever comes from outside, no traceback comes of it: it is read, or refused by one error that names its origin.

Records, items of tables, tags, what hosts and buckets say, and names. Most cases are near something sound: random
bytes are refused by the first check, and reach no other. Hypothesis draws seeds, each of 25 cases: it names the one
that fails, and 10,000 cases take some seconds.
"""

from __future__ import annotations

import json
import re
import string
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab.aws.tag_forms import FORMS, disposition_in, form_of, malformed
from ec2lab.aws.tags import from_aws, to_aws
from ec2lab.config.models import Experiment, Lab
from ec2lab.costs.price_book import PriceBook
from ec2lab.errors import UserError
from ec2lab.hosts.host_keys import parse_host_keys
from ec2lab.hosts.protocol import parse_moment
from ec2lab.launch.resume import is_wanted
from ec2lab.launch.search import placement_preferences
from ec2lab.launch.wait_for_boot import errors_in
from ec2lab.plugins import Plugins
from ec2lab.printable import printable_log
from ec2lab.regions import region_names, regions
from ec2lab.registry.compaction import needed_records
from ec2lab.registry.dynamodb_items import body_of, item_of, packed, parts_of, unpacked, where_is
from ec2lab.registry.evidence import unresolved
from ec2lab.registry.file_format import as_line, parsed
from ec2lab.registry.history import History, outcome, visible_records
from ec2lab.registry.record import Record
from ec2lab.registry.record_model import BadRecord
from ec2lab.registry.redaction import redact
from ec2lab.registry.shapes import RESPONSES
from ec2lab.registry.state import holdings
from ec2lab.report.data import past
from ec2lab.resource import resource_types
from ec2lab.resources.expiry import expires_at, expiry_details, is_overdue, left, restarted_expiry
from ec2lab.runs.exit_status import parse_exit_status
from ec2lab.runs.progress import parse_progress
from ec2lab.validators import (
    LOGIN,
    NAME,
    experiment_name,
    experiment_or_glob,
    member_name,
    one_experiment,
    optional_name,
    volume_id,
)
from ec2lab.volumes.apply_deletion_policy import marks
from ec2lab.volumes.mounted import mounted_in
from ec2lab.volumes.retention import Retention
from ec2lab.watch.watcher import to_event
from tests.generated_registry import GeneratedRegistry
from tests.recorded import Prices, priced
from tests.test_malformed_records import COMMON, ID, MALFORMED

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CASES = 25
seeds = given(st.integers(0, 2**64 - 1))
BATCHES = {"records": 120, "lines": 40, "items": 60, "tags": 100, "hosts": 20, "consoles": 40, "names": 40}
"""How many seeds each test has; that of hosts has them for each of five programs."""


def batches(name):
    return settings(max_examples=BATCHES[name], suppress_health_check=list(HealthCheck))


# What stands where something sound stood.

ODD = [None, True, False, 0, -1, 7, 10**40, 0.5, 1e308, float("nan"), float("inf"), "", "a", "../../x", "\ud800",
       "\x1b[2J", "2026-11-26T10:00:00Z", "2026-11-26T10:00:00", "0001-01-01T00:00:00+14:00",
       "2199-12-31T23:59:59-12:00", "9999999999d", "6h", "never", "i-0a", "vol-0a",
       "us-east-1", "--output=x", [], {}, [[]], [{}], {"Name": 5},
       {"Key": "lab:expires-at"}, [{"Key": "lab:expires-at", "Value": "tomorrow"}], ["i-0a", 5],
       {"code": None}]  # fmt: skip
ALPHABET = string.printable + "\x1b\x9b\u202e\u2028\ud800\xe9"


def text(chance, most=12):
    return "".join(chance.choices(ALPHABET, k=chance.randrange(most)))


def anything(chance, depth=2):
    kind = chance.random()
    if kind < 0.7 or not depth:
        return chance.choice(ODD)
    if kind < 0.8:
        return text(chance)
    if kind < 0.9:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(3))]
    return {text(chance, 5): anything(chance, depth - 1) for _ in range(chance.randrange(3))}


def nearly(chance, value):
    """Something sound with up to two of its members replaced, or taken away."""
    for _ in range(chance.randrange(3)):
        value = changed(chance, value)
    return value


def changed(chance, value):
    if not isinstance(value, dict | list) or not value or chance.random() < 0.1:
        return anything(chance)
    copy = dict(value) if isinstance(value, dict) else list(value)
    place = chance.choice(list(copy)) if isinstance(copy, dict) else chance.randrange(len(copy))
    if chance.random() < 0.15:
        del copy[place]
    else:
        copy[place] = changed(chance, copy[place])
    return copy


# Records.


AT = "2026-11-20T10:00:00+00:00"
OWNED = [{"Key": "lab:experiment", "Value": "speech"}, {"Key": "lab:request-id", "Value": ID}]
DISK = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeId": "vol-0a", "DeleteOnTermination": True, "AttachTime": AT}}
INSTANCE = {
    "InstanceId": "i-0a", "State": {"Name": "running"}, "InstanceType": "g5.xlarge", "LaunchTime": AT, "Tags": OWNED,
    "Placement": {"AvailabilityZone": "us-east-1a"}, "PublicIpAddress": "203.0.113.7", "BlockDeviceMappings": [DISK],
    "StateReason": {"Code": "Server.SpotInstanceTermination"}, "InstanceLifecycle": "spot",
    "StateTransitionReason": "User initiated (2026-11-21 10:00:00 GMT)",
    "NetworkInterfaces": [{"Association": {"IpOwnerId": "amazon"}, "Attachment": {"AttachTime": AT}}],
}  # fmt: skip
VOLUME = {"VolumeId": "vol-0a", "Size": 8, "VolumeType": "gp3", "Iops": 3000, "CreateTime": AT, "SnapshotId": "snap-0a"}
SNAPSHOT = {"SnapshotId": "snap-0a", "State": "completed", "VolumeSize": 8, "StartTime": AT, "Encrypted": True,
            "FullSnapshotSizeInBytes": 10**9, "Tags": [{"Key": "lab:dataset", "Value": "speech"}]}  # fmt: skip
RESTORE = {"SnapshotId": "snap-0a", "AvailabilityZone": "us-east-1a", "State": "enabled", "EnabledTime": AT}
IMAGE = {"ImageId": "ami-0a", "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 75}}]}
ANSWERS = {
    "RunInstances": {"Instances": [INSTANCE]}, "DescribeInstances": {"Reservations": [{"Instances": [INSTANCE]}]},
    "CreateVolume": VOLUME, "DescribeVolumes": {"Volumes": [VOLUME], "NextToken": "n"}, "CreateSnapshot": SNAPSHOT,
    "StartSnapshot": SNAPSHOT, "CopySnapshot": {"SnapshotId": "snap-0b"}, "DescribeImages": {"Images": [IMAGE]},
    "DescribeSnapshots": {"Snapshots": [SNAPSHOT]}, "EnableFastSnapshotRestores": {"Successful": [RESTORE]},
    "DisableFastSnapshotRestores": {"Successful": [{**RESTORE, "State": "disabling"}]},
    "DescribeFastSnapshotRestores": {"FastSnapshotRestores": [RESTORE]}, "CreateSecurityGroup": {"GroupId": "sg-0a"},
    "CreateKeyPair": {"KeyPairId": "key-0a", "KeyName": "a"}, "ImportKeyPair": {"KeyPairId": "key-0b", "KeyName": "b"},
    "AllocateAddress": {"AllocationId": "eipalloc-0a", "PublicIp": "203.0.113.8"}, "StopInstances": {},
    "CreatePlacementGroup": {"PlacementGroup": {"GroupName": "g"}}, "StartInstances": {}, "TerminateInstances": {},
    "CreateRole": {"Role": {"RoleName": "r", "CreateDate": AT}}, "CreateTags": {}, "DeleteVolume": {},
    "CreateInstanceProfile": {"InstanceProfile": {"InstanceProfileName": "p", "CreateDate": AT}}, "DeleteSnapshot": {},
    "CreateTopic": {"TopicArn": "arn:aws:sns:us-east-1:123456789012:ec2-lab-a"},
}  # fmt: skip
REQUEST = {
    "ClientToken": ID, "TagSpecifications": [{"ResourceType": kind, "Tags": OWNED} for kind in ("instance", "volume")],
    "Tags": [{"Key": "lab:expires-at", "Value": AT}], "Resources": ["i-0a"], "InstanceIds": ["i-0a"],
    "VolumeId": "vol-0a",
    "InstanceMarketOptions": {"MarketType": "spot"}, "Placement": {"AvailabilityZone": "us-east-1a"}, "Size": 8,
    "BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "s", "VolumeInitializationRate": 300}}],
    "InstanceType": "g5.xlarge", "ImageId": "ami-0a", "VolumeType": "gp3", "SnapshotId": "snap-0a", "NextToken": "n",
    "MinCount": 1, "MaxCount": 2, "SubnetId": "subnet-0a", "NetworkInterfaces": [{"SubnetId": "subnet-0a"}],
    "CapacityReservationSpecification": {"CapacityReservationTarget": {"CapacityReservationId": "cr-0a"}},
}  # fmt: skip
RESOURCE = {"resource_type": "instance", "id": "i-0a", "region": "us-east-1", "since": AT, "record": ID}
NOTES = {
    "discovered": [
        RESOURCE, {**RESOURCE, "resource_type": "volume", "id": "vol-0a"}, {**RESOURCE, "resource_type": "file-system"},
    ],
    "deleted": ["i-0a", "vol-0a"], "resolved": [ID], "launched": ["i-0a"], "exited": {"exit_code": 1}, "pulls": "s3://a/b",
    "provenance": [{"instance": "i-0a", "region": "us-east-1", "type": "g5.xlarge", "image": "ami-0a",
    "snapshots": {}}],
    "run": {"from": "speech", "experiment": {"ttl": "6h", "parameters": {"lr": 1}, "data": []}},
}  # fmt: skip


@cache
def sound():
    """Records of a week of work, of each operation and note; and those that are just not sound."""
    made = [record.as_json() for record in GeneratedRegistry(now=NOW).team(weeks=1, sweep=3).records[:60]]
    common = {**COMMON, "request": REQUEST}
    made += [
        {**common, "operation": name, "response": response, "parent_id": ID} for name, response in ANSWERS.items()
    ] * 2
    made += [{**common, "event": "intent", "operation": name} for name in ANSWERS]
    made += [{**COMMON, "event": "annotation", "annotation": {name: note}} for name, note in NOTES.items()] * 4
    return [json.dumps(record) for record in [*made, *MALFORMED.values()]]


def test_what_is_changed_here_is_sound_before_it_is():
    assert len(list(readable(map(json.loads, sound())))) == len(sound()) - len(MALFORMED)
    assert ANSWERS.keys() >= RESPONSES.keys()


@cache
def kinds():
    return resource_types(Plugins(None))


PREFERENCES = placement_preferences(
    Lab(regions=["us-east-1"]), "speech", Experiment(instance_types=["g5.xlarge"], markets=["spot"])
)


def readable(loaded):
    """The records that are some; whatever else is refused by name."""
    for one in loaded:
        with suppress(BadRecord):
            yield Record.from_json(one)


@batches("records")
@seeds
def test_whatever_stands_in_a_record_everything_is_computed_from_those_that_are_some(seed):
    chance = Random(seed)
    for _ in range(CASES):
        look_at_all([nearly(chance, json.loads(chance.choice(sound()))) for _ in range(chance.randrange(1, 8))])


def look_at_all(loaded):
    records = list(readable(loaded))
    for record in records:
        outcome(record)
    known = holdings(records, kinds())
    unresolved(known.unresolved, known.live, kinds())
    for record in records:
        if record.operation == "RunInstances":
            is_wanted(record, PREFERENCES, 1)
    needed_records(records, kinds())
    visible_records(records)
    history = History(records)
    paid = priced(PriceBook(Prices({}))).spans(history, NOW)
    past(history, NOW)
    for span in paid:
        span.charge(span.began, NOW, NOW)
    history.of("speech")
    for refusal in history.errors:
        to_event("speech", refusal)


@batches("lines")
@seeds
def test_whatever_a_line_is_it_is_json_that_can_be_written_again_or_refused(seed):
    chance = Random(seed)
    for _ in range(CASES):
        line = json.dumps(anything(chance, 4)) if chance.random() < 0.7 else text(chance, 60)
        with suppress(ValueError):
            as_line(parsed(line.encode(errors="surrogatepass")))


def test_what_is_nested_without_end_or_no_finite_number_is_no_json():
    for line in (
        b"[" * 5000 + b"]" * 5000,
        b'["\\ud800", ' + b"[" * 500 + b"]" * 501,
        b"[1e999]",
        b"[NaN]",
        b"[-Infinity]",
    ):
        with pytest.raises(ValueError):
            parsed(line)


# Items of a table.


@cache
def items():
    records = list(readable(map(json.loads, sound())))[:40]
    return [packed(record, 1_764_000_000_000_000 + number) for number, record in enumerate(records)]


def item_near(chance):
    """An item near to one that a record makes, with its body, a near one, or none that is any."""
    made = chance.choice(items())
    item = made.attributes()
    if chance.random() < 0.6:
        body = nearly(chance, made.record.as_json())
        whole = chance.random() < 0.9
        item["body"] = zlib.compress(json.dumps(body).encode()) if whole else text(chance).encode("utf-8", "replace")
    return changed(chance, item) if chance.random() < 0.6 else item


@batches("items")
@seeds
def test_whatever_an_item_of_a_table_is_it_is_a_record_under_its_own_key_or_refused(seed):
    chance = Random(seed)
    for _ in range(CASES):
        item = item_near(chance)
        where_is(item if isinstance(item, dict) else {})
        with suppress(BadRecord):
            parts_of(item)
            body = body_of(item, [])
            record = Record.from_json(unpacked(body))
            assert item_of(item, record, body, 0).key["id"] == item["id"]
            assert "/" not in (record.experiment or "")


# Tags.


def tag_value(chance):
    moment = NOW + timedelta(seconds=chance.randrange(-(10**9), 10**9))
    return chance.choice([
        "tomorrow", "never", "6h", "9999999999d", "2026-13-01", "retain 30d", "retain x", "retain", "snapshot a/b", "",
        moment.isoformat(), moment.replace(tzinfo=None).isoformat(), str(moment.date()), f"{moment.date()} after a",
        str(chance.randrange(10**9)), text(chance),
    ])  # fmt: skip


@batches("tags")
@seeds
def test_whatever_the_labs_tags_say_everything_that_reads_them_goes_on(seed):
    chance = Random(seed)
    keys = [*FORMS, "lab:deletion-policy:sdf", "lab:retain-reason", "Name"]
    for _ in range(CASES):
        read_tags(chance, {key: tag_value(chance) for key in chance.sample(keys, chance.randrange(len(keys)))})


def read_tags(chance, tags):
    listed = to_aws(tags)
    instance = {"Tags": listed, **({"LaunchTime": NOW} if chance.random() < 0.8 else {})}
    details, state = expiry_details(instance), chance.choice(["running", "stopped", "terminated (x)", "shutting-down"])
    for read in (expires_at, restarted_expiry):
        read(instance)
    for read in (left, is_overdue):
        read(details, state, NOW)
    assert not [tag for tag in malformed(to_aws(from_aws(listed))) if form_of(tag.key).absent]
    if "lab:retained" in tags:
        Retention.read(from_aws(listed)).is_over(NOW.date())
    if (end := disposition_in(tags.get("lab:deletion-policy", "retain"))).policy == "retain":
        marks(end, "speech", NOW.date())


# Hosts and buckets.

ENDED = {"exit_code": 0, "at": "2026-11-26T10:00:00Z"}
SAID = {
    "ended": (parse_exit_status, ENDED),
    "progress": (
        parse_progress,
        {"line": "epoch 1", "ended": ENDED, "ends_at": 1_764_000_000, "rebalance": {"noticeTime": ENDED["at"]},
         "interruption": {"action": "terminate", "time": ENDED["at"]}},
    ),
    "cloud-init": (errors_in, {"status": "error", "errors": ["a"]}),
    "mounted": (
        mounted_in,
        {"mount": "/data", "device": "/dev/nvme1n1", "id": "vol-0a", "filesystem": "ext4", "uuid": "u", "label": "l",
         "read_only": True, "bytes_used": 1, "bytes_total": 2},
    ),
    "number": (parse_moment, 1_764_000_000),
}  # fmt: skip


@pytest.mark.parametrize("program", SAID)
@batches("hosts")
@seeds
def test_whatever_a_host_or_a_bucket_says_it_is_read_or_refused_by_one_line_that_names_it(program, seed):
    chance, (read, whole) = Random(seed), SAID[program]
    for _ in range(CASES):
        said = json.dumps(nearly(chance, whole)) if chance.random() < 0.8 else text(chance, 40)
        problem = refusal(partial(read, said, "speech-2"))
        assert problem is None or problem.startswith("speech-2: ")


def refusal(read):
    try:
        read()
    except UserError as problem:
        return str(problem)
    return None


@pytest.mark.parametrize("program", SAID)
@pytest.mark.parametrize("said", ["[" * 5000, '{"a":' * 5000, '{"a": ' + "1" * 5000 + "}", "{" + " " * 2_000_000 + "}"])
def test_what_has_no_end_is_refused_too(program, said):
    assert (refusal(partial(SAID[program][0], said, "speech-2")) or "speech-2: ").startswith("speech-2: ")


@batches("consoles")
@seeds
def test_whatever_a_console_or_a_log_holds_it_is_read_and_shown(seed):
    chance = Random(seed)
    begin, end = "-----BEGIN SSH HOST KEY KEYS-----\n", "\n-----END SSH HOST KEY KEYS-----"
    for _ in range(CASES):
        console = text(chance, 60)
        for shown in (console, begin + console + end, f"{begin}ssh-rsa {console}{end}", begin * 3 + console):
            parse_host_keys(shown)
        assert "\x1b[2J" not in printable_log(f"{console}\x1b[2J")
        assert "hunter2" not in repr(redact({"Password": f"hunter2{console}", console: f"{console}"}))


# Names.

NAMES = {
    experiment_name: NAME, optional_name("BASE"): f"({NAME})?", one_experiment: f"({NAME})?",
    member_name: LOGIN, volume_id: "(vol-[0-9a-f]{8,17})?", experiment_or_glob: r"[a-z0-9_*?-]{1,200}",
}  # fmt: skip


@batches("names")
@seeds
def test_whatever_a_name_is_it_is_one_or_refused_and_never_a_path_or_an_option(seed):
    chance = Random(seed)
    for _ in range(CASES):
        likely = "".join(chance.choices("ab0-_./*? \n", k=chance.randrange(70)))
        name = likely if chance.random() < 0.5 else text(chance, 20)
        for check, form in NAMES.items():
            with suppress(UserError):
                assert re.fullmatch(form, check(name))
        with suppress(UserError):
            assert set(region_names(name)) <= regions()


def test_these_are_ten_thousand_cases():
    seeded = sum(BATCHES.values()) + BATCHES["hosts"] * (len(SAID) - 1)
    assert seeded * CASES >= 10_000
