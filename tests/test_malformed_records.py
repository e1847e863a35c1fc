"""A record that is none of ours is set aside and named; everything else works, and nothing is done that it says."""

import json
from contextlib import suppress

import pytest

from ec2lab.config.models import Lab
from ec2lab.errors import UserError
from ec2lab.registry.dynamodb_items import packed
from ec2lab.registry.dynamodb_table import typed
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import FORMAT, Event, Record
from ec2lab.registry.state import DISCOVERED, holdings
from ec2lab.session import Session

ID, TIME = "0123456789abcdef" * 2, "2026-11-26T10:00:00.000Z"
COMMON = {"event": "response", "id": ID, "time": TIME, "format": FORMAT, "experiment": "speech", "region": "us-east-1"}
INSTANCE = {"InstanceId": "i-0a", "State": {"Name": "running"}}
MALFORMED = {
    "no object": 5,
    "no event": {"id": ID, "time": TIME},
    "an unknown event": {**COMMON, "event": "rumour"},
    "an id that is none": {**COMMON, "id": "../../id"},
    "an id that is a number": {**COMMON, "id": 7},
    "no time": {**COMMON, "time": "yesterday"},
    "a month that there is not": {**COMMON, "time": "2026-13-01T00:00:00Z"},
    "a time of no zone": {**COMMON, "time": "2026-11-26T10:00:00"},
    "a path for a name": {**COMMON, "experiment": "../../.ssh/id_ed25519"},
    "a host for a region": {**COMMON, "region": "us-east-1.evil.example/"},
    "a request that is a list": {**COMMON, "operation": "StopInstances", "request": []},
    "tags that are a text": {**COMMON, "event": "intent", "operation": "RunInstances", "request": {
        "TagSpecifications": [{"ResourceType": "instance", "Tags": "lab:experiment"}]}},
    "some instances": {**COMMON, "event": "intent", "operation": "RunInstances", "request": {"MaxCount": "some"}},
    "no number of instances": {**COMMON, "event": "intent", "operation": "RunInstances", "request": {"MaxCount": None}},
    "an interface that is a text": {**COMMON, "event": "intent", "operation": "RunInstances", "request": {
        "NetworkInterfaces": ["eni-0a"]}},
    "no response": {**COMMON, "operation": "RunInstances"},
    "a response without instances": {**COMMON, "operation": "RunInstances", "response": {}},
    "an instance without an id": {**COMMON, "operation": "RunInstances", "response": {"Instances": [{}]}},
    "an instance without a state": {**COMMON, "operation": "DescribeInstances", "response": {
        "Reservations": [{"Instances": [{"InstanceId": "i-0a"}]}]}},
    "an instance launched some time": {**COMMON, "operation": "RunInstances", "response": {
        "Instances": [{**INSTANCE, "LaunchTime": "soon"}]}},
    "a volume of no size": {**COMMON, "operation": "CreateVolume", "response": {"VolumeId": "vol-0a", "Size": "big"}},
    "an id that stands for others": {**COMMON, "operation": "CreateVolume", "response": {"VolumeId": "vol-*"}},
    "found without its type": {**COMMON, "event": "annotation", "annotation": {DISCOVERED: [{"id": "i-0a"}]}},
    "found is no list": {**COMMON, "event": "annotation", "annotation": {DISCOVERED: "i-0a"}},
    "gone is a number": {**COMMON, "event": "annotation", "annotation": {"deleted": 5}},
    "run of a path": {**COMMON, "event": "annotation", "annotation": {"run": {"from": "../secret", "experiment": {}}}},
    "code of a path": {**COMMON, "event": "annotation", "annotation": {"run": {"from": "speech", "experiment": {},
    "code": {
        "commit": "--output=x", "pack_sha256": "../../id_ed25519"}}}},
    "lives for no time": {**COMMON, "event": "annotation", "annotation": {"run": {
        "from": "speech", "experiment": {"ttl": "long"}}}},
    "ended somehow": {**COMMON, "event": "annotation", "annotation": {"exited": {"exit_code": "well"}}},
    "an error without a code": {**COMMON, "event": "error", "operation": "RunInstances", "error": {}},
}  # fmt: skip


def write(lab, *records, also=()):
    """Write a registry: records, and whatever else."""
    entries = [*({**record.as_json(), **lab.account} for record in records), *also]
    lab.registry.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")


def found(resource_type="instance", identity="i-0123456789abcdef0", experiment="speech"):
    """A note that something was found."""
    resource = {"resource_type": resource_type, "id": identity, "region": "us-east-1", "since": "", "record": ID}
    return Record(event=Event.ANNOTATION, experiment=experiment, annotation={DISCOVERED: [resource]})


