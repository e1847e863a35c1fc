"""The experiment's command, run on the instance once its data is mounted."""

from __future__ import annotations

from ec2lab.config.models import Experiment
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, write_files
from ec2lab.runs.command import ACCOUNT, DEADLINE, PULL, command_files, container_files, delivery_deadline


class Command(LaunchPart):
    """A systemd unit that runs the command under its own account, and one that writes its log."""

    name = "command"
    order = 90

    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return the command's files and start; an empty fragment without a command.

        If something is uploaded over ssh anyway, everything but the account and the pull of its container is uploaded
        with it.
        """
        if site.experiment.command is None:
            return LaunchFragment()
        experiment = site.experiment
        own = delivery_deadline(experiment) if experiment.needs_code_upload else command_files(site.name, experiment)
        files = {**container_files(experiment), **own}
        account = {"name": ACCOUNT, "groups": ["docker"], "shell": "/bin/bash", "lock_passwd": True}
        return LaunchFragment(
            cloud_init={
                "users": [account],
                "write_files": write_files(files),
                "runcmd": _begin(site.experiment),
            }
        )


def _begin(experiment: Experiment) -> list[list[str]]:
    """Return what starts the command, unless it waits for an upload. cloud-init does not wait for its end."""
    # Fails now, and not after hours of work.
    begin = [["aws", "--version"]] if experiment.artifact_uri else []
    if experiment.container:
        begin += [["systemctl", "--no-reload", "enable", "--now", "--no-block", PULL]]
    if not experiment.needs_code_upload:
        begin += [["systemctl", "--no-reload", "enable", "--now", "--no-block", "experiment.service"]]
    elif experiment.secrets:
        begin += [["systemctl", "--no-reload", "enable", "--now", DEADLINE]]
    return begin
