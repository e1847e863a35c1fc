"""lab.toml, experiments/NAME.toml and members/NAME.toml as checked models.

Every mistake is one line: which file, which key, what is wrong, what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from scripts.core.errors import LabError
from scripts.core.names import LOGIN, RESERVED, closest
from scripts.core.public_key import public_key
from scripts.core.toml_file import load
from scripts.core.values import (
    Duration,
    Gib,
    GroupName,
    InstanceType,
    LoginName,
    Market,
    MountPoint,
    Name,
    Owner,
    Region,
    Subnet,
    Zone,
    matching,
    networks,
)

DEEP_LEARNING_IMAGE = (
    "resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
"""The current Deep Learning base GPU image for Ubuntu, by the public parameter that AWS keeps for it
(https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html)."""

SSM = "resolve:ssm:"


class Strict(BaseModel):
    """A section of a file: unknown keys are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageByParameter(Strict):
    """An SSM parameter that holds an image id, resolved by EC2 itself in the region of the launch."""

    parameter: str


class ImageByRegion(Strict):
    """An image id for each region."""

    ids: dict[Region, Annotated[str, matching(r"ami-[0-9a-f]{8,17}", 'an image id (try "ami-0123456789abcdef0")')]]


class ImageByName(Strict):
    """The newest image of an owner whose name matches a pattern with `*` and `?`."""

    owner: Annotated[str, matching(r"\d{12}|self|amazon", 'an owner (an account number, "self" or "amazon")')]
    name: str


def _image(image: Any) -> Any:
    match image:
        case str() if image.startswith(SSM) and len(image) > len(SSM):
            return {"parameter": image}
        case {"owner": _} | {"name": _}:
            return ImageByName.model_validate(image)
        case dict() if image and all(isinstance(value, str) for value in image.values()):
            return ImageByRegion(ids=image)
        case BaseModel():
            return image
    message = (
        f'{image!r} is not an image (try "{SSM}/aws/service/…", '
        '{ us-east-1 = "ami-…" } or { owner = "099720109477", name = "ubuntu/images/*" })'
    )
    raise ValueError(message)


Image = Annotated[ImageByParameter | ImageByRegion | ImageByName, BeforeValidator(_image)]


class Root(Strict):
    """The machine's own disk, always encrypted and deleted with the machine."""

    device: Annotated[str, Field(pattern=r"^/dev/[a-z0-9]+$", examples=["/dev/sda1"])] = "/dev/sda1"
    """The image's root device: /dev/sda1 on Ubuntu and Debian, /dev/xvda on Amazon Linux."""
    gib: Gib | None = None
    """Size; the image's own when left out."""


class Network(Strict):
    """Who may reach a machine, and where it stands."""

    ssh_from: Annotated[Literal["auto"] | list[str], BeforeValidator(networks)] = "auto"
    """Networks that ssh is admitted from; `auto` is the address that the launch is made from."""
    subnets: dict[Region, list[Subnet]] = {}
    """Subnets for each region that has no default VPC; left out, EC2 chooses zone and subnet in the default VPC."""


class Ssh(Strict):
    """How machines are logged in to."""

    wait: Duration | None = None
    """How long a launch waits for the machine to boot and to finish its set-up; "0s" not at all."""
    console_wait: Duration = timedelta(minutes=5)
    """How long the host key is looked for on the machine's console before it is trusted on first use."""


class Accounts(Strict):
    """What members may do on a machine."""

    sudo: Literal["nopasswd", "password"] = "nopasswd"
    """Whether members of the group sudo use it without a password. Nobody has a password until one is given."""
    administrators: list[LoginName] = []
    """Members who need no password for sudo even so, or nobody could give the others theirs."""
    make_groups: list[GroupName] = []
    """Groups that are made where they do not exist; the others are joined where they do."""

    @model_validator(mode="after")
    def _somebody_can_begin(self) -> Accounts:
        if self.sudo == "password" and not self.administrators:
            message = 'sudo = "password" wants administrators = ["…"]: members who can give the others a password'
            raise ValueError(message)
        return self


