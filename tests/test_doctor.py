"""What `make doctor` finds, each thing provoked; that it stops at nothing, changes nothing, and ends as it should."""

import re
import shutil

import pytest

from ec2lab.aws.identity import Identity
from ec2lab.doctor.check import Check
from ec2lab.doctor.checks.account import Credentials, Quotas, Regions
from ec2lab.doctor.checks.computer import Clock, Files
from ec2lab.doctor.checks.data import ArtifactBuckets, Datasets, RetainedVolumes
from ec2lab.doctor.checks.ssh import Address
from ec2lab.doctor.context import open_readonly
from ec2lab.doctor.runner import run_checks
from ec2lab.validators import NAME_HELP
from tests.documented_findings import diagnoses, row
from tests.lab_directory import REPOSITORY, VARIABLES
from tests.local_cloud.requests import run

KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43} alice"
LAB = 'regions = ["us-east-1", "us-west-2"]\n'
CHECKS = [
    "config-files", "versions", "ssh", "credentials", "clock", "permissions", "regions", "artifact-buckets",
    "datasets", "quotas", "ssh-ingress", "retained-volumes", "tags", "registry",
]  # fmt: skip


@pytest.fixture
def look(lab, monkeypatch, tmp_path):
    """Make one check of the lab, in this process; return its findings as (id, text)."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def found(check, only=""):
        with open_readonly(lab.path, only) as looked_at:
            return [(finding.diagnosis.id, finding.text) for _, finding in run_checks(looked_at, [check])]

    return found


def ids(found):
    return [identity for identity, _ in found]


def findings(ended):
    return [event for event in ended.events if event["event"] == "check-finding"]


def lines_of(ended):
    return [line for line in ended.out.splitlines() if line.startswith(("ok ", "warning ", "unknown ", "error "))]


def on_aws(lab, cloud, more=""):
    """Have the lab go to AWS, which is the test's local cloud here; return the settings that see to it."""
    lab.write("lab.toml", f'cloud = "aws"\n{LAB}{more}')
    return cloud.credentials("x")


def group_without_rules(cloud):
    """The lab's security group, from which this computer's address is gone."""
    ec2 = cloud.client("ec2", "us-east-1")
    whole = {
        "lab:shared": "lab",
        "lab:request-id": "f" * 32,
        "lab:registry": "f" * 32,
        "lab:created-by": "alice@laptop",
    }
    tags = [{"Key": key, "Value": value} for key, value in whole.items()]
    specification = [{"ResourceType": "security-group", "Tags": tags}]
    return ec2.create_security_group(GroupName="lab", Description="lab", TagSpecifications=specification)["GroupId"]


def retained_volume(cloud, until, because=""):
    """A volume that was kept at a teardown of speech on New Year's Day."""
    said = {"lab:retained": "2026-01-01 after speech", "lab:retain-until": until, "lab:retain-reason": because}
    tags = [{"Key": key, "Value": value} for key, value in said.items()]
    specification = [{"ResourceType": "volume", "Tags": tags}]
    ec2 = cloud.client("ec2", "us-east-1")
    return ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=specification)["VolumeId"]


