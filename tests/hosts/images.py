"""What images of EC2 bring along that the lab's programs meet: their directives, laid on a Debian of a like age.

None of it is a copy. Each file holds those of the directives that the distribution sets which decide on accounts, sudo
and sshd; docs/images.md names where each distribution has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.hosts.host import Host

SSHD, DROP_INS = "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d"
CLOUD_USERS = "/etc/sudoers.d/90-cloud-init-users"
CONNECT = "/opt/aws/bin/eic_run_authorized_keys"
"""EC2 Instance Connect's: it prints the keys that AWS was given for a user in the last minute."""

RED_HAT = {
    SSHD: f"Include {DROP_INS}/*.conf\nAuthorizedKeysFile .ssh/authorized_keys\nSubsystem sftp internal-sftp\n",
    f"{DROP_INS}/50-redhat.conf": (
        "SyslogFacility AUTHPRIV\nChallengeResponseAuthentication no\nGSSAPIAuthentication yes\n"
        "GSSAPICleanupCredentials no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\n"
        "Include /etc/crypto-policies/back-ends/opensshserver.config\n"
    ),
    "/etc/crypto-policies/back-ends/opensshserver.config": (
        "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-gcm@openssh.com\n"
        "KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256\nMACs hmac-sha2-256-etm@openssh.com\n"
    ),
    "/etc/login.defs": (
        "UMASK 022\nHOME_MODE 0700\nPASS_MAX_DAYS 99999\nUID_MIN 1000\nUID_MAX 60000\n"
        "SYS_UID_MIN 201\nSYS_UID_MAX 999\nGID_MIN 1000\nGID_MAX 60000\nSYS_GID_MIN 201\nSYS_GID_MAX 999\n"
        "CREATE_HOME yes\nUSERGROUPS_ENAB yes\nENCRYPT_METHOD SHA512\n"
    ),
    "/etc/default/useradd": (
        "GROUP=100\nHOME=/home\nINACTIVE=-1\nEXPIRE=\nSHELL=/bin/bash\nSKEL=/etc/skel\nCREATE_MAIL_SPOOL=yes\n"
    ),
    "/etc/sudoers": (
        "Defaults !visiblepw\nDefaults always_set_home\nDefaults env_reset\n"
        "Defaults secure_path = /sbin:/bin:/usr/sbin:/usr/bin\n"
        "root ALL=(ALL) ALL\n%wheel ALL=(ALL) ALL\n#includedir /etc/sudoers.d\n"
    ),
}
"""RHEL's, and with it Rocky's and, but for the crypto policies' contents, Amazon Linux's."""
UBUNTU = {
    SSHD: (
        f"Include {DROP_INS}/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\n"
        "AcceptEnv LANG LC_*\nSubsystem sftp internal-sftp\n"
    ),
    f"{DROP_INS}/60-cloudimg-settings.conf": "PasswordAuthentication no\n",
    "/etc/login.defs": (
        "UMASK 022\nHOME_MODE 0750\nPASS_MAX_DAYS 99999\nUID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n"
        "USERGROUPS_ENAB yes\nENCRYPT_METHOD YESCRYPT\n"
    ),
    "/etc/sudoers": (
        "Defaults env_reset\nDefaults mail_badpass\nDefaults use_pty\n"
        'Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"\n'
        "root ALL=(ALL:ALL) ALL\n%admin ALL=(ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"
    ),
}


@dataclass(frozen=True)
class Image:
    """An image: its default user, and what of it is laid on which Debian."""

    user: str
    release: str
    home_mode: str
    administrators: str = "sudo"
    """The group that /etc/sudoers has a rule for."""
    files: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)

    def lay_on(self, host: Host) -> None:
        """Make a host be so, before its sshd starts."""
        for path, text in self.files.items():
            host.write(path, text, mode=0o440 if "sudoers" in path else 0o644)
        for path, text in self.programs.items():
            host.write(path, text, mode=0o755)
        if self.administrators != "sudo":
            host.run("groupdel", "sudo")
            host.run("groupadd", "--system", self.administrators)
        # As cloud-init makes it, without a key, as none is named at the launch.
        host.run("useradd", "--create-home", "--shell", "/bin/bash", "--groups", self.administrators, self.user)
        host.run("passwd", "--lock", self.user)
        host.write(CLOUD_USERS, f"{self.user} ALL=(ALL) NOPASSWD:ALL\n", mode=0o440)


IMAGES = {
    "Debian 13": Image("admin", "trixie", "700"),
    "Ubuntu 22.04, 24.04": Image("ubuntu", "bookworm", "750", files=UBUNTU),
    "Amazon Linux 2023": Image(
        "ec2-user", "bullseye", "700", "wheel",
        RED_HAT | {
            SSHD: RED_HAT[SSHD] + f"AuthorizedKeysCommand {CONNECT} %u %f\nAuthorizedKeysCommandUser nobody\n",
        },
        {CONNECT: "#!/bin/sh\nexit 0\n"},
    ),
    "Rocky 9": Image(
        "rocky", "bullseye", "700", "wheel",
        RED_HAT | {"/etc/sudoers": RED_HAT["/etc/sudoers"] + "rocky ALL=(ALL) NOPASSWD: ALL\n"},
    ),
}  # fmt: skip
"""By the names that docs/images.md has for them. Python 3.9 is that of Amazon Linux 2023 and of Rocky 9."""
