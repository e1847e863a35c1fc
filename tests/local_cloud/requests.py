"""What these tests ask of EC2, in a word each."""

import pytest
from botocore.exceptions import ClientError

UBUNTU = "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
TYPE = "g5.xlarge"


def run(ec2, count=1, least=None, **more):
    """Start instances; return their descriptions as RunInstances gives them."""
    asked = {"ImageId": UBUNTU, "InstanceType": TYPE, "MinCount": least or count, "MaxCount": count, **more}
    return ec2.run_instances(**asked)["Instances"]


def run_in(ec2, zone, **more):
    return run(ec2, Placement={"AvailabilityZone": zone}, **more)


def look(ec2, identity):
    """Describe one instance."""
    return ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]


def state(ec2, identity):
    return look(ec2, identity)["State"]["Name"]


def every_instance(ec2):
    return [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]


def refused(code, call, *args, status=400, **kwargs):
    """Expect a refusal; return its message."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    answer = caught.value.response
    assert answer["Error"]["Code"] == code, answer["Error"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    return answer["Error"]["Message"]
