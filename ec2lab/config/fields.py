"""Types of the values in lab, experiment and member files. Each error says what would be valid."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from ec2lab import capacity_pools
from ec2lab.config.gpu import GpuRequest
from ec2lab.login_names import LOGIN
from ec2lab.regions import no_region, partitions, region_of_zone, regions
from ec2lab.secret_detection import REMEDY, names_a_secret, secret_in, secret_in_command
from ec2lab.units import duration
from ec2lab.validators import NAME, NAME_HELP

SYSTEM = {"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr"}
SYSTEM_DIRS_EXACT = {"/home", "/opt", "/opt/ec2-lab", "/root", "/tmp", "/var", "/var/lib"}  # noqa: S108 - names, no files
"""Directories that are not mount points. Directories below those in SYSTEM_DIRS_EXACT may be."""

SYSTEM_VARIABLES = {
    "_", "DIRSTACK", "ENV", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "EXPERIMENT", "FUNCNAME", "GROUPS", "HISTCMD",
    "HOME", "HOSTNAME", "HOSTTYPE", "IFS", "LANG", "LINENO", "LOGNAME", "MACHTYPE", "OLDPWD", "OPTARG", "OPTERR",
    "OPTIND", "OSTYPE", "PATH", "PIPESTATUS", "PPID", "PS4", "PWD", "RANDOM", "REPLY", "RESUMED", "SECONDS", "SHELL",
    "SHELLOPTS", "SHLVL", "SRANDOM", "TMPDIR", "UID", "USER",
}  # fmt: skip
"""Variables that bash sets or uses itself (bash(1), Shell Variables), and those that programs take from the account."""
SYSTEM_PREFIXES = ("BASH", "LC_", "LD_")


def matching(pattern: str, right: str, *, shown: bool = True) -> AfterValidator:
    """Return a validator that refuses text that `pattern` does not match completely; the error says what is `right`."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{repr(text) if shown else 'this'} is not {right}")
        return text

    return AfterValidator(check)


def mount_point(path: str) -> str:
    parts = PurePosixPath(f"/{path.lstrip('/')}" if path.startswith("/") else path).parts
    if parts[:1] != ("/",) or ".." in parts or len(parts) == 1:
        raise ValueError(f'{path!r} is not an absolute path (try "/{path.strip("/.") or "data"}")')
    if not re.fullmatch(r"[A-Za-z0-9/._-]+", path):
        raise ValueError(f"{path!r} has characters that a mount point may not have (allowed: letters, digits, / . _ -)")
    normal = "/" + "/".join(parts[1:])
    if parts[1] in SYSTEM or normal in SYSTEM_DIRS_EXACT:
        raise ValueError(f'{path!r} is a system directory (try "/data")')
    if re.match(r"/tmp/|/var/tmp(/|$)|/home/[^/]+/", normal):  # noqa: S108 - names, no files
        raise ValueError(f'{path!r} is where users other than root can write, and could place a link (try "/data")')
    return normal


def networks(ssh_allowed_cidrs: Any) -> Any:
    if ssh_allowed_cidrs == "auto":
        return ssh_allowed_cidrs
    if not isinstance(ssh_allowed_cidrs, list) or not ssh_allowed_cidrs:
        raise ValueError(f'{ssh_allowed_cidrs!r} is neither "auto" nor a list of networks (try ["203.0.113.0/24"])')
    for network in ssh_allowed_cidrs:
        try:
            ipaddress.ip_network(network)
        except ValueError as problem:
            raise ValueError(f'{problem} (try "203.0.113.7/32")') from problem
    return ssh_allowed_cidrs


def parameter_name(name: str) -> str:
    """Return a name for a variable that is recorded and shown with its value."""
    environment_name(name, "a parameter", "lr")
    if names_a_secret(name):
        raise ValueError(f"{name!r} looks like a secret: {REMEDY}; if it is not one, rename it")
    return name


def environment_name(name: str, what: str, example: str) -> str:
    no_secret(name)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        raise ValueError(f'{name!r} can\'t be {what} (letters, digits and _, no digit first: "{example}")')
    if name in SYSTEM_VARIABLES or name.startswith(SYSTEM_PREFIXES):
        raise ValueError(f"{name!r} is a variable of the system; choose another name")
    return name


def parameter_value(value: Any) -> Any:
    """Return a value that fits into an environment variable."""
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r} is not a string, a number, true or false")  # noqa: TRY004 - pydantic reports ValueErrors
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a number")
    if isinstance(value, str) and no_secret(value) and ("\0" in value or "\n" in value):
        raise ValueError(f"{value!r} has characters that a parameter may not have (no line breaks)")
    return value


def no_secret(text: str) -> str:
    """Return a text that is recorded and shown. A text with a secret is refused; the error does not repeat it."""
    if kind := secret_in(text):
        raise ValueError(f"holds {kind}: {REMEDY}")
    return text


def _command_without_secrets(command: str) -> str:
    if kind := secret_in_command(command):
        raise ValueError(f"holds {kind}: {REMEDY}")
    return command


