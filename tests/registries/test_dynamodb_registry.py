"""What a table does beside what every registry does: it is made, it is private, leases end by AWS's clock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from ec2lab.config.models import Lab
from ec2lab.errors import UserError
from ec2lab.registry import dynamodb_lock, dynamodb_table
from ec2lab.registry.record import Event, Record
from ec2lab.session import Session

ADDRESS = "dynamodb://eu-west-1/team?lease=2s"


@pytest.fixture
def opened(lab):
    session = Session(lab.path, Lab(regions=["us-east-1"]), "test")
    return lambda: session.registry_at(ADDRESS, "test")


def intent(experiment="demo"):
    return Record(event=Event.INTENT, experiment=experiment, operation="RunInstances")


def test_the_table_is_made_on_first_use_encrypted_backed_up_and_paid_by_the_request(opened, cloud):
    assert list(opened().records()) == []
    dynamodb = cloud.client("dynamodb", "eu-west-1")
    table = dynamodb.describe_table(TableName="team")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert table["DeletionProtectionEnabled"]
    backups = dynamodb.describe_continuous_backups(TableName="team")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    tags = dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    assert {"Key": "lab:shared", "Value": "registry"} in tags


def test_one_whose_maker_was_killed_before_it_was_backed_up_is_backed_up_later(opened, cloud, mocker):
    mocker.patch.object(dynamodb_table.Table, "_back_up", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        opened().append(intent())
    mocker.stopall()
    dynamodb = cloud.client("dynamodb", "eu-west-1")
    cloud.scenario(faults=[{"action": "UpdateContinuousBackups", "code": "AccessDeniedException", "message": "no"}])
    assert opened().archive(lambda records: set()) == 0, "who may not goes on all the same"
    cloud.scenario()
    for _ in range(2):
        opened().archive(lambda records: set())
    backups = dynamodb.describe_continuous_backups(TableName="team")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert len(cloud.calls("UpdateContinuousBackups")) == 2, "once in vain, once for good"


def test_two_may_make_the_table_at_once(opened):
    first, second = opened(), opened()
    first.append(intent())
    second.append(intent())
    assert len(list(first.records())) == 2


def test_a_lease_outlives_its_length_while_its_holder_does(opened, mocker):
    mocker.patch.object(dynamodb_lock, "is_dead", return_value=False)
    holder, other = opened(), opened()
    clock = mocker.patch.object(other.table, "server_time")
    with holder.lock_experiment("demo", "launch"):
        before = float(holder.table.get(dynamodb_lock.lease_key("demo"))["until"])
        while float(holder.table.get(dynamodb_lock.lease_key("demo"))["until"]) <= before + 0.1:
            pass
        clock.return_value = before + 0.1
        with pytest.raises(UserError, match="is locked by launch"), other.lock_experiment("demo", "launch"):
            pass


def test_whose_lease_was_taken_over_writes_no_intent_any_more_and_every_answer(opened, mocker):
    mocker.patch.object(dynamodb_lock, "is_dead", return_value=False)
    mocker.patch.object(dynamodb_lock.LeaseManager, "_renew_in_time")  # as if the process had been held up
    slow, other = opened(), opened()
    with slow.lock_experiment("demo", "launch"):
        slow.append(intent())
        ends = float(slow.table.get(dynamodb_lock.lease_key("demo"))["until"])
        mocker.patch.object(other.table, "server_time", return_value=ends + 0.1)
        with other.lock_experiment("demo", "launch"):
            for unwanted in (
                intent(),
                Record(event=Event.ANNOTATION, experiment="demo", annotation={"launched": ["i-1"]}),
            ):
                with pytest.raises(UserError, match="demo: was taken over by somebody else"):
                    slow.append(unwanted)
            answer = Record(event=Event.RESPONSE, experiment="demo", operation="StopInstances")
            slow.append(answer)
            other.append(intent())
    assert [record.event for record in opened().records()] == [Event.INTENT, Event.RESPONSE, Event.INTENT]
    assert answer.id in {record.id for record in opened().records()}


def test_who_is_taken_over_does_not_let_go_of_the_others_lease(opened, mocker):
    mocker.patch.object(dynamodb_lock, "is_dead", return_value=False)
    slow, other = opened(), opened()
    mocker.patch.object(other.table, "server_time", return_value=9e9)
    holding = other.lock_experiment("demo", "teardown")
    with slow.lock_experiment("demo", "launch"):
        holding.__enter__()
    with pytest.raises(UserError, match="is locked by teardown"), opened().lock_experiment("demo", "launch"):
        pass
    holding.__exit__(None, None, None)


def test_a_lost_answer_to_the_taking_of_a_lease_is_no_refusal(opened, cloud):
    opened().append(intent())
    cloud.scenario(faults=[{"action": "PutItem", "kind": "reset-after", "times": 1}])
    with opened().lock_experiment("demo", "launch"):
        pass


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "html-503", "truncated"])
def test_records_are_written_once_on_a_bad_wire(opened, cloud, kind):
    registry = opened()
    list(registry.records())
    cloud.scenario(faults=[{"kind": kind, "probability": 0.3}], seed=4)
    written = [intent() for _ in range(20)]
    with registry.lock_experiment("demo", "launch"):
        for record in written:
            registry.append(record)
    cloud.scenario()
    assert list(opened().records()) == written


def test_a_refusal_is_one_line_that_names_the_table(opened, cloud):
    cloud.scenario(faults=[{"action": "PutItem", "code": "AccessDeniedException", "message": "no"}])
    with pytest.raises(
        UserError, match=r"^dynamodb://eu-west-1/team\S*: PutItem in eu-west-1: AccessDeniedException: no \(docs/iam"
    ):
        opened().append(intent())


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_is_cancelled_for_now_is_sent_again(opened, mocker, reason):
    registry = opened()
    sent = registry.table.client.transact_write_items
    answer = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": "None"}, {"Code": reason}],
    }
    refusals = [ClientError(answer, "TransactWriteItems")] * 3

    def refused_at_first(**request):
        if refusals:
            raise refusals.pop()
        return sent(**request)

    mocker.patch.object(registry.table.client, "transact_write_items", refused_at_first)
    record = intent()
    with registry.lock_experiment("demo", "launch"):
        registry.append(record)
    assert list(opened().records()) == [record]


def test_who_died_on_another_instance_holds_until_his_lease_ends(opened, mocker):
    mocker.patch.object(dynamodb_lock, "is_dead", return_value=False)
    mocker.patch.object(dynamodb_lock.LeaseManager, "_renew_in_time")
    dead, other = opened(), opened()
    holding = dead.lock_experiment("demo", "launch")
    holding.__enter__()
    ends = float(dead.table.get(dynamodb_lock.lease_key("demo"))["until"])
    mocker.patch.object(other.table, "server_time", return_value=ends - 0.1)
    with pytest.raises(UserError, match="is locked by launch"), other.lock_experiment("demo", "launch"):
        pass
    mocker.patch.object(other.table, "server_time", return_value=ends + 0.1)
    with other.lock_experiment("demo", "launch"):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_who_is_dead_is_told_from_who_lives_and_from_who_is_hidden(mocker):
    process = subprocess.Popen(["sleep", "60"])
    mine = dynamodb_lock.process_identity()
    began = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[dynamodb_lock.BEGAN]
    its = f"{mine.rsplit(' ', 2)[0]} {process.pid} {began}"
    assert not dynamodb_lock.is_dead(mine)
    assert not dynamodb_lock.is_dead(its)
    assert dynamodb_lock.is_dead(f"{its}0"), "its number is another's by now"
    assert not dynamodb_lock.is_dead(f"0{its}"), "of another boot nothing is known"
    hidden = mocker.patch.object(dynamodb_lock, "_started_at", return_value=[])
    kill = mocker.patch.object(dynamodb_lock.os, "kill", side_effect=PermissionError)
    assert not dynamodb_lock.is_dead(its), "somebody else's, on a computer that hides them"
    mocker.stop(hidden)
    mocker.stop(kill)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert dynamodb_lock.is_dead(its), "it has ended, though nobody has asked after it"
    process.wait()
    assert dynamodb_lock.is_dead(its)


def test_an_item_of_a_newer_version_is_named_and_nothing_is_guessed(opened, cloud):
    registry = opened()
    registry.append(intent())
    dynamodb = cloud.client("dynamodb", "eu-west-1")
    (item,) = dynamodb.scan(TableName="team")["Items"]
    dynamodb.put_item(TableName="team", Item={**item, "format": {"N": "99"}})
    with pytest.raises(UserError, match="has format 99, this ec2-lab reads up to 1; upgrade ec2-lab"):
        registry.records()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("dynamodb://us-wset-2/lab", r"'us-wset-2' is not a region .did you mean \"us-west-2\""),
        ("dynamodb://us-east-1/", "is not the address of a table"),
        ("dynamodb://us-east-1/a b", "is not the address of a table"),
        ("dynamodb://us-east-1/lab?leas=1m", "is not the address of a table"),
        ("dynamodb://us-east-1/lab?lease=1", "lease: .* is not a duration"),
        ("dynamodb://us-east-1/lab?lease=0s", "lease: 0s is not from 1s to 1h"),
        ("dynamodb://us-east-1/lab?lease=2d", "lease: 2d is not from 1s to 1h"),
        ("dynamodb:/us-east-1/lab", "is not an address; two slashes follow the colon"),
        ("s3://bucket/lab", r"unknown registry s3:// \(known: file, dynamodb\)"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_by_name(lab, address, said):
    with pytest.raises(UserError, match=f"^lab.toml: registry: .*{said}|^lab.toml: registry: {said}"):
        Session(lab.path, Lab(regions=["us-east-1"]), "test").registry_at(address, "lab.toml: registry")