def test_every_finding_that_the_code_can_make_has_its_row_in_the_document():
    known = diagnoses()
    rows = [line for line in (REPOSITORY / "docs" / "doctor.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(row(diagnosis) for diagnosis in known)
    assert len({diagnosis.id for diagnosis in known}) == len(known)
    assert [d.id for d in known if d.severity != "ok" and not d.remedy] == []


def test_a_fresh_lab_on_the_local_cloud_is_well_but_for_members_and_nothing_is_changed_or_written(lab, cloud):
    ended = lab.run("doctor")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[1] for line in lines_of(ended)] == ["config-files", *CHECKS]
    (warning,) = [line for line in lines_of(ended) if not line.startswith("ok ")]
    assert "nobody can log in to an instance → `make user-add NAME=…" in warning
    assert ended.out.splitlines()[-1] == "0 errors, 1 warning"
    changing = [c for c in cloud.calls() if not c["action"].startswith(("Describe", "Get", "List", "Simulate"))]
    assert {call["params"].get("DryRun") for call in changing} == {"true"}
    assert not lab.registry.exists()


def test_what_is_wrong_is_an_event_each_with_its_remedy_and_the_exit_code_says_so(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\nname = "two words"\ntypo = 1\n')
    lab.write("experiments/a.toml", 'instance_typse = ["g5.xlarge"]\nttl = "soon"\n')
    lab.write("experiments/B.toml", 'instance_types = ["g5.xlarge"]\n')
    lab.write("members/root.toml", f'keys = ["{KEY}"]\n')
    lab.write("members/eve.toml", 'keys = ["nonsense"]\nuid = 3\n')
    ended = lab.run("doctor", JSON="1")
    assert ended.code == 3
    wrong = [event for event in findings(ended) if event["severity"] == "error"]
    assert {event["finding"] for event in wrong} == {"config-invalid"}
    assert all(event["remedy"] for event in wrong)
    told = [event["message"].split(": ")[0:2] for event in wrong]
    assert sorted(told) == [
        ["experiments/B.toml", f"'B' is not {NAME_HELP}"],
        ["experiments/a.toml", "instance_typse"], ["experiments/a.toml", "ttl"],
        ["lab.toml", "name"], ["lab.toml", "typo"], ["members/eve.toml", "keys[0]"], ["members/eve.toml", "uid"],
        ["members/root.toml", "'root' can't be a login name"],
    ]  # fmt: skip
    unlooked = [event["check"] for event in findings(ended) if event["finding"] == "check-skipped"]
    assert unlooked == [check for check in CHECKS if check not in ("config-files", "versions", "ssh")]
    assert ended.events[-1] == {"event": "check-summary", "counts": {"ok": 2, "warning": 0, "unknown": 11, "error": 8}}
    assert cloud.calls() == []


def test_without_credentials_each_check_says_so_in_its_own_line_and_the_others_look(lab, cloud, tmp_path):
    settings = on_aws(lab, cloud)
    nobody = {"AWS_CONFIG_FILE": str(tmp_path / "no"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no")}
    ended = lab.run("doctor", AWS_ENDPOINT_URL=settings["AWS_ENDPOINT_URL"], **nobody)
    assert (ended.code, ended.err) == (3, "")
    by_check = {line.split()[1]: line for line in lines_of(ended)}
    assert list(by_check) == CHECKS
    assert by_check["credentials"].startswith("error    credentials      Unable to locate credentials")
    for check in ("clock", "permissions", "regions", "artifact-buckets", "datasets", "quotas", "ssh-ingress"):
        assert by_check[check].startswith(f"unknown  {check:<16} skipped: ")
    for check in ("versions", "registry"):
        assert by_check[check].startswith("ok ")


def test_credentials_that_end_meanwhile_leave_it_unknown_whether_all_is_well(lab, cloud):
    cloud.scenario(faults=[{"action": "[!G]*", "skip": 3, "code": "ExpiredToken", "message": "the token has expired"}])
    ended = lab.run("doctor")
    assert ended.code == 3
    unknown = [line for line in lines_of(ended) if line.startswith("unknown ")]
    assert len(unknown) > 3
    assert all("not available: " in line and "ExpiredToken" in line for line in unknown)
    assert re.fullmatch(rf"0 errors, \d+ warnings?, {len(unknown)} not checked", ended.out.splitlines()[-1])


def test_offline_it_says_that_aws_is_not_reached(lab, look, cloud, monkeypatch):
    settings = on_aws(lab, cloud) | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert ids(look(Credentials())) == ["aws-unreachable"]
    assert ids(look(Regions())) == ["check-skipped"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"EXP": "dmo"}, 'experiments/dmo.toml: no such experiment (did you mean "demo"?)'),
        ({"EXP": "a b"}, "EXP: 'a b' is"),
    ],
)
def test_where_nothing_can_be_looked_at_it_ends_with_one(lab, variables, said):
    ended = lab.run("doctor", **variables)
    assert ended.code == 1
    assert said in ended.error


def test_without_a_lab_it_ends_with_one(lab):
    (lab.path / "lab.toml").unlink()
    ended = lab.run("doctor")
    assert ended.code == 1
    assert "lab.toml: not found" in ended.error


def test_a_changed_address_is_named_where_an_instance_runs_and_admitted_when_that_is_wanted(lab, cloud, look):
    group = group_without_rules(cloud)
    assert "address-allowed-on-next-launch" in ids(look(Address())), "no instance is there to be reached"
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "lab:registry", "Value": "f" * 32}]}]
    run(cloud.client("ec2", "us-east-1"), TagSpecifications=tags)
    assert look(Address()) == [
        ("address-not-allowed", f"ssh from 127.0.0.1 is not allowed by {group} in us-east-1: it hangs"),
        ("no-group-yet", "us-west-2: no security group yet; the first launch creates it"),
    ]
    ended = lab.run("doctor", FIX="1")
    assert ended.code == 0, ended.out
    assert f"ssh is admitted from 127.0.0.1/32 in {group}, us-east-1" in ended.out
    assert any(r.get("operation") == "AuthorizeSecurityGroupIngress" for r in lab.records())
    assert "address-allowed" in ids(look(Address()))


