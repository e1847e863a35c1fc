"""Settings of every instance: disposable, no passwords, IMDSv2, and a state directory of its own."""

from __future__ import annotations

from typing import Any

from ec2lab.hosts.program_packer import unit
from ec2lab.instances.ttl import DIRECTORY, POWER_OFF
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, write_files
from ec2lab.templates import text_of

PROGRAM, UNIT = "/opt/ec2-lab/new-instance", "ec2-lab-new-instance.service"
PRESET = "/etc/systemd/system-preset/00-ec2-lab.preset"
"""Fedora and its derivatives disable all units without a preset where there is no /etc/machine-id, as after
`cloud-init clean --machine-id` (systemd.preset(5)). The unit that resets another instance's state would then not run.
"""
INCOMPLETE = "/var/lib/ec2-lab/instance/incomplete"


class Instance(LaunchPart):
    name = "instance"
    order = 0

    def share(self, site: LaunchContext) -> LaunchFragment:
        request: dict[str, Any] = {
            # Two hops, so that containers on the instance reach the metadata service
            # (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
            # Nothing here reads tags there. An account may enable them by default; EC2 then rejects tag keys with a
            # slash or a space (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html).
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 2,
                "InstanceMetadataTags": "disabled",
            },
            # `shutdown` on the instance terminates it, so a ttl needs no server.
            "InstanceInitiatedShutdownBehavior": "terminate",
        }
        if site.experiment.instance_profile:
            request["IamInstanceProfile"] = {"Name": site.experiment.instance_profile}
        return LaunchFragment(request=request, cloud_init=base_cloud_init())


def base_cloud_init() -> dict[str, Any]:
    """Return the cloud-init settings of every instance.

    State that an image contains from another instance is reset first, before cloud-init writes files for this one. At
    later boots, and in images of this instance, the unit does the same.
    """
    program = unit(text_of("new-instance.sh"))
    files = {PROGRAM: ("0755", f"#!/bin/sh\n{program}")}
    files |= {PRESET: ("0644", "enable ec2-lab-*\nenable experiment*\n")}
    files |= {f"{DIRECTORY}/{name}": ("0644", unit(text_of(name))) for name in (UNIT, POWER_OFF)}
    return {
        "ssh_pwauth": False,
        "disable_root": True,
        # cloud-init's default, which an image may have changed.
        "ssh_deletekeys": True,
        "bootcmd": [["sh", "-c", program]],
        "write_files": write_files(files),
        # Enabling a unit makes systemd read all new units, also those of other parts. They need no reload of their
        # own, which takes seconds on a small instance.
        "runcmd": [["systemctl", "enable", UNIT], ["test", "!", "-e", INCOMPLETE]],
    }
