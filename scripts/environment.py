"""Create the virtual environment, from a lock file with hashes.

    python3 scripts/environment.py .venv/ready requirements.lock

make runs this before anything is installed, so it uses only the standard library and reports errors in one line. In a
fresh clone, two makes at once wait for each other. It also trims botocore's data to what the lab calls.
"""

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

OLDEST = (3, 11)


def main(stamp: Path, lock_file: Path) -> None:
    """Install `lock_file` into the environment of `stamp` if the file is newer, then touch `stamp`."""
    if sys.version_info < OLDEST:
        sys.exit(f"error: Python {sys.version.split()[0]} is too old, ec2-lab requires 3.11 (make PYTHON=python3.11 …)")
    with Path(f"{stamp.parent.resolve()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.stat().st_mtime >= lock_file.stat().st_mtime):
            install(stamp, lock_file)
        build_botocore_cache(stamp.parent / "bin" / "python")
        stamp.touch()


def install(stamp: Path, lock_file: Path) -> None:
    """Create the environment if there is none, and install the pinned packages."""
    print(f"setting up {stamp.parent} from {lock_file}, once; this takes about a minute", file=sys.stderr)
    python = stamp.parent / "bin" / "python"
    try:
        if not python.exists():
            venv.create(stamp.parent, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(lock_file)], check=True)
    except subprocess.CalledProcessError as problem:
        reason = f"{problem.cmd[0]} ended with {problem.returncode}"
        sys.exit(f"error: {stamp.parent} could not be set up ({reason}; see above); fix that and run make again")
    except OSError as problem:
        sys.exit(f"error: {stamp.parent} could not be set up: {problem}")


def build_botocore_cache(python: Path) -> None:
    """Build the cache that makes scripts start faster; they work without it."""
    try:
        subprocess.run([str(python), "-m", "ec2lab.aws.botocore_cache_build"], check=True)
    except (subprocess.CalledProcessError, OSError) as problem:
        print(f"each command will take slightly longer: {problem} (see above)", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
