"""A headless Chromium, worked over its DevTools protocol through two pipes (no port, no other library).

https://chromedevtools.github.io/devtools-protocol/ with --remote-debugging-pipe: messages end with a NUL.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class Browser:
    """One page in one browser."""

    to_browser: int
    from_browser: int
    session: str = ""
    number: int = 0
    seen: list[dict] = field(default_factory=list)
    """The events that came."""
    _rest: bytes = b""

    def open(self) -> Browser:
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.tell(f"{domain}.enable")
        return self

    def tell(self, method: str, **params: Any) -> dict:
        """Send a command and return its result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self.number:
            self.seen.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self._rest:
            chunk = os.read(self.from_browser, 1 << 16)
            assert chunk, "the browser ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def show(self, url: str, *, width: int, height: int = 800, dark: bool = False) -> None:
        """Load a page in a window of a size, and wait until it is there."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self.seen.clear()
        self.tell("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.seen):
            self.seen.append(self._read())

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        told = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def press(self, key: str, code: int, **more: Any) -> None:
        """Press and let go of a key; one that writes something (Enter: a carriage return) says what as `text`."""
        for kind in ("keyDown" if more else "rawKeyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was shown."""
        return [e["params"]["request"]["url"] for e in self.seen if e["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """Return what the browser's console was told: of a policy that was broken, for one."""
        return [str(e["params"]) for e in self.seen if e["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")]

    def printed(self) -> bytes:
        """Return the page as a PDF document."""
        return base64.b64decode(self.tell("Page.printToPDF", printBackground=True)["data"])

    def picture(self, path: Path, *, whole: bool = False) -> None:
        told = self.tell("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(told["data"]))


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """Start a Chromium with a profile of its own in `directory`, and end it."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("the report is looked at where Chromium is: apt-get install chromium")
    their_in, to_browser = os.pipe()
    from_browser, their_out = os.pipe()
    wires = f'exec 3<&{their_in} 4>&{their_out}; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", wires, "bash", program, *QUIET, f"--user-data-dir={directory}", "about:blank"],
        pass_fds=(their_in, their_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(their_in)
    os.close(their_out)
    try:
        browser = Browser(to_browser, from_browser)
        yield browser.open()
        browser.session = ""
        browser.tell("Browser.close")
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)
