"""A registry of container images that docker pulls from, and an image: a shell, which is not bash, and a few tools."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOOLS = ("cat", "dash", "id", "sha256sum", "sleep", "touch")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'


def layer() -> bytes:
    """Return the file system of an image: dash as sh, tools of this computer, and their libraries."""
    programs = {f"bin/{name}": shutil.which(name) for name in TOOLS}
    listed = subprocess.run(["ldd", *programs.values()], check=True, capture_output=True, text=True).stdout
    libraries = {path.lstrip("/"): path for path in re.findall(r"(/\S+) \(0x", listed)}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", dereference=True) as tar:
        for name, path in (programs | libraries).items():
            tar.add(path, name)
        shell = tarfile.TarInfo("bin/sh")
        shell.type, shell.linkname = tarfile.SYMTYPE, "dash"
        tar.addfile(shell)
    return content.getvalue()


class ImageRegistry:
    """One that serves images by tag and by digest. A tag can be moved to another image."""

    def __init__(self, address: str = "127.0.0.1"):
        """Serve at a free port of loopback, which docker reaches at an address."""
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        self.before_layer: Callable[[], object] = lambda: None
        """Called before a layer is sent."""
        self._layer = layer()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                reference = self.path.rpartition("/")[2]
                kind, content = registry.blobs.get(registry.tags.get(reference, reference), ("application/json", b""))
                found = content or self.path == "/v2/"
                content = content or (b"{}" if found else UNKNOWN)
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(content).hexdigest()}")
                self.end_headers()
                if kind == LAYER:
                    registry.before_layer()
                if self.command == "GET":
                    self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815 - as http.server wants it

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.name = f"{address}:{self.server.server_address[1]}/speech/train"

    def push(self, tag: str, **variables: str) -> str:
        """Put an image with these variables under a tag; return its digest."""
        environment = ["PATH=/bin", *(f"{name}={value}" for name, value in variables.items())]
        config = {
            "architecture": "amd64", "os": "linux",
            "config": {"Env": environment, "Entrypoint": ["/nowhere"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(self._layer).hexdigest()}"]},
        }  # fmt: skip
        parts = {CONFIG: json.dumps(config).encode(), LAYER: gzip.compress(self._layer, 1, mtime=0)}
        described = {kind: {"mediaType": kind, "size": len(part), "digest": self._add(kind, part)}
                     for kind, part in parts.items()}  # fmt: skip
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described[CONFIG],
            "layers": [described[LAYER]],
        }
        self.tags[tag] = self._add(MANIFEST, json.dumps(manifest).encode())
        return self.tags[tag]

    def _add(self, kind: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = kind, content
        return digest

    def stop(self) -> None:
        """Serve no more."""
        self.server.shutdown()
        self.server.server_close()
