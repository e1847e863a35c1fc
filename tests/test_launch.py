"""The main job, against the local cloud over HTTP."""

import os
import signal

import pytest
import yaml

from local_cloud.ssh_stand_in import sshd
from tests.live_resources import living_in
from tests.waiting import wait_until

MUTATING = ("RunInstances", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress")


def answers(cloud, action):
    return [call["code"] for call in cloud.calls(action)]


def events(ended, name):
    return [event for event in ended.events if event["event"] == name]


def test_the_demo_sees_one_refusal_and_then_an_instance_with_its_data(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "p4d.24xlarge"}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    (refusal,) = events(ended, "launch-rejected")
    assert (refusal["region"], refusal["instance_type"], refusal["category"]) == (
        "us-east-1",
        "p4d.24xlarge",
        "INSUFFICIENT_CAPACITY",
    )
    (lives,) = events(ended, "instance-running")
    assert lives["type"] == "g5.12xlarge"
    assert lives["data"] == "speech@1 on /data"
    (instance,) = living_in(cloud, "us-east-1", "instance")
    assert instance["InstanceId"] == lives["id"]
    assert instance["State"]["Name"] == "running"


def test_the_instance_is_one_mutating_call_and_the_regions_security_group_two_the_first_time_only(lab, cloud):
    assert lab.launch().code == 0
    assert [call["action"] for call in cloud.calls() if call["action"] in MUTATING] == [
        "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances",
    ]  # fmt: skip
    assert lab.teardown().code == 0
    assert lab.launch().code == 0
    assert [call["action"] for call in cloud.calls() if call["action"] in MUTATING][3:] == ["RunInstances"]


def test_what_the_launch_makes_is_tagged_encrypted_closed_and_goes_with_the_instance(lab, cloud):
    assert lab.launch().code == 0
    (instance,) = living_in(cloud, "us-east-1", "instance")
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["Name"] == tags["lab:experiment"] == "demo"
    assert tags["lab:request-id"] == cloud.calls("RunInstances")[0]["params"]["ClientToken"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert all(mapping["Ebs"]["DeleteOnTermination"] for mapping in instance["BlockDeviceMappings"])
    volumes = living_in(cloud, "us-east-1", "volume")
    assert len(volumes) == 2
    for volume in volumes:
        assert {tag["Key"]: tag["Value"] for tag in volume["Tags"]}["lab:experiment"] == "demo"
        assert volume["Encrypted"]
    (group,) = cloud.client("ec2", "us-east-1").describe_security_groups(GroupNames=["ec2-lab-lab"])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (22, 22, "tcp")
    assert [network["CidrIp"] for network in rule["IpRanges"]] == ["127.0.0.1/32"]


def test_when_a_region_has_nothing_the_next_region_that_has_the_data_is_asked(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1"}])
    ended = lab.launch()
    assert events(ended, "instance-running")[0]["zone"].startswith("us-west-2")
    assert [event["region"] for event in events(ended, "launch-rejected")] == ["us-east-1", "us-east-1"]
    assert living_in(cloud, "us-east-1", "instance") == []


def test_a_region_without_the_data_is_passed_over_and_said_so(lab, cloud):
    lab.write("lab.toml", 'regions = ["eu-west-1", "us-west-2"]\n')
    ended = lab.launch()
    (passed_over,) = events(ended, "region-skipped")
    assert passed_over["region"] == "eu-west-1"
    assert "speech is not in eu-west-1" in passed_over["reason"]
    assert events(ended, "instance-running")[0]["zone"].startswith("us-west-2")


def test_a_data_set_that_no_region_has_is_one_line_and_nothing_is_made(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "spech"\nmount = "/data"\n')
    ended = lab.launch()
    assert ended.code == 1
    assert ended.error == 'error: demo: no region is usable: dataset spech is in none of them (did you mean "speech"?)'
    assert events(ended, "passed-over") == []
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "images"\nmount = "/data"\n'
    )
    for script in ("launch", "plan"):
        assert lab.run(script, EXP="demo").error.endswith("dataset images is in none of them (there is: speech)")
    assert not [call for call in cloud.calls() if call["action"] in MUTATING]


def test_before_anything_is_asked_for_it_is_shown_what_it_costs_when_it_ends_and_who_can_log_in(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1"}, {"region": "us-west-2"}])
    lab.write(
        "experiments/demo.toml",
        'instance_types = ["p4d.24xlarge", "g5.xlarge"]\nttl = "12h"\nroot_volume = { size_gib = 100 }\n',
    )
    lines = lab.run("launch", EXP="demo").out.splitlines()
    begin = lines.index("  price   up to $21.97 an hour")
    nobody = "nobody could log in on AWS" if sshd() else "nobody can log in"
    assert lines[begin + 1 : begin + 3] == [
        "  ends    12h after the launch",
        f"  login   members/ is empty, so {nobody} (`make user-add NAME=…` adds a member)",
    ]
    refused = [line for line in lines if line.endswith("  insufficient capacity")]
    assert len(refused) == len(set(refused)) == len(cloud.calls("RunInstances")), "each refusal is shown once"
    assert min(map(lines.index, refused)) > begin


def test_on_the_local_cloud_no_command_is_named_that_does_not_work_there(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\ncommand = "true"\n')
    out = lab.run("launch", EXP="demo").out
    assert "  ends    never (no ttl): run `make teardown EXP=demo`" in out
    ssh = "make ssh EXP=demo    " if sshd() else ""  # a stand-in answers
    assert f"  next    {ssh}make status    make teardown EXP=demo" in out
    assert not [word for word in ("make logs", "make wait", "Include") if word in out]


def test_a_late_refusal_is_a_refusal_and_the_dead_instance_leaves_nothing(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "p4d.24xlarge", "late": True}])
    ended = lab.launch()
    (refusal,) = events(ended, "launch-rejected")
    assert refusal["late"]
    assert refusal["code"] == "Server.InsufficientInstanceCapacity"
    (lives,) = events(ended, "instance-running")
    assert lives["type"] == "g5.12xlarge"
    assert [resource["id"] for resource in lab.status() if resource["resource_type"] == "instance"] == [lives["id"]]
    assert len(living_in(cloud, "us-east-1", "instance")) == 1
    assert len(living_in(cloud, "us-east-1", "volume")) == 2


def test_a_refusal_for_capacity_is_asked_exactly_once_on_the_wire(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "p4d.24xlarge"}])
    assert lab.launch().code == 0
    assert answers(cloud, "RunInstances") == ["InsufficientInstanceCapacity", None]


def test_what_no_region_allows_is_asked_once_in_each_and_fails_with_its_remedy(lab, cloud):
    cloud.scenario(faults=[{"action": "RunInstances", "code": "UnauthorizedOperation", "message": "not allowed"}])
    ended = lab.launch()
    assert ended.code == 1
    assert "us-east-1: UnauthorizedOperation: not allowed (docs/iam-policy.json" in ended.error
    assert [call["region"] for call in cloud.calls("RunInstances")] == ["us-east-1", "us-west-2"]


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "truncated", "html-503"])
def test_an_unclear_answer_is_asked_again_with_the_same_token_and_makes_one_instance(lab, cloud, kind):
    cloud.scenario(faults=[{"action": "RunInstances", "kind": kind, "times": 1}])
    assert lab.launch().code == 0
    assert len({call["params"]["ClientToken"] for call in cloud.calls("RunInstances")}) == 1
    assert len(living_in(cloud, "us-east-1", "instance")) == 1
    assert [resource["state"] for resource in lab.status()] == ["running"], "nothing is left unresolved"


