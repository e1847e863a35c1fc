"""Append COUNT records with SIZE bytes of padding to the registry at PATH; print each id once it is acknowledged."""

import os
import sys
from pathlib import Path

from scripts.core.registry.record import Event, Record
from scripts.registries.file_registry import FileRegistry


def main(path: str, count: str, size: str) -> None:
    registry = FileRegistry(Path(path))
    for _ in range(int(count)):
        record = Record(event=Event.NOTE, note={"padding": "é" * int(size)})
        registry.append(record)
        os.write(sys.stdout.fileno(), f"{record.id}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
