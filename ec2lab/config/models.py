"""lab.toml, experiments/NAME.toml and members/NAME.toml as checked models.

Every mistake is one line: which file, which key, what is wrong, what would be right.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ec2lab.capacity_pools import ON_DEMAND
from ec2lab.config.fields import (
    Command,
    Duration,
    GroupName,
    InstanceType,
    KmsKey,
    LoginName,
    Market,
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
from ec2lab.config.volume import Data, InstanceStore, Mounted, Scratch
from ec2lab.units import duration_text

NO_CLUSTER_PLACEMENT = ("t1.", "t2.", "t3.", "t3a.", "t4g.")
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html#placement-groups-limitations-cluster"""


MIN_IDLE = timedelta(minutes=1)


class Network(StrictModel):
    """Who may reach an instance, and where it stands."""

    ssh_allowed_cidrs: Annotated[Literal["auto"] | list[str], BeforeValidator(networks)] = "auto"
    """Networks that ssh is admitted from; `auto` is the address that the launch is made from."""
    subnets: dict[Region, list[Subnet]] = {}
    """Subnets for each region that has no default VPC; left out, EC2 chooses zone and subnet in the default VPC."""


class Ssh(StrictModel):
    """How instances are logged in to."""

    boot_timeout: Duration | None = None
    """How long a launch waits for the instance to boot and to finish its set-up; "0s" not at all."""
    host_key_timeout: Duration = timedelta(minutes=5)
    """How long the host key is looked for on the instance's console before it is trusted on first use."""
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How long a login may take, with the start-up files of the login shell there, before it is given up."""

    @property
    def login_timeout(self) -> float:
        """The same in seconds."""
        return self.timeout.total_seconds()


class Accounts(StrictModel):
    """What members may do on an instance."""

    sudo: Literal["nopasswd", "password"] = "nopasswd"
    """Whether members of the group sudo use it without a password. Nobody has a password until one is given."""
    administrators: list[LoginName] = []
    """Members who need no password for sudo even so, or nobody could give the others theirs."""
    make_groups: list[GroupName] = []
    """Groups that are made where they do not exist; the others are joined where they do."""

    @model_validator(mode="after")
    def _has_sudo_admin(self) -> Accounts:
        if self.sudo == "password" and not self.administrators:
            message = 'sudo = "password" wants administrators = ["…"]: members who can give the others a password'
            raise ValueError(message)
        return self


class DatasetBuilder(StrictModel):
    """The throw-away instance that builds a dataset from a bucket."""

    instance_types: Annotated[list[InstanceType], Field(min_length=1)] = ["c6in.4xlarge", "c6i.4xlarge", "m6i.4xlarge"]
    """Much network for their price; no GPU."""
    instance_profile: ProfileName | None = None
    """The IAM instance profile that may read the bucket."""
    iops: int = 16000
    throughput: int = 1000


class Logs(StrictModel):
    """Where instances may deliver logs and exit codes: what `make setup-aws` makes a role and a profile for."""

    artifact_uri: S3Address | None = None
    """The bucket, or a prefix of one; experiments name it, or what is below it, as their own."""


class Code(StrictModel):
    """The git repository, or a directory of one, that an experiment's command runs in on the instance."""

    path: Annotated[str, Field(min_length=1, examples=["../speech"])]
    """From the directory of lab.toml."""
    commit: Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._/-]*", 'a commit (try "4f2a91c")')] | None = None
    """A commit, tag or branch; left out, the working tree as it is, without what git ignores."""


class Lab(StrictModel):
    """lab.toml: the team."""

    name: Name = "lab"
    cloud: Literal["local", "aws"] = "local"
    profile: str | None = None
    """The profile of ~/.aws/config that calls are made with; the usual search when left out."""
    regions: Annotated[list[Region], Field(min_length=1, examples=[["us-east-1", "us-west-2"]])]
    region_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=10)
    """How long a region may take to respond to a query, before a command that only reads goes on without it."""
    registry: str = "registry.json"
    image: Image = ImageByParameter(parameter=DEEP_LEARNING_IMAGE)
    root_volume: RootVolume = RootVolume()
    network: Network = Network()
    ssh: Ssh = Ssh()
    accounts: Accounts = Accounts()
    dataset_builder: DatasetBuilder = DatasetBuilder()
    logs: Logs = Logs()
    budget: Annotated[float, Field(gt=0)] | None = None
    """Dollars that may be spent in a calendar month of UTC; a launch that would pass it is refused."""
    kms_keys: dict[Region, KmsKey] = {}
    """The KMS key that datasets are encrypted with in a region; the account's default key when left out."""
    data_of: list[RegistryId] = []
    """Other registries of the account, by their ids, whose datasets this lab uses too."""
    tags: Tags = {}


