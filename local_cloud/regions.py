"""Regions that the account has not opted in to: every call there fails as if the credentials were wrong.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html
"""

from __future__ import annotations

import re

from moto.s3.models import s3_backends

from local_cloud.request import ACCOUNT, Call
from local_cloud.responses import Answer, Problem, error
from local_cloud.scenario import OPT_IN, Scenario

OTHER_PARTITIONS = ("cn-", "us-gov-")
"""Prefixes of regions that moto knows, and an account of the partition `aws` does not."""
ELSEWHERE = ("iam", "pricing")  # services with one region for all
INVALID = "The security token included in the request is invalid."


def check_open(call: Call, scenario: Scenario) -> None:
    if call.region not in scenario.not_opted_in or call.service in ELSEWHERE:
        return
    if call.service == "ec2":
        raise Problem("AuthFailure", "AWS was not able to validate the provided access credentials")
    raise Problem("InvalidClientTokenId" if call.service == "sts" else "UnrecognizedClientException", INVALID)


def to_bucket_region(call: Call) -> Answer | None:
    """Redirect a call to the region of its bucket, as S3 does; clients follow that by themselves.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html
    """
    name = call.environ["PATH_INFO"].split("/")[1] if call.service == "s3" else ""
    bucket = s3_backends[ACCOUNT]["aws"].buckets.get(name)
    if bucket is None or bucket.region_name == call.region:
        return None
    message = "The bucket you are attempting to access must be addressed using the specified endpoint."
    answer = error(Problem("PermanentRedirect", message), "query")
    answer.status, answer.headers = 301, {"x-amz-bucket-region": bucket.region_name}
    return answer


def with_opt_in_states(call: Call, answer: Answer, scenario: Scenario) -> Answer:
    """Return a description of regions with this account's opt-in states, which moto lacks."""

    def told(found: re.Match[bytes]) -> bytes:
        name = found["name"].decode()
        shut = name in scenario.not_opted_in and call.params.get("AllRegions") != "true"
        if shut or name.startswith(OTHER_PARTITIONS):
            return b""
        state = "opt-in-not-required" if name not in OPT_IN else "opted-in"
        state = "not-opted-in" if name in scenario.not_opted_in else state
        return re.sub(rb"(<optInStatus>)[^<]*", rb"\1" + state.encode(), found[0])

    item = rb"<item>(?:(?!</item>).)*?<regionName>(?P<name>[^<]+)</regionName>.*?</item>"
    answer.body = re.sub(item, told, answer.body, flags=re.DOTALL)
    return answer
