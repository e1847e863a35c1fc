"""What an instance asks of AWS by itself, with the credentials of its instance profile. Python 3.9 or later.

Programs of templates/ import it, and it is sent with them: not every image has the AWS CLI.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The metadata service is never behind a proxy, whatever the environment says."""
PATIENCE = 10  # seconds for each answer
NOT_FOUND = 404


class Refused(Exception):
    """Something can't be had, for a reason that waiting does not change."""


class Later(Exception):
    """It can't be had now."""


def metadata(path: str, method: str = "GET", **headers: str) -> str:
    """Return what the instance metadata service says (version 2). Raises Refused, Later."""
    named = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
    asking = urllib.request.Request(f"{METADATA}/latest/{path}", method=method, headers=named)  # noqa: S310 - no file
    try:
        text: str = DIRECT.open(asking, timeout=PATIENCE).read(1 << 16).decode()
    except urllib.error.HTTPError as refused:
        if refused.code == NOT_FOUND and "security-credentials" in path:
            raise Refused("the instance has no instance profile, or its role is gone") from refused
        raise Later(f"the instance metadata service returned {refused.code}") from refused
    except (OSError, http.client.HTTPException) as problem:
        raise Later(f"the instance metadata service does not answer ({problem})") from problem
    return text


class Instance:
    """Who asks: the role of the instance profile, in the instance's region."""

    def __init__(self) -> None:
        """Ask the metadata service. Raises Refused, Later."""
        token = metadata("api/token", "PUT", token_ttl_seconds="300")  # noqa: S106 - no secret
        self.region = metadata("meta-data/placement/region", token=token)
        self.domain = metadata("meta-data/services/domain", token=token)
        roles = metadata("meta-data/iam/security-credentials/", token=token).split()
        given = json.loads(metadata(f"meta-data/iam/security-credentials/{roles[0]}", token=token))
        if given.get("Code") != "Success":
            raise Later(f"the instance profile has no credentials ({given.get('Code')}: {given.get('Message', '')})")
        self.key, self.secret, self.token = given["AccessKeyId"], given["SecretAccessKey"], given["Token"]

    def signed(
        self, service: str, region: str, method: str, url: str, headers: Mapping[str, str], digest: str
    ) -> dict[str, str]:
        """Return the headers of a request, by Signature Version 4. `digest` is the SHA-256 of its content.

        The path and the query of the URL are encoded, the query's names in order
        (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
        """
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/{region}/{service}/aws4_request"
        parts = urllib.parse.urlsplit(url)
        own = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": now}
        signed = dict(sorted({**headers, **own, "x-amz-security-token": self.token}.items()))
        listed = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in signed.items())
        names = ";".join(signed)
        request = f"{method}\n{parts.path}\n{parts.query}\n{listed}\n{names}\n{digest}"
        to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), to_sign):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        credential = f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}"
        return {**signed, "authorization": f"{credential}, SignedHeaders={names}, Signature={key.hex()}"}