def test_throttling_is_waited_out_at_the_same_pool(lab, cloud):
    cloud.scenario(faults=[{"action": "RunInstances", "code": "RequestLimitExceeded", "times": 2}])
    ended = lab.launch()
    assert ended.code == 0
    assert not events(ended, "launch-rejected")


def test_an_experiment_that_lives_is_not_launched_again_and_the_line_says_where(lab, cloud):
    first = events(lab.launch(), "instance-running")[0]
    ended = lab.launch()
    assert (ended.code, ended.out) == (1, ""), "refused before anything is said of a launch"
    assert f"demo is already live: instance {first['id']} (us-east-1) running since 20" in ended.error
    assert "vol-" not in ended.error, "the instance is enough"
    assert "make teardown EXP=demo" in ended.error
    assert len(cloud.calls("RunInstances")) == 1
    planned = lab.run("plan", EXP="demo")
    assert planned.code == 0
    assert f"warning: demo is already live: instance {first['id']} (us-east-1) running since 20" in planned.err


def test_an_experiment_whose_instance_ended_by_itself_is_launched_again(lab, cloud):
    first = events(lab.launch(), "instance-running")[0]
    cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[first["id"]])
    assert lab.launch().code == 0
    assert len(living_in(cloud, "us-east-1", "instance")) == 1


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_instance_starts_takes_it_down_again(lab, cloud, ending):
    cloud.scenario(pending=60)
    process = lab.start("launch", EXP="demo", JSON="1")
    while '"instance-pending"' not in process.stdout.readline():
        assert process.poll() is None
    os.kill(process.pid, ending)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert '"deleting"' in out
    assert '"rolled-back"' in out.splitlines()[-1]
    assert living_in(cloud, "us-east-1", "instance") == []
    assert living_in(cloud, "us-east-1", "volume") == []


