"""A bucket, as an instance reads and writes it: many requests at once, each repeated while AWS has no answer.

Programs of templates/ import it (Python 3.9 or later). The AWS CLI takes half a second of a processor for each file,
and reads a file without seeing that it changes meanwhile.

The variables that AWS's own tools heed (AWS_ENDPOINT_URL, AWS_CA_BUNDLE, https_proxy, no_proxy) are heeded.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import http.client
import os
import random
import re
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, Optional

from ec2lab.hosts.signed_requests import Instance, Later, Refused

AT_ONCE = 16  # requests at the same time
TIMEOUT = 60  # seconds without a byte, after which a connection counts as lost
TRIES = 9
LONGEST_PAUSE = 20.0
"""Seconds between two tries, which begin with half a second, doubled each time: two minutes together."""
CREDENTIALS_FOR = 600
"""Seconds after which credentials are asked for again: the metadata service has new ones five minutes before the end
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html)."""
SERVER_ERROR = 500
PASSING = (  # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "OperationAborted", "TooManyRequestsException", "Throttling",
    "IncompleteBody",
)  # fmt: skip
EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId")
ALTERED = ("BadDigest", "XAmzContentSHA256Mismatch")
NOTHING = hashlib.sha256(b"").hexdigest()

Content = Callable[[], "bytes | Iterable[bytes]"]  # returns what is to be sent, for each try


class Altered(Refused):
    """What arrived is not what the digest is of: a file has changed meanwhile."""


class Response(NamedTuple):
    """What S3 answered."""

    headers: Mapping[str, str]
    body: bytes


class Listed(NamedTuple):
    """An object of a listing."""

    name: str  # below the prefix
    size: int
    etag: str


class Bucket:
    """Objects below a prefix. Its methods may be called by several threads."""

    def __init__(self, address: str, pause: Callable[[float], bool], progress: Callable[[], None]) -> None:
        """Take `s3://bucket/prefix`. `pause` waits, and returns whether to give up; each answer calls `progress`."""
        self.name, _, prefix = address[len("s3://") :].partition("/")
        self.prefix = f"{prefix.rstrip('/')}/"
        self.pause, self.progress = pause, progress
        self.threads = ThreadPoolExecutor(AT_ONCE)
        self._region = ""
        self._own, self._lock = threading.local(), threading.Lock()
        self._instance: Optional[Instance] = None
        self._asked = 0.0

    def each(self, work: Callable[..., Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of each task, as they come; few tasks are taken ahead. Raises what they raise.

        No request is under way any more afterwards: what it puts could replace what a later one has put.
        """
        going: list[Future[Any]] = []
        try:
            for task in tasks:
                if len(going) >= 2 * AT_ONCE:
                    yield going.pop(0).result()
                going.append(self.threads.submit(work, task))
            while going:
                yield going.pop(0).result()
        finally:
            wait([future for future in going if not future.cancel()])

    def put(self, name: str, content: Content, size: int, digest: str, headers: Mapping[str, str]) -> None:
        """Put an object, which appears as a whole or not at all. `digest` is its SHA-256. Raises Refused, Later."""
        self.request("PUT", name, {}, {**headers, "content-length": str(size)}, content, digest)

    def begin(self, name: str, headers: Mapping[str, str]) -> str:
        """Begin an object of several parts, and return the id of its upload. Raises Refused, Later."""
        found = re.search(rb"<UploadId>([^<]+)<", self.request("POST", name, {"uploads": ""}, headers).body)
        if not found:
            raise Later("S3 names no upload")
        return html.unescape(found[1].decode())

    def put_part(self, name: str, upload: str, number: int, content: Content, size: int, digest: str) -> str:
        """Put a part, and return its ETag. Raises Refused, Later."""
        query = {"partNumber": str(number), "uploadId": upload}
        return self.request("PUT", name, query, {"content-length": str(size)}, content, digest).headers["etag"]

    def complete(self, name: str, upload: str, etags: Iterable[str]) -> None:
        """Let the object of several parts appear. Raises Refused, Later."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self.request("POST", name, {"uploadId": upload}, {}, lambda: body, hashlib.sha256(body).hexdigest())
        if b"<Error>" in answer.body:  # S3 may say 200 first, and then what went wrong
            raise Later(f"S3 could not complete {name!r}: {words_of(answer.body)[1]}")

    def abort(self, name: str, upload: str) -> None:
        """Give up an object of several parts, whose parts cost money; also when told to end. Raises Refused, Later."""
        self._send("DELETE", name, {"uploadId": upload}, {}, lambda: b"", NOTHING)

    def get(self, name: str, first: int = 0, size: int = -1, etag: str = "") -> Response:
        """Return an object, or `size` bytes of it. Raises Refused, Later."""
        headers = {"range": f"bytes={first}-{first + size - 1}"} if size > 0 else {}
        return self.request("GET", name, {}, {**headers, **({"if-match": etag} if etag else {})})

    def listed(self, beginning: str) -> Iterator[Listed]:
        """Yield all objects whose names have a beginning. Raises Refused, Later."""
        query = {"encoding-type": "url", "list-type": "2", "prefix": self.prefix + beginning}
        after = ""
        while True:
            more = {"continuation-token": after} if after else {}
            text = self.request("GET", None, {**query, **more}, {}).body.decode()
            for entry in re.findall("<Contents>(.*?)</Contents>", text, re.DOTALL):
                key = urllib.parse.unquote_plus(html.unescape(_member(entry, "Key")), errors="surrogateescape")
                size, etag = int(_member(entry, "Size")), html.unescape(_member(entry, "ETag"))
                yield Listed(key[len(self.prefix) :], size, etag)
            after = html.unescape(_member(text, "NextContinuationToken"))
            if not after:
                return

    def request(
        self, method: str, name: str | None, query: Mapping[str, str], headers: Mapping[str, str],
        content: Content = lambda: b"", digest: str = NOTHING,
    ) -> Response:  # fmt: skip
        """Send a request, again while waiting may help. Without a name, it is for the bucket. Raises Refused, Later."""
        for number in range(TRIES):
            if self.pause(0):
                raise Later("told to end")
            try:
                return self._send(method, name, query, headers, content, digest)
            except Later:
                longest = min(LONGEST_PAUSE, 0.5 * 2**number)
                if number == TRIES - 1 or self.pause(random.uniform(longest / 2, longest)):  # noqa: S311 - no secret
                    raise
        raise AssertionError

    def _send(
        self, method: str, name: str | None, query: Mapping[str, str], headers: Mapping[str, str],
        content: Content, digest: str,
    ) -> Response:  # fmt: skip
        instance = self._asking()
        region = self._region or instance.region
        url = self._url(instance, name, query)
        signed = instance.signed("s3", region, method, url, headers, digest)
        connection, target, more = self._connection(url)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before S3 had everything
                connection.request(method, target, content(), {**signed, **more})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException, ssl.SSLError) as problem:
            self._hang_up()
            raise Later(f"S3 does not answer ({problem or type(problem).__name__})") from problem
        except BaseException:  # what was to be sent has changed: S3 has half of it
            self._hang_up()
            raise
        known = {key.lower(): value for key, value in answer.getheaders()}
        if answer.status // 100 == 2:  # noqa: PLR2004
            self.progress()
            return Response(known, body)
        self._hang_up()
        raise self._problem(answer.status, known, body, region)

    def _problem(self, status: int, headers: Mapping[str, str], body: bytes, asked: str) -> Exception:
        """Return what a refusal means, with AWS's own words. `asked` is the region that it comes from."""
        code, message = words_of(body)
        said = f"{code or status}{f': {message}' if message else ''}"
        region = headers.get("x-amz-bucket-region") or _member(body.decode(errors="replace"), "Region")
        if region and region != asked and status in (301, 307, 400):
            self._region = region
            return Later(said)
        if code in EXPIRED:
            self._instance = None
            return Later(said)
        if status >= SERVER_ERROR or status in (307, 429) or code in PASSING:
            return Later(said)
        return Altered(said) if code in ALTERED else Refused(said)

    def _asking(self) -> Instance:
        """Return the instance with credentials that are still good. Raises Refused, Later."""
        with self._lock:
            if self._instance is None or time.monotonic() - self._asked > CREDENTIALS_FOR:
                self._instance, self._asked = Instance(), time.monotonic()
            return self._instance

    def _url(self, instance: Instance, name: str | None, query: Mapping[str, str]) -> str:
        path = "/" if name is None else "/" + urllib.parse.quote(self.prefix + name, safe="/~")
        asked = "&".join(f"{key}={urllib.parse.quote(value, safe='~')}" for key, value in sorted(query.items()))
        own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        host = f"s3.{self._region or instance.region}.{instance.domain}"
        # A name with dots is not in AWS's certificate as a part of the host's.
        if own or "." in self.name:
            base = f"{(own or f'https://{host}').rstrip('/')}/{self.name}"
            return f"{base}{path if name is not None else ''}?{asked}"
        return f"https://{self.name}.{host}{path}?{asked}"

    def _connection(self, url: str) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """Return this thread's connection, what to ask there, and headers for a proxy."""
        parts = urllib.parse.urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        proxy = _proxy_for(parts.scheme, parts.hostname or "")
        more = _credentials(proxy) if proxy else {}
        key = parts.scheme, parts.netloc, proxy and proxy.geturl()
        if getattr(self._own, "key", None) != key:
            self._hang_up()
            place = proxy or parts
            port = place.port or (443 if parts.scheme == "https" and not proxy else 80)
            if parts.scheme == "https":
                context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
                made: Any = http.client.HTTPSConnection(place.hostname or "", port, timeout=TIMEOUT, context=context)
            else:
                made = http.client.HTTPConnection(place.hostname or "", port, timeout=TIMEOUT)
            if proxy and parts.scheme == "https":
                made.set_tunnel(parts.hostname, parts.port or 443, more)
            self._own.connection, self._own.key = made, key
        if proxy and parts.scheme == "http":
            return self._own.connection, f"{parts.scheme}://{parts.netloc}{target}", more
        return self._own.connection, target, {}

    def _hang_up(self) -> None:
        if getattr(self._own, "connection", None):
            self._own.connection.close()
        self._own.connection = self._own.key = None


def words_of(body: bytes) -> tuple[str, str]:
    """Return the code and the message of S3's refusal."""
    text = body[: 1 << 16].decode(errors="replace")
    return _member(text, "Code"), " ".join(html.unescape(_member(text, "Message")).split())[:500]


def _member(text: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found[1] if found else ""


def _proxy_for(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    """Return the proxy that the environment names for a host."""
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")


def _credentials(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    words = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return {"proxy-authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}
