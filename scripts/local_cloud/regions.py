"""Regions that the account has not opted in to: every call there is refused as if the credentials were wrong.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html
"""

from __future__ import annotations

import re

from scripts.local_cloud.answers import Answer, Problem
from scripts.local_cloud.call import Call
from scripts.local_cloud.weather import Weather

ELSEWHERE = ("iam", "pricing")
"""Services that are asked in one region for all."""
INVALID = "The security token included in the request is invalid."


def check_open(call: Call, weather: Weather) -> None:
    """Raise the Problem that each service has there."""
    if call.region not in weather.not_opted_in or call.service in ELSEWHERE:
        return
    if call.service == "ec2":
        raise Problem("AuthFailure", "AWS was not able to validate the provided access credentials")
    raise Problem("InvalidClientTokenId" if call.service == "sts" else "UnrecognizedClientException", INVALID)


def with_opt_in_states(call: Call, answer: Answer, weather: Weather) -> Answer:
    """Return a description of regions that says which are open; moto's says nothing of this account."""

    def told(found: re.Match[bytes]) -> bytes:
        item, name = found[0], found["name"].decode()
        if name in weather.not_opted_in:
            shown = call.params.get("AllRegions") == "true"
            return re.sub(rb"(<optInStatus>)[^<]*", rb"\1not-opted-in", item) if shown else b""
        return item.replace(b">not-opted-in<", b">opted-in<")

    item = rb"<item>(?:(?!</item>).)*?<regionName>(?P<name>[^<]+)</regionName>.*?</item>"
    answer.body = re.sub(item, told, answer.body, flags=re.DOTALL)
    return answer
