"""Rules for ssh that nobody needs any more: those of this user's other hosts, and of hosts that have fallen silent.

A group has room for 60 rules, and hosts that come and go (containers, CI) leave one each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from ec2lab import clock
from ec2lab.registry.record import Record, parse_time, person

SILENT = timedelta(days=1)
"""After which a host that made no call counts as gone; should it come back, its next launch admits it again."""
OURS = "ec2-lab: "
TAKEN = r"[^A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]"
"""What AWS does not take in a rule's description
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html)."""


def description_of(who: str) -> str:
    """Return the description of the rule for a user's own address."""
    return re.sub(TAKEN, "_", f"{OURS}{who}")[:255]


def stale(rules: Mapping[str, str], records: Iterable[Record]) -> list[str]:
    """Return the networks whose rules are not needed any more, those first that were silent for longest."""
    heard: dict[str, datetime] = {}
    for record in records:
        who = description_of(str(record.actor).rpartition(":")[0])
        heard[who] = max(parse_time(record.time), heard.get(who, parse_time(record.time)))
    mine, never = description_of(person()), datetime.min.replace(tzinfo=clock.now().tzinfo)
    own = mine.partition("@")[0] + "@"
    found = [
        (heard.get(text, never), network)
        for network, text in rules.items()
        if text != mine and (text in heard or text.startswith(own)) and clock.now() - heard.get(text, never) > SILENT
    ]
    return [network for _, network in sorted(found)]
