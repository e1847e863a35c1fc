"""Receive what an experiment's command needs and did not come with the boot: its code, and what it is told.

Standard input is a gzipped tar file, or nothing; the argument is JSON: `sha256` of the tar file ("" for none),
`environment` and `files` (text by path below /opt/ec2-lab). Starts the command, once: where it has begun already,
nothing is changed. The last line printed is the SHA-256 of the code that is there. Python 3.9 or later.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

ACCOUNT = "experiment"
UNIT = "experiment.service"
OWN = pathlib.Path("/opt/ec2-lab")
STATE = pathlib.Path("/var/lib/ec2-lab")
HERE = STATE / "code.sha256"
"""Whose code is there."""


def begun() -> bool:
    """Say whether the command has begun; it may have ended since."""
    shown = subprocess.run(["systemctl", "is-active", UNIT], check=False, stdout=subprocess.PIPE, text=True)
    return shown.stdout.strip() in ("active", "activating", "deactivating") or (STATE / "ended.json").exists()


def unpack(tar: bytes) -> None:
    """Put the code at ~experiment/code, as that account: nothing in it can be anybody else's."""
    home = pathlib.Path(f"~{ACCOUNT}").expanduser()
    new, code, old = home / "code.new", home / "code", home / "code.old"
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    as_account = ["runuser", "-u", ACCOUNT, "--"]
    subprocess.run([*as_account, "mkdir", str(new)], check=True)
    subprocess.run([*as_account, "tar", "-x", "-f", "-", "-C", str(new)], input=tar, check=True)
    if code.exists():
        code.rename(old)
    new.rename(code)
    shutil.rmtree(old, ignore_errors=True)


def main(told: dict, content: bytes) -> int:
    """Receive and start."""
    STATE.mkdir(parents=True, exist_ok=True)
    if not begun():
        if told["sha256"]:
            tar = gzip.decompress(content)
            if hashlib.sha256(tar).hexdigest() != told["sha256"]:
                print("the code did not arrive whole", file=sys.stderr)
                return 1
            unpack(tar)
        HERE.write_text(told["sha256"])
        lines = [f"{name}={json.dumps(value)}\n" for name, value in told["environment"].items()]
        for path, text in {**told["files"], "experiment.env": "".join(lines)}.items():
            (OWN / path).write_text(text)
            (OWN / path).chmod(0o644)
        if pathlib.Path("/etc/systemd/system", UNIT).exists():
            subprocess.run(["systemctl", "start", "--no-block", UNIT], check=True)
    print(HERE.read_text() if HERE.exists() else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.stdin.buffer.read()))
