"""The floor: the fewest calls by which boto3 launches, looks and tears down: `python bare_boto3.py launch`.

Nothing is recorded, and no refusal is thought of: the newest version of the dataset is looked for, one call makes
instance and volume, and boto3's own waiter waits. Image, group and type come from the environment, which knows them.
"""

import os
import sys
from pathlib import Path

import boto3

ID = Path("instance-id")
OWNED = [{"Name": "tag:Name", "Values": ["bare"]}]
ec2 = boto3.client("ec2")


def launch() -> None:
    speech = [{"Name": "tag:lab:dataset", "Values": ["speech"]}]
    snapshots = ec2.describe_snapshots(OwnerIds=["self"], Filters=speech)["Snapshots"]
    newest = max(snapshots, key=lambda snapshot: snapshot["StartTime"])
    data = {"SnapshotId": newest["SnapshotId"], "VolumeType": "gp3", "DeleteOnTermination": True}
    made = ec2.run_instances(
        ImageId=os.environ["IMAGE"], InstanceType=os.environ["TYPE"], SecurityGroupIds=[os.environ["GROUP"]],
        MinCount=1, MaxCount=1, BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": data}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "bare"}]}],
    )  # fmt: skip
    ID.write_text(made["Instances"][0]["InstanceId"])
    ec2.get_waiter("instance_running").wait(InstanceIds=[ID.read_text()])


def status() -> None:
    for reservation in ec2.describe_instances(Filters=OWNED)["Reservations"]:
        for instance in reservation["Instances"]:
            print(instance["InstanceId"], instance["State"]["Name"], instance["Placement"]["AvailabilityZone"])


def teardown() -> None:
    ec2.terminate_instances(InstanceIds=[ID.read_text()])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[ID.read_text()])


{"launch": launch, "status": status, "teardown": teardown}[sys.argv[1]]()
