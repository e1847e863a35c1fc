"""The SNS topic to which a lab publishes what happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tags import matching
from ec2lab.registry.evidence import Call
from ec2lab.resource import Resource, ResourceType

PREFIX = "ec2-lab-"  # the names of all labs' topics of an account, which policies name too


def topic_name(lab: str) -> str:
    return f"{PREFIX}{lab}"


def topic_arn(cloud: Cloud, lab: str) -> str:
    """Return the ARN of a lab's own topic, in the lab's first region. Raises UserError if the account is unknown."""
    return f"arn:{cloud.partition}:sns:{cloud.home}:{cloud.account.id}:{topic_name(lab)}"


class Topic(ResourceType):
    """A topic of the lab's. Labs have one, in their first region, so it is looked for there only."""

    name = "topic"
    tag_type = "topic"
    is_global: ClassVar[bool] = True
    is_free: ClassVar[bool] = True
    created_by = ("CreateTopic",)
    deleted_by = "DeleteTopic"
    deleted_with = "TopicArn"
    not_found_codes = ("NotFound", "NotFoundException")

    def confirms(self, found: Mapping[str, Any], call: Call) -> bool:
        """Return whether it has the name that was asked for, which no other can have."""
        return self.id_in(found).rpartition(":")[2] == call.request.get("Name")

    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        sns = cloud.client("sns", cloud.home)
        listed = (topic for page in sns.get_paginator("list_topics").paginate() for topic in page["Topics"])
        labs = [one["TopicArn"] for one in listed if one["TopicArn"].rpartition(":")[2].startswith(PREFIX)]
        tags = {arn: sns.list_tags_for_resource(ResourceArn=arn)["Tags"] for arn in labs}
        return matching([{"TopicArn": arn, "Tags": tags[arn]} for arn in labs], filters)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        cloud.client("sns", cloud.home).delete_topic(TopicArn=resource.id)
