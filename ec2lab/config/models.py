"""Models of lab.toml, experiments/NAME.toml and members/NAME.toml.

Each error is one line: the file, the key, what is wrong, and what would be valid.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ec2lab.capacity_pools import ON_DEMAND
from ec2lab.config.container import ContainerImage, is_in_ecr
from ec2lab.config.fields import (
    Command,
    Duration,
    Gpus,
    GroupName,
    InstanceType,
    KmsKey,
    LoginName,
    Market,
    MountPoint,
    Name,
    ParameterName,
    ParameterValue,
    ProfileName,
    Region,
    RegistryId,
    S3Address,
    StrictModel,
    Subnet,
    Tags,
    Zone,
    matching,
    networks,
)
from ec2lab.config.image import DEEP_LEARNING_IMAGE, Image, ImageByParameter, RootVolume
from ec2lab.config.public_key import public_key
from ec2lab.config.secrets import Secrets
from ec2lab.config.volume import Data, InstanceStore, Mounted, Scratch
from ec2lab.units import duration_text

NO_CLUSTER_PLACEMENT = ("t1.", "t2.", "t3.", "t3a.", "t4g.")
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html#placement-groups-limitations-cluster"""


MIN_IDLE = timedelta(minutes=1)
SYNC_LIMITS = timedelta(seconds=10), timedelta(days=1)


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


NOTIFIED = Literal[
    "instance-running", "launch-rejected", "capacity-exhausted", "interrupted", "relaunched", "command-exited",
    "experiment-ended",
]  # fmt: skip
"""The events that notifiers receive."""
Secret = Annotated[
    str,
    matching(
        r"env:[A-Za-z_][A-Za-z0-9_]*|ssm:/?[A-Za-z0-9_./-]+",
        "a place, and an address is a secret: keep it in the environment or in SSM",
        shown=False,
    ),
    Field(examples=["env:SLACK_WEBHOOK_URL"]),
]
"""Where a secret is kept; lab.toml never holds it."""


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


class Code(StrictModel):
    """The git repository, or a directory in one, in which an experiment's command runs."""

    path: Annotated[str, Field(min_length=1, examples=["../speech"])]
    """Relative to the directory of lab.toml."""
    commit: Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._/-]*", 'a commit (try "4f2a91c")')] | None = None
    """A commit, tag or branch. Default: the working tree, without files that git ignores."""


class Lab(StrictModel):
    """lab.toml: the team's settings."""

    name: Name = "lab"
    cloud: Literal["local", "aws"] = "local"
    profile: str | None = None
    """The profile in ~/.aws/config. Default: boto3's default credentials."""
    regions: Annotated[list[Region], Field(min_length=1, examples=[["us-east-1", "us-west-2"]])]
    region_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=10)
    """How long a read-only command waits for a region's response before it continues without that region."""
    registry: str = "registry.json"
    image: Image = ImageByParameter(parameter=DEEP_LEARNING_IMAGE)
    root_volume: RootVolume = RootVolume()
    network: Network = Network()
    ssh: Ssh = Ssh()
    accounts: Accounts = Accounts()
    dataset_builder: DatasetBuilder = DatasetBuilder()
    logs: Logs = Logs()
    notify: Notify = Notify()
    budget: Annotated[float, Field(gt=0)] | None = None
    """Limit in dollars per calendar month (UTC). A launch that would exceed it is refused."""
    kms_keys: dict[Region, KmsKey] = {}
    """The KMS key that encrypts datasets in a region. Default: the account's default key."""
    data_of: list[RegistryId] = []
    """Ids of other registries in the account whose datasets this lab uses too."""
    tags: Tags = {}


COMMANDS_OWN = ("code", "artifact_uri", "secrets", "container", "outputs")
"""What an experiment without a command has no use for."""


