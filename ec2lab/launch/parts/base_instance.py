"""What every instance is: disposable, closed to passwords, its metadata behind a token, with a state of its own."""

from __future__ import annotations

from typing import Any

from ec2lab.hosts.program_packer import unit
from ec2lab.instances.ttl import DIRECTORY, POWER_OFF
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart
from ec2lab.templates import text_of

PROGRAM, UNIT = "/opt/ec2-lab/new-instance", "ec2-lab-new-instance.service"
PRESET = "/etc/systemd/system-preset/00-ec2-lab.preset"
"""Fedora and what is made of it disable all that no preset names when an instance has no instance id, as after
`cloud-init clean --machine-id` (systemd.preset(5)): nothing of another instance's would be forgotten."""
INCOMPLETE = "/var/lib/ec2-lab/instance/incomplete"


class Instance(LaunchPart):
    """The share that no other part is responsible for."""

    name = "instance"
    order = 0

    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return metadata options, shutdown behaviour, instance profile, and cloud-init's own settings."""
        request: dict[str, Any] = {
            # Two hops, or containers on the instance can't reach the metadata service
            # (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
            # Nothing here reads tags there. An account may show them by default, and then EC2 takes no tag whose key
            # has a slash or a space (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html).
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 2,
                "InstanceMetadataTags": "disabled",
            },
            # A plain `shutdown` on the instance is then its end, and no server is needed for a time to live.
            "InstanceInitiatedShutdownBehavior": "terminate",
        }
        if site.experiment.instance_profile:
            request["IamInstanceProfile"] = {"Name": site.experiment.instance_profile}
        return LaunchFragment(request=request, cloud_init=base_cloud_init())


def base_cloud_init() -> dict[str, Any]:
    """Return what is set up on every instance.

    What an image brings from another instance goes first, before cloud-init writes any file of this one; at later
    boots, and in images of this one, the unit sees to it that early.
    """
    program = unit(text_of("new-instance.sh"))
    files = {PROGRAM: ("0755", f"#!/bin/sh\n{program}")}
    files |= {PRESET: ("0644", "enable ec2-lab-*\nenable experiment*\n")}
    files |= {f"{DIRECTORY}/{name}": ("0644", unit(text_of(name))) for name in (UNIT, POWER_OFF)}
    return {
        "ssh_pwauth": False,
        "disable_root": True,
        # cloud-init's own default, which an image may have changed.
        "ssh_deletekeys": True,
        "bootcmd": [["sh", "-c", program]],
        "write_files": [
            {"path": path, "permissions": mode, "content": content} for path, (mode, content) in files.items()
        ],
        # Enabling a unit has systemd read all units that were written, those of the other parts too: they need no
        # reload of their own, which takes seconds on a small instance.
        "runcmd": [["systemctl", "enable", UNIT], ["test", "!", "-e", INCOMPLETE]],
    }
