"""The image of an instance, and its root volume."""

from __future__ import annotations

from typing import Any

from ec2lab.aws.errors import RegionUnavailable
from ec2lab.config.image import ImageByName, ImageByParameter, ImageByRegion, RootVolume
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart


class InstanceImage(LaunchPart):
    """The image, and the root volume created from it: encrypted, and deleted with the instance."""

    name = "image"
    order = 10

    def share(self, site: LaunchContext) -> LaunchFragment:
        lab = site.session.lab
        root = site.experiment.root_volume or lab.root_volume
        match site.experiment.image or lab.image:
            case ImageByParameter(parameter=parameter):
                return _share(parameter, root.device, root)
            case ImageByRegion(ids=ids):
                if site.region not in ids:
                    raise RegionUnavailable(f"image: no image id is given for {site.region}")
                return _share(ids[site.region], root.device, root)
            case ImageByName(owner=owner, name=name):
                newest = _newest(site, owner, name)
                return _share(newest["ImageId"], newest["RootDeviceName"], root)


def _share(image: str, device: str, root: RootVolume) -> LaunchFragment:
    size = {"VolumeSize": root.size_gib} if root.size_gib else {}
    volume = {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3", **size}
    return LaunchFragment(request={"ImageId": image, "BlockDeviceMappings": [{"DeviceName": device, "Ebs": volume}]})


def _newest(site: LaunchContext, owner: str, name: str) -> Any:
    images = site.session.cloud.ec2(site.region).describe_images(
        Owners=[owner],
        Filters=[
            {"Name": "name", "Values": [name]},
            {"Name": "state", "Values": ["available"]},
            {"Name": "root-device-type", "Values": ["ebs"]},
        ],
    )["Images"]
    if not images:
        raise RegionUnavailable(f"image: {owner} has none in {site.region} whose name matches {name!r}")
    return max(images, key=lambda image: image["CreationDate"])
