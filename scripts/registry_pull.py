"""Copy another registry, such as a team's table, into this lab's own."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import FILE, AsJson, option, script

app = script(__doc__)
From = Annotated[str, option("SOURCE", "Source: dynamodb://us-east-1/lab, or a file.", metavar=FILE)]


@app.command()
def registry_pull(source: From = "", as_json: AsJson = False) -> None:
    """Copy all records of the registry at SOURCE, archive included, into this lab's own.

    Records that already exist are skipped. The registry at SOURCE is not changed.
    """
    from ec2lab.events.lab import RecordsCopied
    from ec2lab.registry.copy import copy_records
    from ec2lab.session import open_session

    if not source:
        raise UserError("SOURCE: where from? (SOURCE=dynamodb://us-east-1/lab)")
    console = Console(as_json=as_json)
    with open_session("registry-pull") as session:
        console.hint(session.cloud.banner)
        pulled = session.registry_at(source, "SOURCE")
        written, there = copy_records(pulled, session.registry, session.resource_types)
        dest = session.registry.name
        console.emit(RecordsCopied(written=written, existing=there, source=pulled.name, dest=dest))


if __name__ == "__main__":
    run(app)