def test_each_malformed_record_is_named_by_its_line_and_all_others_count(lab):
    write(lab, found(), also=MALFORMED.values())
    before = lab.registry.read_bytes()
    status = lab.run("status", JSON="1")
    assert [event["id"] for event in status.events if event["event"] == "resource"] == ["i-0123456789abcdef0"]
    named = status.err.splitlines()
    assert named[0].startswith(f"warning: {lab.registry}: line 3: should be a valid dictionary: 5 (set aside")
    assert named[-1] == f"warning: {len(MALFORMED) - 3} more records were set aside; `make doctor` names them"
    seen = [event for event in lab.run("doctor", JSON="1").events if event.get("finding") == "record-malformed"]
    assert [event["message"].partition(": is not a valid record")[0] for event in seen] == [
        f"{lab.registry}: line {line}" for line in range(3, 3 + len(MALFORMED))
    ]
    assert lab.registry.read_bytes().startswith(before.removesuffix(b"\n]\n"))


def test_what_is_over_is_put_away_and_malformed_records_stay_as_they_are(tmp_path):
    session = Session(tmp_path, Lab(regions=["us-east-1"]), "test")
    path = tmp_path / "registry.json"
    over = Record(event=Event.ANNOTATION, annotation={"something": "that is over"})
    entries = [over.as_json(), *MALFORMED.values(), found().as_json()]
    path.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")
    assert session.compact() == 1
    session.registry.append(Record(event=Event.ANNOTATION, annotation={"something": "new"}))
    assert [entry for entry in json.loads(path.read_text()) if entry in MALFORMED.values()] == [*MALFORMED.values()]
    assert [list(record.annotation) for record in session.registry.records()] == [
        ["live_bytes"],
        ["discovered"],
        ["something"],
    ]
    assert over.id in {record.id for record in session.registry.history()}


@pytest.mark.parametrize("malformed", [5, MALFORMED["no event"], MALFORMED["a path for a name"]])
def test_an_append_behind_a_malformed_record_and_another_layout_keep_it(tmp_path, malformed):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps([found().as_json(), malformed], indent=1))
    registry = FileRegistry(path)
    registry.append(Record(event=Event.ANNOTATION))
    path.write_text(path.read_text().replace("\n]\n", ",\n" + json.dumps(malformed) + "\n]\n"))
    registry.append(Record(event=Event.ANNOTATION))
    assert [entry == malformed for entry in json.loads(path.read_text())] == [False, True, False, True, False]
    assert len(list(registry.records())) == 3
    assert [one.where.rpartition(" ")[2] for one in registry.set_aside.values()] == ["2", "3", "5"]


def test_a_name_out_of_a_record_is_never_a_path(lab):
    """Taking down all experiments deletes their ssh files by name."""
    outside = lab.write("../id_ed25519", "my private key")
    for directory in ("hosts", "known_hosts"):
        (lab.path / ".ssh" / directory).mkdir(parents=True)
    write(lab, found(), also=[{**found().as_json(), **lab.account, "experiment": "../../../id_ed25519"}])
    ended = lab.run("teardown", EXP="*", YES="1")
    assert outside.read_text() == "my private key"
    assert "speech: " in ended.out
    assert "experiment: string should match pattern" in ended.err


def test_a_resource_type_that_no_plugin_knows_is_shown_and_left_alone(lab):
    write(lab, found(), found("file-system", "fs-1"))
    assert "file-system" in lab.run("status").out
    torn_down = lab.run("teardown", EXP="speech")
    assert torn_down.code == 1
    assert "file-system fs-1 (us-east-1)" in torn_down.err
    assert "left alone, because no plugin here defines its resource type" in torn_down.error
    assert [event["id"] for event in lab.status()] == ["fs-1"]


def test_a_response_that_a_plugin_cannot_read_is_set_aside(tmp_path):
    plugin = '''
from ec2lab.resource import ResourceType
from ec2lab.plugins import hookimpl


class LaunchFragment(ResourceType):
    """A share."""

    name, tag_type, created_by = "share", "share", ("CreateShare",)
    deleted_by, deleted_with, not_found_codes = "DeleteShare", "ShareId", ()

    def created_in(self, response):
        return response["Shares"]

    def id_in(self, found):
        return found["ShareId"]

    def find(self, cloud, region, filters):
        return []

    def delete(self, cloud, resource):
        pass


@hookimpl
def lab_resource_types():
    return [LaunchFragment()]
'''
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "share.py").write_text(plugin)
    session = Session(tmp_path, Lab(regions=["us-east-1"]), "test")
    answers = [{"Shares": [{"ShareId": "s-1"}]}, {"Shares": [{}]}, {"Shares": 5}]
    common = {"event": Event.RESPONSE, "operation": "CreateShare", "region": "us-east-1", "experiment": "speech"}
    records = [Record(response=answer, request={}, parent_id=ID, **common) for answer in answers]
    session.registry.append_all(records)
    assert [resource.id for resource in holdings(session.registry.records(), session.resource_types).live] == ["s-1"]
    assert ["no share can be read from it" in str(one) for one in session.set_aside()] == [True, True]


