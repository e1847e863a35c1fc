"""A cloud with another clock than the caller's: its times are shifted, and requests too far off are rejected."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from local_cloud import clock
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem

TOLERANCE = 300  # seconds (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)
TIMES = re.compile(rb"(<(?:launchTime|startTime|createTime|attachTime|attachmentTime)>)([^<]+)(</)")


def refusal(call: Call, skew: float) -> Problem | None:
    """Return the error for a call signed at another time than the cloud's."""
    signed = call.environ.get("HTTP_X_AMZ_DATE", "")
    if not skew or not signed:
        return None
    at = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    here = clock.caller_now() + timedelta(seconds=skew)
    if abs(here.timestamp() - at) <= TOLERANCE:
        return None
    shown = here.isoformat(timespec="seconds")
    return Problem("RequestExpired", f"Request has expired. Timestamp date is {signed}; the server's is {shown}.")


def ahead(answer: Answer, skew: float) -> Answer:
    if skew:
        answer.body = TIMES.sub(lambda found: found[1] + _shifted(found[2], skew) + found[3], answer.body)
    return answer


def _shifted(moment: bytes, skew: float) -> bytes:
    shifted = datetime.fromisoformat(moment.decode()) + timedelta(seconds=skew)
    return shifted.strftime("%Y-%m-%dT%H:%M:%S.000Z").encode()
