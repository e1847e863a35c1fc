"""Models of lab.toml, experiments/NAME.toml and members/NAME.toml.

Each error is one line: the file, the key, what is wrong, and what would be valid.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ec2lab.capacity_pools import ON_DEMAND
from ec2lab.config.container import ContainerImage
from ec2lab.config.contradictions import contradictions
from ec2lab.config.fields import (
    Command,
    Duration,
    Gpus,
    GroupName,
    InstanceType,
    KmsKey,
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
)
from ec2lab.config.image import DEEP_LEARNING_IMAGE, Image, ImageByParameter, RootVolume
from ec2lab.config.lab_sections import Accounts, DatasetBuilder, Logs, Network, Notify, Ssh
from ec2lab.config.public_key import public_key
from ec2lab.config.secrets import Secrets
from ec2lab.config.volume import Data, InstanceStore, Mounted, Scratch


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
    def _is_consistent(self) -> Experiment:
        for contradiction in contradictions(self):
            raise ValueError(contradiction)
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
