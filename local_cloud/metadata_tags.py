"""Tags in the instance metadata: where they are exposed, keys must be valid path components.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario
from local_cloud.tags import tags_for

OPTION: Final = "InstanceMetadataTags"
ENABLED = "enabled"
KEY = r"[0-9a-zA-Z\-_+=,.@:]{1,255}"
RESERVED = (".", "..", "_index")
DEFAULTS = {"HttpTokens": "httpTokens", "HttpPutResponseHopLimit": "httpPutResponseHopLimit",
            "HttpEndpoint": "httpEndpoint", OPTION: "instanceMetadataTags"}  # fmt: skip


def check(call: Call, scenario: Scenario) -> None:
    """Check the tags that a call would put on instances that expose theirs. Raises Problem."""
    if call.action == "RunInstances":
        chosen = call.params.get(f"MetadataOptions.{OPTION}", scenario.metadata_defaults.get(OPTION, ""))
        if chosen:
            call.params[f"MetadataOptions.{OPTION}"] = chosen
        if chosen == ENABLED:
            _check(tags_for(call, "instance"))
    elif call.action == "CreateTags":
        for identity in call.values("ResourceId"):
            instance = backend(call.region).get_instance_by_id(identity) if identity.startswith("i-") else None
            if instance and instance.metadata_options.instance_metadata_tags == ENABLED:
                _check(tag["Key"] for tag in call.numbered("Tag"))


def defaults(call: Call, scenario: Scenario) -> Answer:
    told = "".join(
        f"<{DEFAULTS[name]}>{value}</{DEFAULTS[name]}>" for name, value in scenario.metadata_defaults.items()
    )
    return xml_answer(call.action, f"<accountLevel>{told}</accountLevel>")


def _check(keys: Iterable[str]) -> None:
    for key in keys:
        if not re.fullmatch(KEY, key) or key in RESERVED:
            raise Problem(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and "
                "must not be a reserved name ('.', '..', '_index')",
            )
