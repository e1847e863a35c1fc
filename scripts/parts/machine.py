"""What every machine is: disposable, closed to passwords, its metadata behind a token."""

from __future__ import annotations

from typing import Any

from scripts.core.launch_part import LaunchPart, Share, Site


class Machine(LaunchPart):
    """The share that no other part is responsible for."""

    name = "machine"
    order = 0

    def share(self, site: Site) -> Share:
        """Return metadata options, shutdown behaviour, instance profile, and cloud-init's own settings."""
        request: dict[str, Any] = {
            # Two hops, or containers on the machine can't reach the metadata service
            # (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
            # Nothing here reads tags there. An account may show them by default, and then EC2 takes no tag whose key
            # has a slash or a space (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html).
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 2,
                "InstanceMetadataTags": "disabled",
            },
            # A plain `shutdown` on the machine is then its end, and no server is needed for a time to live.
            "InstanceInitiatedShutdownBehavior": "terminate",
        }
        if site.experiment.instance_profile:
            request["IamInstanceProfile"] = {"Name": site.experiment.instance_profile}
        return Share(request=request, cloud_init={"ssh_pwauth": False, "disable_root": True})
