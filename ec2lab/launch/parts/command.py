"""The experiment's own command, run on the instance once its data is there."""

from __future__ import annotations

from ec2lab.config.models import Experiment
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart
from ec2lab.runs.command import ACCOUNT, command_files


class Command(LaunchPart):
    """A systemd unit that runs the command under an account of its own, and one that writes its log."""

    name = "command"
    order = 90

    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return what the command needs and what starts it; nothing where the experiment has no command.

        Where something is delivered over ssh anyway, all of it is but the account.
        """
        if site.experiment.command is None:
            return LaunchFragment()
        files = {} if site.experiment.needs_code_upload else command_files(site.name, site.experiment)
        account = {"name": ACCOUNT, "groups": ["docker"], "shell": "/bin/bash", "lock_passwd": True}
        return LaunchFragment(
            cloud_init={
                "users": [account],
                "write_files": [
                    {"path": path, "permissions": mode, "content": content} for path, (mode, content) in files.items()
                ],
                "runcmd": _begin(site.experiment),
            }
        )


def _begin(experiment: Experiment) -> list[list[str]]:
    """Return what starts the command, unless it waits for what is brought; cloud-init does not wait for its end."""
    # Seen now, and not when hours of work are to be told of.
    begin = [["aws", "--version"]] if experiment.artifact_uri else []
    if not experiment.needs_code_upload:
        begin += [["systemctl", "--no-reload", "enable", "--now", "--no-block", "experiment.service"]]
    return begin
