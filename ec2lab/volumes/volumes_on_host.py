"""What the program on an instance does with volumes, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ec2lab.errors import UserError
from ec2lab.hosts.call_failures import Failed
from ec2lab.hosts.program_packer import with_modules
from ec2lab.hosts.protocol import said
from ec2lab.hosts.ssh import Host
from ec2lab.registry.shapes import LINE, YES_OR_NO, members
from ec2lab.volumes.spec import VolumeSpec

PROGRAM = ("volumes-over-ssh.py", "mount-volumes.py")
NOT_MOUNTED = members(mount=LINE, in_use=YES_OR_NO, others="ignore")
UNMOUNTED = members(unmounted=LINE, disk=LINE, others="ignore")
LONGEST_MOUNT = 3600.0
"""Seconds: a file system that was not left in order is put in order first."""
TROUBLE = ("NOT MOUNTED: ", "PROBLEM: ")


class NotDone(UserError):
    """The instance refused, and says why."""

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        self.answer = answer
        """The last line of JSON that it printed; empty where it printed none."""


@dataclass(frozen=True, slots=True)
class VolumesOnHost:
    """The volumes of an instance, as the instance sees them. `say` hears each step."""

    host: Host
    say: Callable[[str], None]

    def mount(self, document: VolumeSpec) -> None:
        """Mount a volume, now and at every boot. Raises NotDone, Unreachable."""
        self._do("add", document)

    def unmount(self, document: VolumeSpec) -> None:
        """Unmount a volume, if nothing uses it, and prove that nothing has its disk. Raises NotDone, Unreachable."""
        answer = self._do("unmount", document)
        proof = said(answer, UNMOUNTED, self.host.name)
        if proof["unmounted"] != document.mount:
            raise UserError(f"{self.host.name}: does not say that {document.mount or document.volume} is unmounted")

    def is_left_alone(self, refusal: BaseException) -> bool:
        """Say whether an instance that could not mount a volume says that nothing there uses its disk."""
        if not isinstance(refusal, NotDone) or not refusal.answer:
            return False
        return not said(refusal.answer, NOT_MOUNTED, self.host.name)["in_use"]

    def _do(self, what: str, document: VolumeSpec) -> str:
        """Run the program, and return the last line of JSON that it printed."""
        answers, trouble = [""], []

        def heard(line: str) -> None:
            text = line.removeprefix("ec2-lab: ")
            if line.startswith("{"):
                answers.append(line)
            elif text.startswith(TROUBLE):
                trouble.append(text)
            else:
                self.say(text)

        program, given = with_modules(*PROGRAM), document.as_json().encode()
        try:
            self.host.run_as_root(program, what, "-", given=given, heard=heard, within=LONGEST_MOUNT)
        except Failed as failure:
            if not trouble:
                raise
            raise NotDone(f"{self.host.name}: {_in_words(trouble[-1])}", answers[-1]) from failure
        for text in trouble:
            self.say(_in_words(text))
        return answers[-1]


def _in_words(text: str) -> str:
    mount, _, why = text.removeprefix("NOT MOUNTED: ").partition(": ")
    return f"{mount} is not mounted: {why}" if text.startswith("NOT MOUNTED: ") else text.removeprefix("PROBLEM: ")


def describing() -> str:
    """Return the program that tells of what is mounted, when it is told to `describe`."""
    return with_modules(*PROGRAM)