def test_an_instance_whose_launch_was_killed_before_the_answer_is_taken_up_by_the_next_and_torn_down(lab, cloud):
    cloud.scenario(faults=[{"action": "RunInstances", "kind": "hang-after", "times": 1}])
    process = lab.start("launch", EXP="demo", JSON="1")
    wait_until(lambda: living_in(cloud, "us-east-1", "instance"))
    process.kill()
    process.communicate()
    (instance,) = living_in(cloud, "us-east-1", "instance")
    ended = lab.launch()
    assert ended.code == 0
    assert [e["instance"] for e in ended.events if e["event"] == "resumed"] == [instance["InstanceId"]]
    assert len(living_in(cloud, "us-east-1", "instance")) == 1
    assert lab.launch().code == 1, "the launch has come to its end now"
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "instance") == []


def test_of_several_instances_those_that_came_up_are_taken_up_and_only_the_others_are_looked_for(lab, cloud):
    cloud.scenario(capacity=[{"type": "p4d*"}, {"region": "us-east-1", "available": 2}], pending=600)
    process = lab.start("launch", EXP="demo", COUNT="3", JSON="1")
    wait_until(lambda: len(living_in(cloud, "us-east-1", "instance") + living_in(cloud, "us-west-2", "instance")) == 3)
    process.kill()
    process.communicate()
    cloud.advance(600)
    cloud.scenario()
    ended = lab.run("launch", EXP="demo", COUNT="4", JSON="1")
    assert ended.code == 0, ended.err
    assert len([e for e in ended.events if e["event"] == "resumed"]) == 3
    assert len([e for e in ended.events if e["event"] == "instance-running"]) == 4
    assert lab.teardown().code == 0


def test_two_launches_of_one_experiment_at_once_make_one_instance_and_the_other_says_who_is_at_it(lab, cloud):
    cloud.scenario(pending=600)
    both = [lab.start("launch", EXP="demo", JSON="1") for _ in range(2)]
    wait_until(lambda: any(process.poll() is not None for process in both))
    wait_until(lambda: living_in(cloud, "us-east-1", "instance"))
    cloud.advance(600)
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in both]
    assert sorted(code for _, code in ended) == [0, 1]
    refused = next(err for err, code in ended if code)
    assert "demo is locked by launch (" in refused
    assert len(living_in(cloud, "us-east-1", "instance")) == 1