def test_no_group_is_opened_or_used_on_the_word_of_one_tag(lab, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    tags = [{"Key": "lab:shared", "Value": "lab"}, {"Key": "lab:vpc", "Value": "default"}]
    database = ec2.create_security_group(
        GroupName="ec2-lab-lab", Description="x", TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}]
    )["GroupId"]
    lab.run("doctor", FIX="1")
    lab.write("experiments/demo.toml", 'instance_types = ["t3.micro"]\nregions = ["us-east-1"]\n')
    assert "InvalidGroup.Duplicate" in lab.launch().err
    assert ec2.describe_security_groups(GroupIds=[database])["SecurityGroups"][0]["IpPermissions"] == []


def test_an_address_outside_the_networks_that_the_lab_admits_is_named(lab, look):
    lab.write("lab.toml", f'{LAB}[network]\nssh_allowed_cidrs = ["203.0.113.0/24"]\n')
    assert ids(look(Address())) == ["address-not-in-list"]
    lab.write("lab.toml", f'{LAB}[network]\nssh_allowed_cidrs = ["127.0.0.0/8", "::/0"]\n')
    assert ids(look(Address())) == ["no-group-yet"]


@pytest.mark.parametrize(
    ("skew", "found", "said"),
    [(0, "clock-ok", "of AWS's"), (120, "clock-skew", "behind"), (-120, "clock-skew", "ahead of"),
     (400, "clock-skew-too-large", "behind"), (-4000, "clock-skew-too-large", "ahead of")],
)  # fmt: skip
def test_a_clock_is_held_against_the_date_of_aws_even_where_it_refuses_the_call(look, cloud, skew, found, said):
    cloud.scenario(clock_skew=skew)
    ((identity, text),) = look(Clock())
    assert identity == found
    assert said in text


def test_the_caller_is_named_and_credentials_that_end_soon_are(lab, look, cloud, monkeypatch):
    number = (lab.path / ".local-cloud" / "account").read_text().strip()
    assert look(Credentials()) == [("identity", f"arn:aws:iam::{number}:user/local in account {number}")]
    for name, value in on_aws(lab, cloud).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "x")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2999-01-01T00:00:00Z")
    assert ids(look(Credentials())) == ["identity"]
    cloud.scenario(faults=[{"action": "GetCallerIdentity", "code": "ExpiredToken"}])
    ((identity, text),) = look(Credentials())
    assert identity == "identity-unknown"
    assert "log in again" in text


def test_the_root_user_and_a_role_are_known_by_their_arns():
    assert Identity("arn:aws:iam::123456789012:root").is_root
    assumed = Identity("arn:aws:sts::123456789012:assumed-role/researcher/alice@example.org")
    assert (assumed.is_root, assumed.role) == (False, "researcher")
    assert Identity("arn:aws:iam::123456789012:user/alice").role is None


def test_regions_that_are_shut_or_of_another_partition_are_named_and_the_rest_is_looked_at(lab, look, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "ap-east-1", "eusc-de-east-1"]\n')
    found = dict(look(Regions()))
    assert found["not-opted-in"] == "the account has not opted in to ap-east-1"
    assert found["no-such-region"].startswith("eusc-de-east-1 is not an AWS region")
    assert found["regions-ok"].startswith("us-east-1: enabled")


def test_an_image_parameter_of_another_data_type_is_named_before_ec2_refuses_it(lab, look, cloud):
    cloud.client("ssm", "us-east-1").put_parameter(Name="own", Value="ami-12345678", Type="String")
    lab.write("lab.toml", 'regions = ["us-east-1"]\nimage = "resolve:ssm:own"\n')
    found = dict(look(Regions()))
    assert "by own: its data type is text, and EC2 accepts aws:ec2:image only" in found["image-nowhere"]


def test_a_quota_that_is_not_listed_counts_with_awss_default(lab, look, cloud):
    cloud.scenario(unlisted_quotas=["Running On-Demand P instances"])
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    lab.write("experiments/demo.toml", 'instance_types = ["p4d.24xlarge"]\n')
    assert "quota-insufficient" in dict(look(Quotas()))


