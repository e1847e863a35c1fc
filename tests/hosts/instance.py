"""A launched instance of the local cloud that is a real host, and the user who may log in to it."""

from typing import NamedTuple

from tests.hosts.host import QUICK, Host
from tests.hosts.noise import BANNER, for_terminals, make_noisy
from tests.lab_directory import LabDirectory

LOG, ENDED = "/var/lib/ec2-lab/instance/log", "/var/lib/ec2-lab/instance/ended.json"


class Running(NamedTuple):
    """An experiment whose command runs on a real host."""

    lab: LabDirectory
    host: Host
    variables: dict[str, str]
    """Those of who logs in."""
    instance: str
    region: str

    def prints(self, text: str) -> None:
        """Let there be a log, with this in it."""
        self.host.write(LOG, text)

    def ends(self, code: int) -> None:
        """Let the command have ended."""
        self.host.write(ENDED, f'{{"exit_code": {code}, "at": "2026-11-24T10:00:00Z"}}')


def be_the_instance(cloud, lab, host, member, key):
    """Let a host be the instance of a launched experiment, with its host key on the console and a member's account."""
    variables = let_in(lab, host, member, key)
    (instance,) = lab.status()
    appear(cloud, lab, host, instance["id"], instance["region"])
    return variables, instance["id"], instance["region"]


def appear(cloud, lab, host, instance, region):
    """Let a host be an instance, with its host key on the console."""
    key_line = host.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
    console = f"-----BEGIN SSH HOST KEY KEYS-----\n{key_line}\n-----END SSH HOST KEY KEYS-----\nlogin: "
    cloud.host(instance, region, "127.0.0.1", console)


def let_in(lab, host, member, key, shell="/bin/bash"):
    """Give a member an account on a host; return the variables of who logs in as that member.

    The user's own ssh configuration says at which port it listens, and which key opens it. That and the start-up files
    of the account's shell are as unfit for programs as they come.
    """
    host.accounts({"members": {member: {"keys": [key.line], "sudo": "nopasswd", "shell": shell}}})
    make_noisy(host, shell, BANNER)
    home = lab.path.parent / "home"
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    (home / ".ssh/config").write_text(
        f"Match host 127.0.0.1\n  Port {host.port}\n  IdentityFile {key.file}\n  {QUICK}\n  ConnectionAttempts 5\n"
        f"{for_terminals(home)}"
    )
    lab.write(f"members/{member}.toml", f'keys = ["{key.line}"]\n')
    return {"HOME": str(home), "MEMBER": member}


def reach_elsewhere(lab, name, port):
    """Let the user's own configuration lead to another port for one instance."""
    config = lab.path.parent / "home/.ssh/config"
    config.write_text(f"Match originalhost {name}\n  Port {port}\n{config.read_text()}")
