"""Instances that publish their own end to the lab's SNS topic, so that people hear of it when nobody watches."""

from __future__ import annotations

import json

from ec2lab.config.models import Experiment
from ec2lab.hosts.program_packer import sent
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, write_files
from ec2lab.resources.topic import topic_arn
from ec2lab.session import Session

PROGRAM, SETTINGS = "/opt/ec2-lab/notify-end", "/opt/ec2-lab/notify.json"
DROP_INS = {
    "/etc/systemd/system/experiment.service.d/notify.conf": f"[Service]\nExecStopPost=-+{PROGRAM} command\n",
    "/etc/systemd/system/ec2-lab-power-off@.service.d/notify.conf": f"[Service]\nExecStartPre=-{PROGRAM} %i\n",
}
"""By path, what the units of a command and of a power-off run in addition. A failure changes nothing ("-")."""


def topic_of(session: Session) -> str | None:
    """Return the ARN of the topic that lab.toml names, or that `make setup-aws` creates for its e-mail addresses."""
    settings = session.lab.notify
    return settings.topic or (topic_arn(session.cloud, session.lab.name) if settings.email else None)


def publishes_its_end(session: Session, experiment: Experiment) -> bool:
    """Return whether instances of an experiment publish their end: they need credentials of their own for it."""
    settings = session.lab.notify
    has_topic = settings.topic is not None or bool(settings.email)
    return has_topic and experiment.instance_profile is not None and "command-exited" in settings.events


def notification_files(topic: str, lab: str, experiment: str) -> dict[str, tuple[str, str]]:
    settings = {"topic": topic, "lab": lab, "experiment": experiment}
    files = {SETTINGS: ("0644", json.dumps(settings)), PROGRAM: ("0755", sent("notify-end.py"))}
    return files | {path: ("0644", text) for path, text in DROP_INS.items()}


class Notifications(LaunchPart):
    name = "notifications"
    order = 18

    def share(self, site: LaunchContext) -> LaunchFragment:
        if not publishes_its_end(site.session, site.experiment):
            return LaunchFragment()
        files = notification_files(str(topic_of(site.session)), site.session.lab.name, site.name)
        return LaunchFragment(cloud_init={"write_files": write_files(files)})
