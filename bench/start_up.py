"""How long each script takes to answer --help, beside bare Python and `import typer`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import typer'": ["-c", "import typer"],
    **{
        f"scripts.{name} --help": ["-m", f"scripts.{name}", "--help"]
        for name in ("launch", "teardown", "status", "new")
    },
}


def main() -> None:
    """Time the commands in turn, so that a machine whose speed drifts is fair to all."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    for name, took in seconds.items():
        print(
            f"{name}: median {statistics.median(took) * 1000:.0f} ms ({min(took) * 1000:.0f} to {max(took) * 1000:.0f})"
        )
