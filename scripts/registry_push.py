"""Copy this lab's registry into another one, such as a team's table."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import FILE, AsJson, option, script

app = script(__doc__)
To = Annotated[str, option("DEST", "Destination: dynamodb://us-east-1/lab, or a file.", metavar=FILE)]


@app.command()
def registry_push(to: To = "", as_json: AsJson = False) -> None:
    """Copy all records of this lab's registry, archive included, into the one at DEST; create it if needed.

    Records that already exist are skipped: if it is interrupted, run it again. This lab's own registry is not
    changed. To use the other from then on, set registry in lab.toml.
    """
    from ec2lab.config.toml_files import toml_text
    from ec2lab.events.lab import RecordsCopied
    from ec2lab.registry.copy import copy_records
    from ec2lab.session import open_session

    if not to:
        raise UserError("DEST: where to? (DEST=dynamodb://us-east-1/lab)")
    console = Console(as_json=as_json)
    with open_session("registry-push") as session:
        console.hint(session.cloud.banner)
        target = session.registry_at(to, "DEST")
        written, there = copy_records(session.registry, target, session.resource_types)
        source = session.registry.name
        console.emit(RecordsCopied(written=written, existing=there, source=source, dest=target.name))
        console.hint(f"now set registry = {toml_text(to)} in lab.toml")


if __name__ == "__main__":
    run(app)
