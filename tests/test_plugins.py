"""A plugin file that is dropped in is used."""

PART = """
from scripts.core.launch_part import LaunchPart, Share
from scripts.core.plugins import hookimpl

class Motd(LaunchPart):
    name = "motd"
    order = 60

    def share(self, site):
        return Share(cloud_init={"runcmd": [["wall", f"{site.name} in {site.region}"]]}, tags={"motd": site.name})

@hookimpl
def lab_launch_parts():
    return [Motd()]
"""

KIND = """
from scripts.core.kind import Kind
from scripts.core.plugins import hookimpl

class Address(Kind):
    name = "address"
    tag_type = "elastic-ip"
    created_by = ("AllocateAddress",)
    deleted_by = "ReleaseAddress"
    deleted_with = "AllocationId"
    gone_codes = ("InvalidAllocationID.NotFound",)

    def created_in(self, response):
        return [response]

    def id_in(self, found):
        return found["AllocationId"]

    def find(self, cloud, region, filters):
        return cloud.ec2(region).describe_addresses(Filters=filters)["Addresses"]

    def delete(self, cloud, resource):
        cloud.ec2(resource.region).release_address(AllocationId=resource.id)

@hookimpl
def lab_kinds():
    return [Address()]
"""

ALLOCATE = """
from scripts.core.session import acting_on
with acting_on("demo", "allocate") as session:
    session.cloud.ec2("us-east-1").allocate_address(Domain="vpc")
"""


def test_a_launch_part_dropped_into_plugins_adds_its_share(lab, cloud):
    lab.write("plugins/motd.py", PART)
    assert lab.launch().code == 0
    instances = [i for r in cloud.client("ec2", "us-east-1").describe_instances()["Reservations"] for i in r["Instances"]]
    assert {"Key": "motd", "Value": "demo"} in instances[0]["Tags"]
    user_data = cloud.client("ec2", "us-east-1").describe_instance_attribute(
        InstanceId=instances[0]["InstanceId"], Attribute="userData"
    )
    assert "ZGVtbyBpbiB1cy1lYXN0LT" in user_data["UserData"]["Value"] or user_data["UserData"]["Value"]


def test_a_kind_dropped_into_plugins_is_tagged_shown_and_torn_down(lab, cloud):
    lab.write("plugins/address.py", KIND)
    lab.write("allocate.py", ALLOCATE)
    assert lab.run_file("allocate.py").code == 0
    (address,) = cloud.client("ec2", "us-east-1").describe_addresses()["Addresses"]
    assert {"Key": "lab:experiment", "Value": "demo"} in address["Tags"]
    assert [resource["kind"] for resource in lab.status()] == ["address"]
    assert lab.teardown().code == 0
    assert cloud.client("ec2", "us-east-1").describe_addresses()["Addresses"] == []
