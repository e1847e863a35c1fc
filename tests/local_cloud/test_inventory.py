"""What is left anywhere is told at once."""

from tests.local_cloud.requests import run


def test_everything_in_every_region_is_told_and_what_accounts_begin_with_is_not(cloud, ec2):
    assert {(thing["kind"], thing["tags"].get("lab:dataset")) for thing in cloud.inventory()} == {
        ("snapshot", "speech")
    }
    run(ec2)
    far = cloud.client("ec2", "eu-central-1")
    far.allocate_address(Domain="vpc")
    far.create_key_pair(KeyName="own")
    far.create_security_group(GroupName="own", Description="own")
    found = {(thing["kind"], thing["region"]) for thing in cloud.inventory() if "lab:dataset" not in thing["tags"]}
    here = {"instance", "volume", "network-interface"}
    assert found == {*((kind, "us-east-1") for kind in here),
                     *((kind, "eu-central-1") for kind in ("address", "key-pair", "security-group"))}  # fmt: skip
