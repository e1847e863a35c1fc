"""Send a file or a tree: the manifest as a line, then, for the offsets that come as a line, the contents.

    send-files SOURCE

Python 3.9 or later.
"""

from __future__ import annotations

import json
import os
import sys

from ec2lab.hosts.file_stream import Tree, manifest


def main(source: str) -> None:
    """Send it. A relative path is relative to the home directory."""
    os.chdir(os.path.expanduser("~"))
    tree = Tree.read(os.path.expanduser(source))
    out = sys.stdout.buffer
    out.write(json.dumps(manifest(tree)).encode() + b"\n")
    out.flush()
    for piece in tree.contents(json.loads(sys.stdin.buffer.readline())):
        out.write(piece)
    out.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as problem:
        sys.exit(f"{problem.filename}: {problem.strerror}")