class Build(Strict):
    """The throw-away machine that builds a data set from a bucket."""

    types: Annotated[list[InstanceType], Field(min_length=1)] = ["c6in.4xlarge", "c6i.4xlarge", "m6i.4xlarge"]
    """Much network for their price; no GPU."""
    instance_profile: str | None = None
    """The IAM instance profile that may read the bucket."""
    iops: int = 16000
    throughput: int = 1000


class Lab(Strict):
    """lab.toml: the team."""

    name: Name = "lab"
    cloud: Literal["local", "aws"] = "local"
    profile: str | None = None
    """The profile of ~/.aws/config that calls are made with; the usual search when left out."""
    regions: Annotated[list[Region], Field(min_length=1, examples=[["us-east-1", "us-west-2"]])]
    registry: str = "registry.json"
    image: Image = ImageByParameter(parameter=DEEP_LEARNING_IMAGE)
    root: Root = Root()
    network: Network = Network()
    ssh: Ssh = Ssh()
    accounts: Accounts = Accounts()
    build: Build = Build()
    kms_keys: dict[Region, str] = {}
    """The KMS key that copies of data sets are encrypted with in a region; the account's default key when left out."""
    tags: dict[str, str] = {}


AtTeardown = Literal["delete", "snapshot", "keep"]
Filesystem = Literal["ext4", "xfs"]


class Mounted(Strict):
    """A file system on the machine, and whose it is there."""

    mount: MountPoint
    owner: Owner | None = None
    """The mount point's owner and group, "alice:docker", as the machine knows them; left as they are when left out."""
    mode: Annotated[str, matching(r"[0-7]{3,4}", 'an octal mode (try "2775")')] | None = None


class Volume(Mounted):
    """A volume that comes with the machine."""

    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1"] = "gp3"
    iops: Annotated[int, Field(ge=100, le=256000)] | None = None
    throughput: Annotated[int, Field(ge=125, le=2000)] | None = None
    """MiB/s, gp3 only."""
    at_teardown: AtTeardown = "delete"
    """What becomes of it: deleted with the machine; snapshotted first, as a new version of its data set; kept."""


class Data(Volume):
    """A data set's volume: made from the newest snapshot of the data set, or of the version that is named."""

    dataset: Name
    version: Annotated[str, Field(min_length=1, max_length=64, examples=["2026-11"])] | None = None
    read_only: bool = False
    gib: Gib | None = None
    """Size; the snapshot's own when left out."""
    initialization_rate: Annotated[int, Field(ge=100, le=300)] | None = None
    """MiB/s at which EC2 loads the blocks ahead of their first reading; charged."""


class Scratch(Volume):
    """An empty volume, formatted at the machine's first boot."""

    gib: Gib
    filesystem: Filesystem = "ext4"
    dataset: Name | None = None
    """The data set that it becomes a version of, where at_teardown is "snapshot"."""
    version: Annotated[str, Field(pattern=r"^\S{1,64}$")] | None = None
    """What that version is called; the next number when left out."""

    @model_validator(mode="after")
    def _a_snapshot_has_a_name(self) -> Scratch:
        if self.at_teardown == "snapshot" and self.dataset is None:
            message = 'at_teardown = "snapshot" wants a name: dataset = "…", which the snapshot becomes a version of'
            raise ValueError(message)
        return self


class InstanceStore(Mounted):
    """The machine's own NVMe disks, RAID 0 over them if there are several; empty again after every stop."""

    filesystem: Filesystem = "ext4"


