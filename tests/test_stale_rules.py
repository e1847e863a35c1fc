"""A security group that is full: rules of hosts that are gone make room, and no others."""

from datetime import timedelta

from ec2lab import clock
from ec2lab.launch.parts.network import description_of, stale
from ec2lab.registry.record import Event, Record, person

MINE = person()
USER = MINE.partition("@")[0]


def heard(who, ago):
    time = (clock.now() - ago).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return Record(event=Event.ANNOTATION, time=time, actor=f"{who}:1", annotation={})


def test_own_other_hosts_and_silent_ones_are_stale_and_strangers_are_not():
    people = {
        "1": MINE, "2": f"{USER}@gone", "3": f"{USER}@laptop", "4": "alice@gone", "5": "alice@desk", "6": "bob@far"
    }  # fmt: skip
    rules = {network: description_of(who) for network, who in people.items()} | {"7": "by hand", "8": ""}
    hour, week, month = timedelta(hours=1), timedelta(days=7), timedelta(days=30)
    records = [heard(f"{USER}@laptop", hour), heard("alice@gone", month), heard("alice@desk", week)]
    assert stale(rules, [*records, heard("alice@desk", hour), heard(MINE, month)]) == ["2", "4"]


def test_a_full_group_makes_room_by_a_rule_of_a_host_that_is_gone(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    assert lab.run("setup_aws", YES="1").code == 0
    ec2 = cloud.client("ec2", "us-east-1")
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "tag:lab:shared", "Values": ["lab"]}])["SecurityGroups"]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])

    def fill(names):
        ranges = [{"CidrIp": f"10.0.{n}.0/24", "Description": description_of(name)} for n, name in enumerate(names)]
        ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[ssh])
        return ssh

    strangers = fill([f"somebody@host{n}" for n in range(60)])
    line = lab.run("launch", EXP="demo").error
    assert "RulesPerSecurityGroupLimitExceeded" in line
    assert cloud.calls("RevokeSecurityGroupIngress") == []
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[strangers])
    fill([f"{USER}@ci{n}" for n in range(60)])
    assert lab.launch().code == 0
    (after,) = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    networks = [one["CidrIp"] for rule in after["IpPermissions"] for one in rule["IpRanges"]]
    assert len(networks) == 60
    assert "127.0.0.1/32" in networks
