"""Make the virtual environment that everything runs in, from a lock file with hashes.

    python3 scripts/environment.py .venv/ready requirements.lock

Called by make before anything is installed, so it uses the standard library alone, and says in one line what is
missing. Two makes at once in a fresh clone wait for each other. What botocore brings is cut down to what the lab calls.
"""

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

OLDEST = (3, 11)


def main(stamp: Path, lock_file: Path) -> None:
    """Install `lock_file` into the environment around `stamp` if it is newer, and touch `stamp` when all is there."""
    if sys.version_info < OLDEST:
        sys.exit(f"error: Python {sys.version.split()[0]} is too old, ec2-lab wants 3.11 (make PYTHON=python3.11 …)")
    with Path(f"{stamp.parent.resolve()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.stat().st_mtime >= lock_file.stat().st_mtime):
            install(stamp, lock_file)
        build_botocore_cache(stamp.parent / "bin" / "python")
        stamp.touch()


def install(stamp: Path, lock_file: Path) -> None:
    """Make the environment where there is none, and install what the lock file pins."""
    print(f"setting up {stamp.parent} from {lock_file}, once; this takes about a minute", file=sys.stderr)
    python = stamp.parent / "bin" / "python"
    try:
        if not python.exists():
            venv.create(stamp.parent, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(lock_file)], check=True)
    except subprocess.CalledProcessError as problem:
        reason = f"{problem.cmd[0]} ended with {problem.returncode}"
        sys.exit(f"error: {stamp.parent} could not be set up ({reason}; see above); mend that and run make again")
    except OSError as problem:
        sys.exit(f"error: {stamp.parent} could not be set up: {problem}")


def build_botocore_cache(python: Path) -> None:
    """Make what scripts start quicker with; they do without it too."""
    try:
        subprocess.run([str(python), "-m", "ec2lab.aws.botocore_cache_build"], check=True)
    except (subprocess.CalledProcessError, OSError) as problem:
        print(f"each command will take a moment longer: {problem} (see above)", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