@pytest.mark.parametrize(
    "fault", [{"code": "InvalidClientTokenId"}, {"code": "Throttling"}, {"code": "AccessDenied"}, {"kind": "torn"}]
)
def test_where_the_first_region_does_not_tell_who_asks_another_does(look, cloud, fault):
    cloud.scenario(faults=[{"action": "GetCallerIdentity", "region": "us-east-1", **fault}])
    assert ids(look(Credentials())) == ["identity"]
    cloud.scenario(faults=[{"action": "GetCallerIdentity", **fault}])
    assert ids(look(Credentials())) in (["identity-unknown"], ["aws-unreachable"])


def test_credentials_that_are_over_are_over_everywhere(look, cloud):
    cloud.scenario(faults=[{"action": "GetCallerIdentity", "region": "us-east-1", "code": "ExpiredToken"}])
    assert ids(look(Credentials())) == ["identity-unknown"]
    assert {call["region"] for call in cloud.calls("GetCallerIdentity")} == {"us-east-1"}


def test_what_a_region_lacks_for_the_experiments_is_named(lab, look, cloud):
    lab.write("lab.toml", f'{LAB}[network.subnets]\nus-east-1 = ["subnet-0123456789abcdef0"]\n')
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nimage = { us-east-1 = "ami-12345678" }\n')
    lab.write("experiments/odd.toml", 'instance_types = ["x9.none"]\nimage = "resolve:ssm:/aws/service/none"\n')
    west = cloud.client("ec2", "us-west-2")
    for subnet in west.describe_subnets()["Subnets"]:
        west.delete_subnet(SubnetId=subnet["SubnetId"])
    found = look(Regions())
    assert ("image-nowhere", "us-east-1, us-west-2: no image /aws/service/none") in found
    assert ("image-missing", "us-east-1: no image ami-12345678; launches skip it") in found
    assert ("type-nowhere", "none of the types of odd is offered in us-east-1, us-west-2") in found
    assert ("no-network", "us-west-2: there is no default VPC with subnets") in found
    assert any(identity == "no-network" and "subnet-0123456789abcdef0" in text for identity, text in found)
    assert "regions-ok" not in ids(found)


def test_a_region_that_may_not_be_asked_hides_no_other(look, cloud):
    cloud.scenario(faults=[{"action": "DescribeSubnets", "region": "us-west-2", "code": "UnauthorizedOperation"}])
    found = look(Regions())
    assert sorted(ids(found)) == ["check-denied", "regions-ok"]


def test_a_data_set_that_a_region_lacks_is_named_with_the_command_that_copies_it(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "eu-west-1", "eu-central-1"]\n')
    lab.write(
        "experiments/other.toml",
        'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "talks"\nversion = "3"\nmount = "/data"\n',
    )
    with open_readonly(lab.path, "") as looked_at:
        found = {finding.diagnosis.id: finding for _, finding in run_checks(looked_at, [Datasets()])}
    assert found["dataset-missing"].remedy == '`make snapshot-copy DATASET=speech REGIONS="eu-west-1 eu-central-1"`'
    assert (
        found["dataset-nowhere"].text == "other: talks@3 is in none of its regions (us-east-1, eu-west-1, eu-central-1)"
    )


def test_a_bucket_that_is_not_there_or_not_the_roles_is_found_before_a_run_loses_its_outputs(lab, look, cloud):
    lab.write("lab.toml", f'{LAB}[logs]\nartifact_uri = "s3://lab-runs/of"\n')
    for name, address in (("one", "lab-runs/of/one"), ("other", "lab-rnus/of")):
        writes = f'artifact_uri = "s3://{address}"\ninstance_profile = "ec2-lab-lab-logs"\n'
        lab.write(f"experiments/{name}.toml", f'instance_types = ["g5.xlarge"]\ncommand = "true"\n{writes}')
    cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
    outside = "other: its instance_profile may write to s3://lab-runs/of, not to s3://lab-rnus/of"
    assert sorted(look(ArtifactBuckets())) == [
        ("artifact-bucket-available", "lab-runs: available for logs and outputs"),
        ("artifact-bucket-missing", "other: artifact_uri names the bucket lab-rnus, which does not exist"),
        ("artifact-uri-not-allowed", outside),
    ]
    cloud.scenario(faults=[{"action": "HeadBucket", "code": "403", "message": "Forbidden", "status": 403}])
    assert "artifact-bucket-unreadable" in ids(look(ArtifactBuckets()))


