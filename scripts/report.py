"""Write a web page that shows instances, costs, datasets and findings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import FILE, AsJson, Force, option, script

app = script(__doc__)
Out = Annotated[str, option("OUTPUT", "File to write. Default: report.html.", metavar=FILE)]


@app.command()
def report(out: Out = "", force: Force = False, as_json: AsJson = False) -> None:
    """Write OUTPUT: live and past instances, API errors over time, costs, datasets and the findings of an audit.

    The page works offline. An existing file that this command did not write is overwritten only with FORCE=1. If
    AWS cannot be called, the page is made from the registry alone and says so.

    Exit status: 3 if any part was made without AWS.
    """
    from ec2lab.events.report import ReportWritten
    from ec2lab.output_file import OutputFile
    from ec2lab.progress import working
    from ec2lab.report.data import facts
    from ec2lab.report.events import events
    from ec2lab.report.html import GENERATOR, report_html
    from ec2lab.report.view_model import page
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    file = OutputFile(Path(out or "report.html"), "OUTPUT", GENERATOR, force=force)
    file.check()
    with open_session("report") as session:
        with working("making the report"):
            found = facts(session)
            made = page(found)
            text = report_html(made)
        place = file.write(text)
        if as_json:
            console.emit(*events(made))
        console.hint(found.banner)
        size = round(len(text.encode()) / 1024, 1)
        console.emit(ReportWritten(path=str(place), records=found.records, size_kib=size))
        for what, why in found.unavailable.items():
            console.hint(f"  {what}: from the registry alone, {why}")
    exit_if_incomplete(found.unavailable)


if __name__ == "__main__":
    run(app)