class Experiment(StrictModel):
    """experiments/NAME.toml: what an instance for this experiment is."""

    instance_types: Annotated[list[InstanceType], Field(min_length=1, examples=[["p4d.24xlarge", "g5.12xlarge"]])]
    markets: Annotated[list[Market], Field(min_length=1, examples=[["spot", "on-demand"]])] = [ON_DEMAND]
    regions: Annotated[list[Region], Field(min_length=1)] | None = None
    zones: Annotated[list[Zone], Field(min_length=1)] | None = None
    subnets: dict[Region, list[Subnet]] | None = None
    """Only these subnets; the lab's when left out."""
    capacity_timeout: Duration = timedelta(0)
    """How long to go on asking for capacity; one round when left out."""
    ttl: Duration | None = None
    """How long an instance lives; it ends by itself then, with no server."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Dollars that all that is launched from this file may cost in all; a launch that would pass it is refused."""
    idle_timeout: Duration | None = None
    """How long nothing may be done on an instance before it ends by itself."""
    on_interruption: Literal["end", "relaunch"] = "end"
    """Whether `make watch` launches an instance again that AWS interrupted."""
    image: Image | None = None
    root_volume: RootVolume | None = None
    data: list[Data] = []
    scratch: list[Scratch] = []
    instance_store: InstanceStore | None = None
    command: Command | None = None
    """Run by bash on the instance once its data is mounted."""
    parameters: dict[ParameterName, ParameterValue] = {}
    """What the command finds in its environment."""
    matrix: dict[ParameterName, Annotated[list[ParameterValue], Field(min_length=1)]] = {}
    """Parameters with several values: `make sweep` launches an instance for each combination."""
    instance_profile: ProfileName | None = None
    """The name of an IAM instance profile that the instance may use."""
    code: Code | None = None
    """What the command runs in."""
    artifact_uri: S3Address | None = None
    """Where the instance puts the command's log and exit code; left out, they stay on it."""
    on_completion: Literal["keep", "teardown"] = "keep"
    """What the instance does with itself once the command has ended."""
    nodes: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many instances work together: all launched side by side or none, and told of each other."""
    on_boot_failure: Literal["keep", "teardown"] = "keep"
    """What becomes of an instance whose cloud-init failed."""

    @property
    def needs_code_upload(self) -> bool:
        """Whether its instances wait after their boot for what is brought to them.

        User data never has the room for volumes, a watch on idleness, and a command whose log goes into a bucket.
        """
        is_too_much = bool(self.command and self.artifact_uri and self.idle_timeout and self.mounted)
        return self.code is not None or self.nodes > 1 or is_too_much

    @property
    def mounted(self) -> list[Mounted]:
        """All that is mounted on the instance."""
        return [*self.data, *self.scratch, *([self.instance_store] if self.instance_store else [])]

    @model_validator(mode="after")
    def _idle_needs_minimum(self) -> Experiment:
        if self.idle_timeout is not None and self.idle_timeout < MIN_IDLE:
            message = f'idle_timeout = "{duration_text(self.idle_timeout)}": instances look once a minute (try "30m")'
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _validate_run(self) -> Experiment:
        if self.command is None and (
            lonely := next((key for key in ("code", "artifact_uri") if getattr(self, key)), "")
        ):
            message = f'{lonely} is of use to a command alone; add one (command = "python3 train.py")'
            raise ValueError(message)
        if self.artifact_uri and not self.instance_profile:
            message = "artifact_uri wants an instance_profile by which the instance may write there"
            raise ValueError(message)
        if self.on_completion == "teardown" and not self.artifact_uri:
            message = (
                'on_completion = "teardown" wants an artifact_uri ("s3://…"), or the log and the exit code '
                "would go with the instance"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _validate_nodes(self) -> Experiment:
        if self.nodes > 1 and (
            burstable := next((kind for kind in self.instance_types if kind.startswith(NO_CLUSTER_PLACEMENT)), None)
        ):
            message = f"nodes: {burstable} can't be placed beside others (a cluster placement group takes no t types)"
            raise ValueError(message)
        if self.nodes > 1 and self.on_interruption == "relaunch":
            message = (
                'on_interruption = "relaunch" is for one instance; nodes work together, and all would start '
                "again: leave it out"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _no_duplicate_parameters(self) -> Experiment:
        if both := self.parameters.keys() & self.matrix.keys():
            message = f"{min(both)} is in parameters and in matrix; leave it out of one"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _no_duplicate_mounts(self) -> Experiment:
        mounts = [volume.mount for volume in self.mounted]
        if len(set(mounts)) < len(mounts):
            message = f"two volumes can't share a mount point: {', '.join(mounts)}"
            raise ValueError(message)
        for outer in (volume for volume in self.mounted if not volume.is_roots_alone):
            if inner := next((mount for mount in mounts if mount.startswith(f"{outer.mount}/")), None):
                message = f"{inner} lies in {outer.mount}, where its owner could lay a link: mount it elsewhere"
                raise ValueError(message)
        return self


class Member(StrictModel):
    """members/NAME.toml: one teammate."""

    keys: Annotated[
        list[Annotated[str, AfterValidator(public_key)]],
        Field(min_length=1, examples=[["ssh-ed25519 AAAA… alice@laptop"]]),
    ]
    groups: list[GroupName] = ["sudo", "docker"]
    shell: Annotated[str, matching(r"/[A-Za-z0-9/._-]+", 'the path of a shell (try "/bin/bash")')] = "/bin/bash"
    uid: Annotated[int, Field(ge=1000, le=60000)] | None = None
    """The same number on every instance, so that files on kept volumes stay theirs."""