def test_a_volume_that_is_kept_past_its_day_is_named_with_what_can_be_done_and_others_are_well(lab, look, cloud):
    ours = retained_volume(cloud, until="2999-01-01")
    assert look(RetainedVolumes()) == [("retention-ok", "us-east-1, us-west-2: no volume is past its retention")]
    over = retained_volume(cloud, until="2026-01-31", because="until the paper is out")
    said = "until 2026-01-31: until the paper is out (since 2026-01-01, after speech)"
    assert look(RetainedVolumes()) == [
        ("retention-expired", f"{over} in us-east-1 is past its retention: {said}"),
        ("retention-ok", "us-west-2: no volume is past its retention"),
    ]
    with open_readonly(lab.path, "") as looked_at:
        (remedy,) = [found.remedy for _, found in run_checks(looked_at, [RetainedVolumes()]) if found.remedy]
    assert f"`make volume-delete VOLUME={over} YES=1`" in remedy
    assert ours not in remedy


def test_quotas_are_held_against_types_markets_nodes_combinations_and_what_runs(lab, look, cloud):
    on_demand, spot = "Running On-Demand G and VT instances", "All G and VT Spot Instance Requests"
    lab.write("experiments/demo.toml", 'instance_types = ["g5.12xlarge"]\nmarkets = ["spot", "on-demand"]\nnodes = 2\n')
    cloud.scenario(quotas={on_demand: 96, spot: 95})
    found = look(Quotas())
    assert found == [
        ("quota-too-low", f"demo on g5.12xlarge: '{spot}' is 95 vCPUs in us-east-1, us-west-2, 96 are needed")
    ]
    cloud.scenario(quotas={on_demand: 0, spot: 0})
    assert look(Quotas()) == [
        ("quota-insufficient", "no quota in us-east-1, us-west-2 suffices for demo: 2 x g5.12xlarge")
    ]
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.12xlarge"]\nmatrix = { lr = [1, 2, 3] }\ncommand = "true"\n'
    )
    cloud.scenario(quotas={on_demand: 96})
    ((identity, text),) = look(Quotas())
    assert (identity, "allows 2 of its 3 combinations at a time" in text) == ("quota-below-sweep", True)
    ec2 = cloud.client("ec2", "us-east-1")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2, InstanceType="g5.12xlarge")
    assert [text for identity, text in look(Quotas()) if identity == "quota-in-use"] == [
        f"demo on g5.12xlarge: 96 of 96 vCPUs of '{on_demand}' in us-east-1 are in use, 48 are needed"
    ]
    refusal = {"code": "AccessDeniedException", "message": "an organization policy says no"}
    cloud.scenario(faults=[{"action": "ListServiceQuotas", **refusal}])
    ((identity, text),) = look(Quotas())
    assert identity == "quotas-unreadable"
    assert text.startswith("the quotas of us-east-1, us-west-2 can't be read: ListServiceQuotas: AccessDeniedException")
    assert "an organization policy says no" in text, "what AWS says is not guessed at"


def test_an_empty_lab_is_told_how_to_begin_and_a_broken_plugin_is_named_while_all_else_is_looked_at(lab, look):
    shutil.rmtree(lab.path / "experiments")
    lab.write("plugins/broken.py", "import no_such_module\n")
    assert ids(look(Files())) == ["plugin-broken", "no-experiment", "no-member", "config-valid"]
    assert ids(look(Quotas())) == [], "of no experiment nothing is asked"


def test_a_check_of_a_plugin_that_fails_in_any_way_is_a_finding_and_stops_no_other(lab, look):
    class Bad(Check):
        name = "bad"

        def run(self, _):
            return 1 / 0

    class Worse(Bad):
        name = "worse"

        def probes(self, _):
            raise SystemError("no")

    with open_readonly(lab.path, "") as looked_at:
        found = [(check.name, f.text) for check, f in run_checks(looked_at, [Bad(), Worse(), Files()])]
    assert found[:2] == [
        ("bad", "the check failed: ZeroDivisionError: division by zero"),
        ("worse", "the check failed: SystemError: no"),
    ]
    assert {name for name, _ in found} == {"bad", "worse", "config-files"}


def test_one_experiment_alone_is_looked_at_in_its_own_regions(lab, look, cloud):
    lab.write("experiments/other.toml", 'instance_types = ["g5.xlarge"]\nregions = ["eu-west-1"]\n')
    assert look(Quotas(), only="other") == [("quotas-sufficient", "sufficient for other")]
    assert {call["region"] for call in cloud.calls("ListServiceQuotas")} == {"eu-west-1"}
