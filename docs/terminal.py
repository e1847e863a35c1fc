"""Records docs/terminal.svg: the terminal output of the demo, from launch to teardown.

    make demo-svg

Runs the real commands in a temporary directory, on a new local cloud.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

REPOSITORY = Path(__file__).parents[1]
PICTURE = REPOSITORY / "docs/terminal.svg"
COMMANDS = (
    "make launch EXP=demo", "make status", "make exec EXP=demo CMD='uname -s'", "make cost", "make teardown EXP=demo",
)  # fmt: skip
BROUGHT = (
    "Makefile", "docs", "scripts", "ec2lab", "local_cloud", "templates", ".venv", "requirements.lock",
    "requirements-dev.lock",
)  # fmt: skip
COLUMNS = 80
OVERWRITTEN = re.compile(r"[^\n]*\r\x1b\[K")
"""A line of progress, replaced by the next one."""
FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""They refer to a server; every viewer has a monospaced font."""
THEME = TerminalTheme(
    (24, 26, 31), (216, 219, 226),
    [(24, 26, 31), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221),
     (86, 182, 194), (216, 219, 226)],
)  # fmt: skip


def main() -> None:
    """Run the commands and write the picture."""
    with tempfile.TemporaryDirectory() as named:
        lab = Path(named, "lab")
        lab.mkdir()
        for name in BROUGHT:
            (lab / name).symlink_to(REPOSITORY / name)
        for name in ("lab.toml", "experiments/demo.toml"):
            (lab / name).parent.mkdir(exist_ok=True)
            (lab / name).write_text((REPOSITORY / name).read_text())
        run("make local-cloud", lab)  # not part of the picture
        try:
            shown = [(command, run(command, lab)) for command in COMMANDS]
        finally:
            run("make local-cloud-stop", lab)
    PICTURE.write_text(drawn([(command, said.replace(named, "~")) for command, said in shown]))
    print(f"{PICTURE.relative_to(REPOSITORY)}: written")


def run(command: str, directory: Path) -> str:
    """Return what a command shows on a terminal. Raises CalledProcessError if it fails."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, COLUMNS))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MAKE", "NO_COLOR"))}
    environment |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "50"}
    with subprocess.Popen(
        shlex.split(command), cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b"".join(iter(lambda: heard(ours), b""))
    os.close(ours)
    if process.returncode:
        sys.stderr.write(said.decode())
        raise subprocess.CalledProcessError(process.returncode, command)
    return OVERWRITTEN.sub("", said.decode().replace("\r\n", "\n"))


def heard(terminal: int) -> bytes:
    """Return what is next said on a terminal; nothing at its end, which Linux tells by an error."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def drawn(shown: list[tuple[str, str]]) -> str:
    """Return commands and what they said as an SVG picture."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        for command, said in shown:
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text.from_ansi(said.strip("\n")), "")
        return FONT_FACES.sub("", console.export_svg(title="ec2-lab", theme=THEME, unique_id="ec2-lab"))


if __name__ == "__main__":
    main()
