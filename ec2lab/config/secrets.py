"""Where an experiment's secrets are kept: a file of the lab has the source of each, and never its value. Pure.

No complaint repeats what was written: somebody may have put the secret itself in the source's place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from ec2lab.config.fields import environment_name, no_secret

ENV, SSM, SECRETS_MANAGER = "env", "ssm", "secretsmanager"
ARN = r"arn:(?P<partition>[a-z-]+):{service}:(?P<region>[a-z0-9-]+):(?P<account>\d{{12}}):{resource}"
FORMS = {
    ENV: r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)",
    # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    SSM: rf"(?:{ARN.format(service='ssm', resource='parameter')}(?=/))?(?P<name>[A-Za-z0-9_.-]+|(?:/[A-Za-z0-9_.-]+)+)",
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
    SECRETS_MANAGER: rf"(?:{ARN.format(service='secretsmanager', resource='secret')}:)?"
    r"(?P<name>[A-Za-z0-9/_+=.@-]+)(?:#(?P<key>[^\x00-\x1f#]+))?",
}  # fmt: skip
EXAMPLES = '"env:HF_TOKEN", "ssm:/speech/hf" or "secretsmanager:wandb#key"'


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A variable of whoever launches, a parameter of Parameter Store, or a secret of Secrets Manager."""

    store: str
    name: str
    key: str = ""  # of the JSON object that a secret of Secrets Manager is; without one, the secret is taken as it is
    partition: str = ""
    region: str = ""  # that of an ARN; else the instance's own
    account: str = ""

    @classmethod
    def parse(cls, text: Any) -> SecretSource:
        store, _, name = no_secret(str(text)).partition(":")
        found = re.fullmatch(FORMS[store], name) if store in FORMS else None
        if not found:
            raise ValueError(f"is not a source of a secret (try {EXAMPLES})")
        return cls(store, **{part: value for part, value in found.groupdict().items() if value})

    @property
    def is_from_launcher(self) -> bool:
        """Whether the launch brings it; the instance reads the others by its instance profile."""
        return self.store == ENV

    @property
    def id(self) -> str:
        """What AWS is asked for: the ARN where one was written, else the name."""
        if not self.region:
            return self.name
        kind = "parameter" if self.store == SSM else "secret:"
        return f"arn:{self.partition}:{self.store}:{self.region}:{self.account}:{kind}{self.name}"

    def as_sent(self) -> dict[str, str]:
        """Return what an instance is told of it."""
        return {"store": self.store, "id": self.id, "key": self.key, "region": self.region}

    def __str__(self) -> str:
        return f"{self.store}:{self.id}{f'#{self.key}' if self.key else ''}"


def secret_name(name: str) -> str:
    return environment_name(name, "a secret's name", "HF_TOKEN")


def _table_of_sources(written: Any) -> Any:
    """Return a table; anything else is refused here, as pydantic's own complaint would repeat it."""
    if not isinstance(written, dict):
        raise ValueError(f"is not a table of sources (try {{ HF_TOKEN = {EXAMPLES.partition(',')[0]} }})")  # noqa: TRY004 - pydantic reports ValueErrors
    return written


SecretName = Annotated[str, AfterValidator(secret_name), Field(examples=["HF_TOKEN"])]
Source = Annotated[SecretSource, PlainValidator(SecretSource.parse), Field(examples=["env:HF_TOKEN"])]
Secrets = Annotated[dict[SecretName, Source], BeforeValidator(_table_of_sources)]
