"""Start, serve or stop the local cloud."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ec2lab.aws.local_server import LOCAL_DIRECTORY, account_of, ensure_running, stop
from ec2lab.console import Console, run
from ec2lab.options import AsJson, script

app = script(__doc__)
Directory = Annotated[Path, typer.Option("--directory", help="Where its address and its log are.")]


@app.command(name="start")
def start_command(directory: Directory = Path(LOCAL_DIRECTORY), as_json: AsJson = False) -> None:
    """Start the local cloud, unless it is running."""
    from ec2lab.events.lab import LocalCloudRunning

    url = ensure_running(directory).url
    Console(as_json=as_json).emit(LocalCloudRunning(url=url))


@app.command(name="stop")
def stop_command(directory: Directory = Path(LOCAL_DIRECTORY), as_json: AsJson = False) -> None:
    """Stop the local cloud; its resources are gone."""
    from ec2lab.events.lab import LocalCloudStopped

    stopped = stop(directory)
    Console(as_json=as_json).emit(LocalCloudStopped(was_running=stopped))


@app.command(name="serve")
def serve_command(directory: Directory = Path(LOCAL_DIRECTORY)) -> None:
    """Serve in the foreground (what `start` starts)."""
    os.environ.setdefault("MOTO_ACCOUNT_ID", account_of(directory))  # read when the server is imported
    _parse_model_files_once()
    from local_cloud.server import serve

    serve(directory)


def _parse_model_files_once() -> None:
    """Patch botocore: moto reads EC2's model, of 4 MB, four times at its start."""
    from functools import cache

    from botocore.loaders import JSONFileLoader

    load = cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: load(path)  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    run(app)