def items_of(record, at=1_764_000_000_000_000):
    return packed(record, at).attributes()


FORGED = {
    "a slash in its key": lambda item: {**item, "id": item["id"].replace("speech/", "a/b/")},
    "no time in its key": lambda item: {**item, "id": "speech/now/" + ID},
    "a time beyond all others": lambda item: {**item, "id": f"speech/{'9' * 17}/{item['record']}"},
    "another experiment's key": lambda item: {**item, "id": item["id"].replace("speech/", "vision/")},
    "another record's key": lambda item: {**item, "id": item["id"][:-32] + ID},
    "another record's name": lambda item: {**item, "record": ID},
    "no name": lambda item: {key: value for key, value in item.items() if key != "record"},
    "a format that is a text": lambda item: {**item, "format": "1"},
    "no body": lambda item: {key: value for key, value in item.items() if key != "body"},
    "parts that are not there": lambda item: {**{k: v for k, v in item.items() if k != "body"}, "parts": 2},
    "a body that is none": lambda item: {**item, "body": b"x"},
    "a body that is cut off": lambda item: {**item, "body": item["body"][:-9]},
    "a body of a text": lambda item: {**item, "body": "x"},
}


def test_each_item_of_a_table_that_is_no_record_is_named_and_all_others_count(lab, cloud):
    session = Session(lab.path, Lab(regions=["us-east-1"]), "test")
    registry = session.registry_at("dynamodb://us-east-1/lab", "test")
    sound = found()
    registry.append(sound)
    client = cloud.client("dynamodb", "us-east-1")
    for forge in FORGED.values():
        client.put_item(TableName="lab", Item=typed(forge(items_of(found(identity="i-0bad")))))
    for malformed in (m for m in MALFORMED.values() if isinstance(m, dict)):
        item = items_of(Record(event=Event.ANNOTATION, experiment="speech"))
        body = packed(Body(malformed), 1).body
        client.put_item(TableName="lab", Item=typed({**item, "body": body}))
    assert [record.id for record in registry.records()] == [sound.id]
    assert len(registry.set_aside) == len(FORGED) + len(MALFORMED) - 1
    assert all("dynamodb://us-east-1/lab: item " in str(one) for one in registry.set_aside.values())
    assert [record.id for record in registry.history()] == [sound.id]
    with suppress(UserError):
        registry.archive(lambda _: set())
    assert [record.id for record in registry.history()] == [sound.id]
    registry.close()


class Body:
    """What is packed like a record."""

    experiment = "speech"

    def __init__(self, fields):
        self.fields, self.id = fields, ID

    def as_json(self):
        return self.fields


@pytest.mark.parametrize(
    "forged",
    [{"until": "never"}, {"until": -1}, {"holder": 1}, {"token": ""}, {"process": "here and now x"}],
)
def test_a_lease_that_is_none_is_refused_by_name_and_holds_no_other_experiment(lab, cloud, forged):
    registry = Session(lab.path, Lab(regions=["us-east-1"]), "test").registry_at("dynamodb://us-east-1/lab", "test")
    registry.append(found())
    sound = {"holder": "x", "token": ID, "until": 1, "process": ""}
    item = typed({"place": "lease", "id": "speech", **sound, **forged})
    cloud.client("dynamodb", "us-east-1").put_item(TableName="lab", Item=item)
    holding = registry.lock_experiment("speech", "test")
    for ask in (lambda: registry.lock_owner("speech"), registry.lock_owners, holding.__enter__):
        with pytest.raises(UserError, match=r'item .*"lease".*"speech".*is not a lease'):
            ask()
    with registry.lock_experiment("vision", "test"):
        pass
    registry.close()


def test_a_call_that_could_not_be_read_back_is_not_sent(lab, cloud):
    """A plugin or a script of one's own may name anything: what it made would be nobody's."""
    lab.write("own.py", "from ec2lab.session import open_session\n"
              "with open_session('own', 'My Experiment') as session:\n"
              "    ec2 = session.cloud.ec2('us-east-1')\n"
              "    ec2.create_volume(AvailabilityZone='us-east-1a', Size=1)\n")  # fmt: skip
    assert "experiment: string should match pattern" in lab.run_file("own.py").err
    assert cloud.calls("CreateVolume") == []
