"""Receive a file or a tree: the manifest as a line, for which the offsets are printed, and then the contents.

    receive-files DEST yes|no

`yes` deletes what the tree does not have. Python 3.9 or later.
"""

from __future__ import annotations

import json
import os
import sys

from ec2lab.hosts.file_receiver import Receiver
from ec2lab.hosts.file_stream import PIECE, parse_manifest


def main(dest: str, *, delete: bool) -> None:
    """Receive it. A relative path is relative to the home directory."""
    os.chdir(os.path.expanduser("~"))
    single, entries, _ = parse_manifest(json.loads(sys.stdin.buffer.readline()))
    with Receiver(os.path.expanduser(dest), single, entries, delete=delete) as receiver:
        print(json.dumps(receiver.offsets()), flush=True)
        while piece := sys.stdin.buffer.read1(PIECE):
            receiver.feed(piece)
        print(json.dumps(receiver.finish()), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1], delete=sys.argv[2] == "yes")
    except OSError as problem:
        sys.exit(f"{problem.filename}: {problem.strerror}")
    except ValueError as problem:
        sys.exit(str(problem))
