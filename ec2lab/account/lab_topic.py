"""The lab's SNS topic and its subscribers, looked at and created by `make setup-aws`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ec2lab.account.region_setup import Step, expect_ours
from ec2lab.aws.tags import SHARED, to_aws
from ec2lab.resources.topic import Topic, topic_arn, topic_name
from ec2lab.session import Session

EMAIL = "email"


@dataclass(frozen=True)
class LabTopic:
    session: Session

    @property
    def arn(self) -> str:
        return topic_arn(self.session.cloud, self.session.lab.name)

    @property
    def _sns(self) -> Any:
        return self.session.cloud.client("sns", self.session.cloud.home)

    def lacking(self) -> list[Step]:
        """Return what is missing, in the order of its creation. Raises UserError if the topic is not the lab's."""
        found = [one for one in Topic().find(self.session.cloud, "", []) if one["TopicArn"] == self.arn]
        for one in found:
            expect_ours(self.session, f"SNS: there is a topic {self.arn}", one["Tags"])
        subscribed = set(self._subscribed()) if found else set()
        steps = [] if found else [Step(f"the topic {topic_name(self.session.lab.name)}, for e-mail", self._create)]
        new = [address for address in self.session.lab.notify.email if address not in subscribed]
        return [
            *steps,
            *(Step(f"its subscriber {one}, who gets a link to confirm", self._subscribe(one)) for one in new),
        ]

    def _create(self) -> None:
        tags = to_aws({SHARED: self.session.lab.name})
        self._sns.create_topic(Name=topic_name(self.session.lab.name), Tags=tags)

    def _subscribe(self, address: str) -> partial[Any]:
        return partial(self._sns.subscribe, TopicArn=self.arn, Protocol=EMAIL, Endpoint=address)

    def _subscribed(self) -> Iterator[str]:
        """Yield the addresses that are subscribed, or have not confirmed yet."""
        pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self.arn)
        yield from (one["Endpoint"] for page in pages for one in page["Subscriptions"] if one["Protocol"] == EMAIL)

    def manual_commands(self) -> list[str]:
        """Return the commands with which somebody who may creates the same."""
        region, lab = f"--region {self.session.cloud.home}", self.session.lab
        create = f"aws sns create-topic {region} --name {topic_name(lab.name)} --tags 'Key={SHARED},Value={lab.name}'"
        subscribe = f"aws sns subscribe {region} --topic-arn {self.arn} --protocol {EMAIL} --notification-endpoint"
        return [create, *(f"{subscribe} {address}" for address in lab.notify.email)]