def _tags_without_secrets(tags: dict[str, str]) -> dict[str, str]:
    """Return tags, which everybody in the account can read, unless one contains a secret."""
    for key, value in tags.items():
        if names_a_secret(key) or secret_in(value):
            raise ValueError(f"{key!r} looks like a secret, and everybody in the account can read tags; leave it out")
    return tags


def region(name: str) -> str:
    if name not in regions():
        raise ValueError(no_region(name))
    return name


def zone(name: str) -> str:
    if region_of_zone(name) is None or not _is_word(name):
        raise ValueError(f'{name!r} is not an availability zone: its name begins with its region\'s (try "us-east-1a")')
    return name


def _kms_key(arn: str) -> str:
    head, _, key = arn.partition(":key/")
    match head.split(":"):
        case ["arn", partition, "kms", where, account] if partition in partitions() and where in regions():
            if account.isdigit() and _is_word(key):
                return arn
    raise ValueError(
        f'{arn!r} is not the ARN of a key (try "arn:aws:kms:us-east-1:123456789012:key/…", '
        "as `aws kms list-keys` shows it)"
    )


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text.split()) == 1


def _gpu_request(text: str) -> str:
    GpuRequest.parse(text)
    return text


def market(text: Any) -> capacity_pools.Market:
    return text if isinstance(text, capacity_pools.Market) else capacity_pools.Market.parse(str(text))


Region = Annotated[str, AfterValidator(region), Field(examples=["us-east-1"])]
Zone = Annotated[str, AfterValidator(zone), Field(examples=["us-east-1a"])]
Subnet = Annotated[
    str,
    matching(r"subnet-[0-9a-z]+", 'a subnet (try "subnet-0123456789abcdef0")'),
    Field(examples=["subnet-0123456789abcdef0"]),
]
InstanceType = Annotated[
    str, matching(r"[^\s*?.]+\.[^\s*?]+", 'an instance type (try "g5.xlarge")'), Field(examples=["g5.xlarge"])
]
"""AWS knows which exist. `*` and `?` would match several in a filter."""
Gpus = Annotated[
    list[Annotated[str, AfterValidator(_gpu_request)]],
    BeforeValidator(lambda written: [written] if isinstance(written, str) else written),
    Field(min_length=1),
]
Market = Annotated[capacity_pools.Market, PlainValidator(market), Field(examples=["on-demand"])]
Duration = Annotated[timedelta, BeforeValidator(duration), Field(examples=["6h"])]
S3Address = Annotated[  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, object-keys.html
    str,
    matching(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?", 'a bucket (try "s3://lab-runs/speech")'
    ),
    Field(examples=["s3://lab-runs/speech"]),
]
REASON = re.compile(r"(?! )[^\x00-\x1f\x7f\u2028\u2029]{1,120}(?<! )")
"""It becomes the value of a tag, which is limited to 256 characters."""
Reason = Annotated[
    str,
    matching(REASON.pattern, "a reason (one line of at most 120 characters)"),
    AfterValidator(no_secret),
    Field(examples=["until the paper is out"]),
]
MountPoint = Annotated[str, AfterValidator(mount_point), Field(examples=["/data"])]
Name = Annotated[str, matching(NAME, NAME_HELP), Field(examples=["speech"])]
ParameterName = Annotated[str, AfterValidator(parameter_name), Field(examples=["lr"])]
ParameterValue = Annotated[bool | int | float | str, BeforeValidator(parameter_value), Field(examples=[0.1])]
Command = Annotated[str, AfterValidator(_command_without_secrets)]
Tags = Annotated[dict[str, str], AfterValidator(_tags_without_secrets)]
Gib = Annotated[int, Field(ge=1, le=65536, examples=[500])]
RegistryId = Annotated[
    str,
    matching(r"[0-9a-f]{32}", "the id of a registry (32 digits, as the tag lab:registry has it)"),
    Field(examples=["3f2a1b7c9d8e4f60a1b2c3d4e5f60718"]),
]
KmsKey = Annotated[
    str,
    AfterValidator(_kms_key),
    Field(examples=["arn:aws:kms:us-east-1:123456789012:key/0b1f7a52-52c5-4c0f-9d0f-0c4c1e7f5a10"]),
]
"""An ARN, because StartSnapshot accepts no alias
(https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html)."""
ProfileName = Annotated[  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html
    str,
    matching(r"[A-Za-z0-9_+=,.@-]{1,128}", 'the name of an instance profile (try "speech-reader")'),
    Field(examples=["speech-reader"]),
]
LoginName = Annotated[str, matching(LOGIN, 'a login name (try "alice")'), Field(examples=["alice"])]
GroupName = Annotated[str, matching(LOGIN, 'a group (try "docker")'), Field(examples=["docker"])]
Owner = Annotated[
    str,
    matching(rf"(?=.)({LOGIN})?(:{LOGIN})?", 'an owner (try "alice:docker" or ":docker")'),
    Field(examples=["alice:docker"]),
]


class StrictModel(BaseModel):
    """A section of a file. Unknown keys are refused, and instances are immutable."""

    # DEBUG=1 prints pydantic's own error, which would repeat a secret that was written in place of its source.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True)
