"""Fixtures of the local cloud's own tests."""

import pytest


@pytest.fixture
def ec2(cloud):
    """EC2 in the demo's first region."""
    return cloud.client("ec2", "us-east-1")


@pytest.fixture
def data_set(ec2):
    """The id of the demo's snapshot."""
    return ec2.describe_snapshots(Filters=[{"Name": "tag:lab:dataset", "Values": ["speech"]}])["Snapshots"][0][
        "SnapshotId"
    ]