def test_every_record_tells_who_asked_what_where_and_what_was_answered_and_no_user_data(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\ncommand = "echo a-word-of-the-command"\n')
    assert lab.launch().code == 0
    records = lab.records()
    (intent,) = [r for r in records if r["event"] == "intent" and r["operation"] == "RunInstances"]
    (answer,) = [r for r in records if r["event"] == "response" and r["operation"] == "RunInstances"]
    assert answer["parent_id"] == intent["id"]
    assert answer["request"] == intent["request"]
    assert (answer["experiment"], answer["script"], answer["region"]) == ("demo", "launch", "us-east-1")
    assert answer["response"]["Instances"][0]["InstanceId"].startswith("i-")
    assert answer["request_id"]
    assert set(answer["request"]["UserData"]) == {"bytes", "sha256"}
    assert "a-word-of-the-command" not in lab.registry.read_text()


def test_a_poll_that_answers_the_same_is_counted_and_not_repeated(lab, cloud):
    cloud.scenario(pending=600)
    process = lab.start("launch", EXP="demo")
    wait_until(lambda: len(cloud.calls("DescribeInstances")) >= 3)
    cloud.advance(600)
    process.communicate(timeout=60)
    assert process.returncode == 0
    polls = [r for r in lab.records() if r.get("operation") == "DescribeInstances"]
    assert [r["event"] for r in polls] == ["response", "repeated", "response"]
    assert polls[1]["parent_id"] == polls[0]["id"]
    assert polls[1]["times"] == len(cloud.calls("DescribeInstances")) - 2


def test_a_reader_that_goes_away_does_not_stop_a_launch_nor_its_taking_down(lab, cloud):
    cloud.scenario(pending=1)
    process = lab.start("launch", EXP="demo", JSON="1")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert [resource["state"] for resource in lab.status()] == ["running"]
    lab.teardown()

    cloud.scenario(pending=60)
    process = lab.start("launch", EXP="demo", JSON="1")
    while '"instance-pending"' not in process.stdout.readline():
        assert process.poll() is None
    process.stdout.close()
    process.stdout = None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert living_in(cloud, "us-east-1", "instance") == []


def test_a_region_that_is_not_set_up_is_passed_over_and_the_next_is_asked(lab, cloud):
    cloud.scenario(faults=[{"action": "CreateSecurityGroup", "region": "us-east-1", "code": "VPCIdNotSpecified"}])
    ended = lab.launch()
    assert ended.code == 0
    assert "VPCIdNotSpecified" in events(ended, "region-skipped")[0]["reason"]
    assert events(ended, "instance-running")[0]["zone"].startswith("us-west-2")


RESERVED = {"id": "cr-0123", "region": "us-east-1", "zone": "us-east-1c", "type": "g5.xlarge"}


@pytest.mark.parametrize(("kind", "market"), [("default", "reservation"), ("capacity-block", "capacity-block")])
def test_a_reservation_is_asked_for_in_its_own_zone_and_region(lab, cloud, kind, market):
    lab.write("experiments/demo.toml", f'instance_types = ["g5.xlarge"]\nmarkets = ["{market}:cr-0123"]\n')
    cloud.scenario(reservations=[RESERVED | {"region": "us-west-2", "zone": "us-west-2b", "kind": kind}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    (call,) = cloud.calls("RunInstances")
    assert (call["region"], call["params"]["Placement.AvailabilityZone"]) == ("us-west-2", "us-west-2b")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"type": "p4d.24xlarge"}, "cr-0123 is for p4d.24xlarge, not for g5.xlarge"),
        ({"kind": "capacity-block"}, "cr-0123 is a capacity-block (write capacity-block:cr-0123)"),
        ({"state": "expired"}, "cr-0123 is expired"),
        ({"region": "eu-west-1"}, "cr-0123 is not in us-east-1"),
    ],
)
def test_a_reservation_that_does_not_fit_is_out_in_words_and_is_not_asked_for(lab, cloud, held, said):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["reservation:cr-0123"]\n')
    cloud.scenario(reservations=[RESERVED | held])
    ended = lab.launch()
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls("RunInstances") == []