class Experiment(StrictModel):
    """experiments/NAME.toml: what to launch, and what to run on it."""

    instance_types: Annotated[list[InstanceType], Field(min_length=1, examples=[["p4d.24xlarge", "g5.12xlarge"]])] = []
    """In the order of preference."""
    gpu: Annotated[Gpus, Field(examples=["A100:8"])] = []
    """Instead of instance types: those with these GPUs, the cheapest first."""
    markets: Annotated[list[Market], Field(min_length=1, examples=[["spot", "on-demand"]])] = [ON_DEMAND]
    regions: Annotated[list[Region], Field(min_length=1)] | None = None
    zones: Annotated[list[Zone], Field(min_length=1)] | None = None
    subnets: dict[Region, list[Subnet]] | None = None
    """Only these subnets. Default: those of the lab."""
    capacity_timeout: Duration = timedelta(0)
    """How long to retry while there is no capacity. Default: one round."""
    ttl: Duration | None = None
    """Time from the launch until an instance terminates itself."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Limit in dollars for everything launched from this file. A launch that would exceed it is refused."""
    idle_timeout: Duration | None = None
    """Time without activity after which an instance terminates itself."""
    on_interruption: Literal["end", "relaunch"] = "end"
    """Whether `make watch` launches an interrupted instance again."""
    image: Image | None = None
    root_volume: RootVolume | None = None
    data: list[Data] = []
    scratch: list[Scratch] = []
    instance_store: InstanceStore | None = None
    command: Command | None = None
    """Run by bash on the instance once its data is mounted."""
    container: ContainerImage | None = None
    """The image of the container in which the command runs. Default: none."""
    parameters: dict[ParameterName, ParameterValue] = {}
    """Environment variables of the command."""
    matrix: dict[ParameterName, Annotated[list[ParameterValue], Field(min_length=1)]] = {}
    """Parameters with several values. `make sweep` launches an instance for each combination."""
    secrets: Secrets = {}
    """Environment variables of the command that are never recorded: the source of each."""
    instance_profile: ProfileName | None = None
    """The IAM instance profile of the instance."""
    code: Code | None = None
    """The code in which the command runs."""
    artifact_uri: S3Address | None = None
    """Where the instance uploads the command's log and exit status. Default: they stay on the instance."""
    outputs: MountPoint | None = None
    """A directory on the instance whose files it keeps uploading to artifact_uri."""
    sync_every: Duration = timedelta(minutes=1)
    """How often it does."""
    on_completion: Literal["keep", "teardown"] = "keep"
    """Whether the instance terminates itself after the command has exited."""
    nodes: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of instances that work together. All are launched or none, and each knows the others' addresses."""
    on_boot_failure: Literal["keep", "teardown"] = "keep"
    """What happens to an instance whose cloud-init failed."""

    @property
    def needs_code_upload(self) -> bool:
        """Whether its instances need an upload over ssh after the boot.

        User data has no room for volumes, idle shutdown and a command with a log in a bucket all together, nor for a
        command in a container with one of them.
        """
        is_too_much = bool(self.command and self.artifact_uri and self.idle_timeout and self.mounted)
        return (
            self.code is not None
            or self.nodes > 1
            or is_too_much
            or bool(self.secrets or self.container or self.outputs)
        )

    @property
    def mounted(self) -> list[Mounted]:
        """All file systems to mount on the instance."""
        return [*self.data, *self.scratch, *([self.instance_store] if self.instance_store else [])]

    @model_validator(mode="after")
    def _has_types_or_gpu(self) -> Experiment:
        if not self.instance_types and not self.gpu:
            raise ValueError(
                'instance_types: is missing (try instance_types = ["p4d.24xlarge", "g5.12xlarge"], or gpu = "A100:8")'
            )
        if self.instance_types and self.gpu:
            raise ValueError("gpu: instance_types are named too; leave one of the two out")
        return self

    @model_validator(mode="after")
    def _idle_needs_minimum(self) -> Experiment:
        if self.idle_timeout is not None and self.idle_timeout < MIN_IDLE:
            raise ValueError(
                f'idle_timeout = "{duration_text(self.idle_timeout)}": instances check once a minute (try "30m")'
            )
        return self

    @model_validator(mode="after")
    def _validate_run(self) -> Experiment:
        if self.command is None and (lonely := next((key for key in COMMANDS_OWN if getattr(self, key)), "")):
            raise ValueError(f'{lonely} is of use to a command alone; add one (command = "python3 train.py")')
        if self.artifact_uri and not self.instance_profile:
            raise ValueError("artifact_uri requires an instance_profile that lets the instance write there")
        if self.container and is_in_ecr(self.container) and not self.instance_profile:
            raise ValueError(
                "container: is in Amazon ECR, and wants an instance_profile by which the instance may pull it"
            )
        if self.on_completion == "teardown" and not self.artifact_uri:
            raise ValueError(
                'on_completion = "teardown" requires an artifact_uri ("s3://…"), or the log and the exit code '
                "would go with the instance"
            )
        return self

    @model_validator(mode="after")
    def _validate_outputs(self) -> Experiment:
        if self.outputs is None and "sync_every" in self.model_fields_set:
            raise ValueError(
                'sync_every is of use to outputs alone; add the directory to upload (outputs = "/outputs")'
            )
        if self.outputs is None:
            return self
        if not self.artifact_uri:
            raise ValueError('outputs requires an artifact_uri ("s3://…"), where its files go')
        shortest, longest = SYNC_LIMITS
        if not shortest <= self.sync_every <= longest:
            raise ValueError(
                f'sync_every = "{duration_text(self.sync_every)}": must be between '
                f'{duration_text(shortest)} and {duration_text(longest)} (try "60s")'
            )
        if data := next((one.mount for one in self.data if f"{self.outputs}/".startswith(f"{one.mount}/")), None):
            raise ValueError(
                f"outputs: {self.outputs} lies on the dataset that is mounted on {data}; take another directory"
            )
        if inner := next((one.mount for one in self.mounted if one.mount.startswith(f"{self.outputs}/")), None):
            raise ValueError(f"outputs: {inner} is mounted in {self.outputs}, and would be uploaded with it")
        return self

    @model_validator(mode="after")
    def _validate_nodes(self) -> Experiment:
        if self.nodes > 1 and (
            burstable := next((kind for kind in self.instance_types if kind.startswith(NO_CLUSTER_PLACEMENT)), None)
        ):
            raise ValueError(f"nodes: {burstable} can't be in a cluster placement group, which supports no t types")
        if self.nodes > 1 and self.on_interruption == "relaunch":
            raise ValueError(
                'on_interruption = "relaunch" is for one instance; nodes work together, and all would start '
                "again: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _no_duplicate_variables(self) -> Experiment:
        sections = {"parameters": {*self.parameters}, "matrix": {*self.matrix}, "secrets": {*self.secrets}}
        for (one, names), (other, others) in combinations(sections.items(), 2):
            if both := names & others:
                raise ValueError(f"{min(both)} is in {one} and in {other}; leave it out of one")
        return self

    @model_validator(mode="after")
    def _read_by_a_profile(self) -> Experiment:
        on_instance = next((name for name, source in self.secrets.items() if not source.is_from_launcher), None)
        if on_instance and not self.instance_profile:
            raise ValueError(f"secrets.{on_instance} requires an instance_profile that lets the instance read it")
        return self

    @model_validator(mode="after")
    def _no_duplicate_mounts(self) -> Experiment:
        mounts = [volume.mount for volume in self.mounted]
        if len(set(mounts)) < len(mounts):
            raise ValueError(f"two volumes can't share a mount point: {', '.join(mounts)}")
        for outer in (volume for volume in self.mounted if not volume.is_roots_alone):
            if inner := next((mount for mount in mounts if mount.startswith(f"{outer.mount}/")), None):
                raise ValueError(f"{inner} lies in {outer.mount}, where its owner could lay a link: mount it elsewhere")
        return self


class Member(StrictModel):
    """members/NAME.toml: a team member."""

    keys: Annotated[
        list[Annotated[str, AfterValidator(public_key)]],
        Field(min_length=1, examples=[["ssh-ed25519 AAAA… alice@laptop"]]),
    ]
    groups: list[GroupName] = ["sudo", "docker"]
    shell: Annotated[str, matching(r"/[A-Za-z0-9/._-]+", 'the path of a shell (try "/bin/bash")')] = "/bin/bash"
    uid: Annotated[int, Field(ge=1000, le=60000)] | None = None
    """The same on every instance, so that files on retained volumes keep their owner."""
