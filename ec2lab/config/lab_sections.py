"""The sections of lab.toml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ec2lab.config.fields import (
    Duration,
    GroupName,
    InstanceType,
    LoginName,
    ProfileName,
    Region,
    S3Address,
    StrictModel,
    Subnet,
    matching,
    networks,
)


class Network(StrictModel):
    """Network settings of the instances."""

    ssh_allowed_cidrs: Annotated[Literal["auto"] | list[str], BeforeValidator(networks)] = "auto"
    """Networks from which ssh is allowed. `auto` is the address of the computer that launches."""
    subnets: dict[Region, list[Subnet]] = {}
    """Subnets, for regions without a default VPC. By default, EC2 selects zone and subnet in the default VPC."""


class Ssh(StrictModel):
    """Settings of logins to instances."""

    boot_timeout: Duration | None = None
    """How long a launch waits for the instance to boot and complete its set-up. "0s": not at all."""
    host_key_timeout: Duration = timedelta(minutes=5)
    """How long to wait for the host key on the instance's console. After that, it is trusted on first use."""
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How long a login may take, including the start-up files of the login shell."""

    @property
    def login_timeout(self) -> float:
        """`timeout` in seconds."""
        return self.timeout.total_seconds()


class Accounts(StrictModel):
    """What members may do on an instance."""

    sudo: Literal["nopasswd", "password"] = "nopasswd"
    """Whether members of the group sudo need no password for it. Nobody has a password until it is set."""
    administrators: list[LoginName] = []
    """Members who never need a password for sudo; otherwise nobody could set the others' passwords."""
    make_groups: list[GroupName] = []
    """Groups that are created if they do not exist. Other groups are joined only if they exist."""

    @model_validator(mode="after")
    def _has_sudo_admin(self) -> Accounts:
        if self.sudo == "password" and not self.administrators:
            raise ValueError(
                'sudo = "password" requires administrators = ["…"]: members who can give the others a password'
            )
        return self


class DatasetBuilder(StrictModel):
    """The temporary instance that builds a dataset from a bucket."""

    instance_types: Annotated[list[InstanceType], Field(min_length=1)] = ["c6in.4xlarge", "c6i.4xlarge", "m6i.4xlarge"]
    """High network bandwidth for their price, no GPU."""
    instance_profile: ProfileName | None = None
    """The IAM instance profile that may read the bucket."""
    iops: int = 16000
    throughput: int = 1000


class Logs(StrictModel):
    """Where instances upload logs and exit statuses. `make setup-aws` creates a role and an instance profile for it."""

    artifact_uri: S3Address | None = None
    """A bucket, or a prefix in it. Experiments set it, or a prefix below it, as their own."""


NOTIFIED = Literal[  # the events that notifiers receive
    "instance-running", "launch-rejected", "capacity-exhausted", "interrupted", "relaunched", "command-exited",
    "experiment-ended",
]  # fmt: skip
Secret = Annotated[  # where a secret is kept; lab.toml never holds it
    str,
    matching(
        r"env:[A-Za-z_][A-Za-z0-9_]*|ssm:/?[A-Za-z0-9_./-]+",
        "a place, and an address is a secret: keep it in the environment or in SSM",
        shown=False,
    ),
    Field(examples=["env:SLACK_WEBHOOK_URL"]),
]


class Notify(StrictModel):
    """Who hears of what happens to launched and watched experiments."""

    events: list[NOTIFIED] = ["instance-running", "capacity-exhausted", "interrupted", "relaunched", "command-exited"]
    slack: Secret | None = None
    """An incoming webhook of Slack."""
    webhook: Secret | None = None
    """An address that takes the event as JSON."""
    email: list[Annotated[str, matching(r"[^\s@,;'\"]+@[^\s@,;'\"]+", "an e-mail address")]] = []
    """Who gets e-mail, by a topic that `make setup-aws` creates."""
    topic: (
        Annotated[
            str,
            matching(r"arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}", "the ARN of an SNS topic"),
            Field(examples=["arn:aws:sns:us-east-1:123456789012:ec2-lab-lab"]),
        ]
        | None
    ) = None
    """Another SNS topic, instead of that one."""

    @model_validator(mode="after")
    def _has_one_topic(self) -> Notify:
        if self.email and self.topic:
            raise ValueError(
                "topic: email is set too, and has a topic of its own; subscribe the addresses to yours instead"
            )
        return self