def test_a_reservation_without_a_free_instance_leaves_the_turn_to_the_next_market(lab, cloud):
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["reservation:cr-0123", "on-demand"]\n'
    )
    cloud.scenario(reservations=[RESERVED | {"total": 0}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    (refused,) = events(ended, "launch-rejected")
    assert refused["message"] == "cr-0123 has 0 of 0 instances free"
    assert "CapacityReservation" not in str(cloud.calls("RunInstances")[0]["params"])


def test_where_reservations_may_not_be_described_ec2_says_what_does_not_fit(lab, cloud):
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["reservation:cr-0123", "on-demand"]\n'
    )
    cloud.scenario(faults=[{"action": "DescribeCapacityReservations", "code": "UnauthorizedOperation"}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    assert [event["category"] for event in events(ended, "launch-rejected")] == ["RESERVATION_UNUSABLE"]


def test_an_instance_that_can_be_neither_seen_nor_taken_down_is_named_with_awss_reason_in_one_line(lab, cloud):
    cloud.scenario(faults=[{"action": "DescribeInstances", "code": "InvalidAction", "message": "no such action"}])
    error = lab.launch().error
    assert error.startswith("error: DescribeInstances in us-east-1: InvalidAction: no such action; and the rollback")
    assert error.endswith("run `make teardown EXP=demo`")


def test_an_instance_whose_root_device_is_not_the_one_asked_for_is_taken_down_with_what_to_write(lab, cloud):
    lab.write(
        "experiments/demo.toml",
        'instance_types = ["g5.xlarge"]\nroot_volume = { device = "/dev/xvda", size_gib = 100 }\n',
    )
    ended = lab.launch()
    assert ended.code == 1
    assert 'root_volume.device: is /dev/xvda, the image has /dev/sda1 (try device = "/dev/sda1")' in ended.error
    assert living_in(cloud, "us-east-1", "instance") == []


def test_the_commands_unit_runs_as_its_account_and_not_without_its_data(lab, cloud):
    lab.write(
        "experiments/demo.toml",
        'instance_types = ["g5.xlarge"]\ncommand = "echo \\"$HOME\\""\n[[data]]\ndataset = "speech"\nmount = "/data"\n',
    )
    (request,) = [
        event for event in lab.run("plan", EXP="demo", JSON="1").events if event["event"] == "planned-request"
    ]
    written = {file["path"]: file["content"] for file in yaml.safe_load(request["cloud_init"])["write_files"]}
    unit = written["/etc/systemd/system/experiment.service"].splitlines()
    assert "User=experiment" in unit
    first, options, *_, data, command = written["/opt/ec2-lab/experiment"].splitlines()
    assert (first, options) == ("#!/bin/bash", "set -euo pipefail")
    assert data == "mountpoint -q /data || { echo ec2-lab: /data is not mounted; exit 1; }"
    assert command == 'echo "$HOME"'


def test_botocores_own_retries_are_on_for_every_other_call(lab, cloud):
    cloud.scenario(faults=[{"action": "DescribeSnapshots", "code": "RequestLimitExceeded", "times": 2}])
    assert lab.launch().code == 0
    assert answers(cloud, "DescribeSnapshots") == ["RequestLimitExceeded", "RequestLimitExceeded", None]


def test_a_quota_rules_its_family_out_after_exactly_one_call(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.12xlarge", "g4dn.xlarge", "p4d.24xlarge"]\n')
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "g*", "code": "VcpuLimitExceeded"}])
    assert lab.launch().code == 0
    assert [c["params"]["InstanceType"] for c in cloud.calls("RunInstances")] == ["g5.12xlarge", "p4d.24xlarge"]


def test_retry_for_goes_on_asking_until_there_is_capacity(lab, cloud):
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nzones = ["us-east-1a"]\ncapacity_timeout = "60s"\n'
    )
    cloud.scenario(capacity=[{"region": "us-east-1", "calls": 1}])
    ended = lab.launch()
    assert ended.code == 0
    assert len(events(ended, "retry-scheduled")) == 1
    assert answers(cloud, "RunInstances") == ["InsufficientInstanceCapacity", None]


def test_a_search_in_vain_shows_every_pool_and_what_would_help(lab, cloud):
    cloud.scenario(capacity=[{"type": "p4d.24xlarge", "code": "VcpuLimitExceeded"}, {}])
    ended = lab.launch()
    assert ended.code == 1
    (in_vain,) = events(ended, "capacity-exhausted")
    assert len(in_vain["rejections"]) == len(cloud.calls("RunInstances"))
    assert in_vain["advice"][0].startswith(
        "request a higher quota from AWS: Running On-Demand P instances, in us-east-1"
    )
    shown = lab.run("launch", EXP="demo").out
    assert "vCPU quota used up (VcpuLimitExceeded)" in shown
    assert "capacity_timeout" in shown


def test_an_experiment_that_names_subnets_is_asked_for_in_them_and_its_group_is_in_their_vpc(lab, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    named = f'instance_types = ["g5.12xlarge"]\nsubnets = {{ us-east-1 = {made} }}\n'.replace("'", '"')
    lab.write("experiments/demo.toml", named)
    cloud.scenario(capacity=[{"zone": "us-east-1a"}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    assert [call["params"]["SubnetId"] for call in cloud.calls("RunInstances")] == made
    (instance,) = living_in(cloud, "us-east-1", "instance")
    assert (instance["SubnetId"], instance["VpcId"]) == (made[1], vpc)
    (group,) = ec2.describe_security_groups(GroupIds=[instance["SecurityGroups"][0]["GroupId"]])["SecurityGroups"]
    assert group["VpcId"] == vpc


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('subnets = { us-east-1 = ["net-x"] }', "subnets.us-east-1[0]: 'net-x' is not a subnet"),
        ('subnets = { us-east-1 = ["subnet-0123456789abcdef0"] }\nzones = ["us-east-1a"]', "remove zones"),
        (
            'subnets = { us-east-1 = ["subnet-0123456789abcdef0"] }',
            "no region is usable: subnets: us-east-1: The subnet ID",
        ),
    ],
)
def test_a_subnet_that_can_not_be_is_one_line_and_nothing_is_made(lab, cloud, keys, said):
    lab.write("experiments/demo.toml", f'instance_types = ["g5.xlarge"]\n{keys}\n')
    ended = lab.launch()
    assert ended.code == 1
    assert said in ended.error
    assert not [call for call in cloud.calls() if call["action"] in MUTATING]
