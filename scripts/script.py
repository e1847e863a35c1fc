"""Run a plugin's script, or list them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, option, script

app = script(__doc__)
ScriptName = Annotated[str, option("SCRIPT", "The script. Default: list all.")]


@app.command(name="script")
def run_plugin_script(name: ScriptName = "", as_json: AsJson = False) -> None:
    """Run the plugin script SCRIPT (docs/plugins.md); without SCRIPT, list them.

    A script reads its options from the environment: `make script SCRIPT=who-runs EXP=foo`.
    """
    from ec2lab.events.lab import ScriptInfo
    from ec2lab.plugins import Plugins, PluginScript
    from ec2lab.validators import did_you_mean

    console, known = Console(as_json=as_json), Plugins(Path("plugins")).named("lab_scripts", PluginScript)
    if not name:
        if not known:
            console.hint("no plugin defines a script: docs/plugins.md explains how to write one")
        for found in known.values():
            console.emit(ScriptInfo(name=found.name, summary=found.summary))
    elif name in known:
        known[name].run()
    else:
        there = f" (there is {', '.join(known)})" if known else " (no plugin defines one)"
        raise UserError(f"SCRIPT: no plugin defines {name!r}{did_you_mean(name, known) or there}")


if __name__ == "__main__":
    run(app)