class Experiment(Strict):
    """experiments/NAME.toml: what a machine for this experiment is."""

    types: Annotated[list[InstanceType], Field(min_length=1, examples=[["p4d.24xlarge", "g5.12xlarge"]])]
    markets: Annotated[list[Market], Field(min_length=1, examples=[["spot", "on-demand"]])] = ["on-demand"]
    regions: Annotated[list[Region], Field(min_length=1)] | None = None
    zones: Annotated[list[Zone], Field(min_length=1)] | None = None
    subnets: dict[Region, list[Subnet]] | None = None
    """Only these subnets; the lab's when left out."""
    retry_for: Duration = timedelta(0)
    """How long to go on asking for capacity; one round when left out."""
    ttl: Duration | None = None
    """How long a machine lives; it ends by itself then, with no server."""
    relaunch: bool = False
    """Whether `make watch` puts a machine back that AWS took away."""
    image: Image | None = None
    root: Root | None = None
    data: list[Data] = []
    scratch: list[Scratch] = []
    instance_store: InstanceStore | None = None
    command: str | None = None
    """Run by bash on the machine once its data is mounted."""
    instance_profile: Annotated[str, Field(pattern=r"^[\w+=,.@-]{1,128}$", examples=["speech-reader"])] | None = None
    """The name of an IAM instance profile that the machine may use."""

    on_failed_boot: Literal["keep", "teardown"] = "keep"
    """What becomes of a machine whose cloud-init failed."""

    @property
    def mounted(self) -> list[Mounted]:
        """All that is mounted on the machine."""
        return [*self.data, *self.scratch, *([self.instance_store] if self.instance_store else [])]

    @model_validator(mode="after")
    def _mounts_differ(self) -> Experiment:
        mounts = [volume.mount for volume in self.mounted]
        if len(set(mounts)) < len(mounts):
            message = f"two volumes can't share a mount point: {', '.join(mounts)}"
            raise ValueError(message)
        return self


class Member(Strict):
    """members/NAME.toml: one teammate."""

    keys: Annotated[
        list[Annotated[str, AfterValidator(public_key)]],
        Field(min_length=1, examples=[["ssh-ed25519 AAAA… alice@laptop"]]),
    ]
    groups: list[GroupName] = ["sudo", "docker"]
    shell: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/._-]+$", examples=["/bin/bash"])] = "/bin/bash"
    uid: Annotated[int, Field(ge=1000, le=60000)] | None = None
    """The same number on every machine, so that files on kept volumes stay theirs."""


def load_lab(directory: Path) -> Lab:
    """Read lab.toml. Raises LabError."""
    path = directory / "lab.toml"
    if not path.exists():
        raise LabError(f"{path}: not found; run make in the directory that holds lab.toml")
    return load(path, Lab, shown_as="lab.toml")


def load_experiment(directory: Path, name: str) -> Experiment:
    """Read experiments/NAME.toml. Raises LabError, naming `make new` where there is none."""
    path = directory / "experiments" / f"{name}.toml"
    if not path.exists():
        known = sorted(file.stem for file in path.parent.glob("*.toml"))
        raise LabError(
            f"experiments/{name}.toml: no such experiment{closest(name, known)}; "
            f"`make new EXP={name}` writes one to start from"
        )
    return load(path, Experiment, shown_as=f"experiments/{name}.toml")


def load_members(directory: Path) -> Mapping[str, Member]:
    """Read members/*.toml, by name. Raises LabError."""
    members = {}
    for path in sorted((directory / "members").glob("*.toml")):
        if not re.fullmatch(LOGIN, path.stem) or path.stem in RESERVED:
            raise LabError(
                f"members/{path.name}: {path.stem!r} can't be a login name (try lower-case letters and digits)"
            )
        members[path.stem] = _member(path)
    return members


def _member(path: Path) -> Member:
    """Read a member's file; the keys may stand in a .pub file beside it."""
    beside = path.with_suffix(".pub")
    keys = [line for line in beside.read_text().splitlines() if line.strip()] if beside.exists() else []
    return load(path, Member, shown_as=f"members/{path.name}", defaults={"keys": keys} if keys else {})
