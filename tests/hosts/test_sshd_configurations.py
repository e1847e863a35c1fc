"""What sshd-hardening reads out of configurations: no machine is needed."""

import pytest

from tests.hosts.program import program

hardening = program("sshd-hardening")


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", True),
        ("# Include\n\n  include sshd_config.d/*.conf # ours\n", True),
        ('Include="/etc/ssh/sshd_config.d/*.conf"\n', True),
        (f"{hardening.INCLUDE}Port 22\n", True),
        ("Port 22\nInclude /etc/ssh/sshd_config.d/*.conf\n", False),
        ("Include /etc/ssh/others/*.conf\nInclude /etc/ssh/sshd_config.d/*.conf\n", False),
        ("#Include /etc/ssh/sshd_config.d/*.conf\n", False),
        ("Include\n", False),
        ("", False),
    ],
)
def test_whether_drop_ins_are_read_before_anything_else(config, first):
    assert hardening.reads_drop_in_first(config) is first


def test_every_setting_that_sshd_lists_otherwise_is_named():
    obeyed = "".join(f"{keyword.lower()} {value}\n" for keyword, value in hardening.SETTINGS.items())
    assert hardening.disobeyed(obeyed) == []
    assert hardening.disobeyed(obeyed.replace("permitrootlogin no", "permitrootlogin without-password")) == [
        "permitrootlogin without-password"
    ]
    older = obeyed.replace("challengeresponseauthentication no\n", "")  # gone from sshd -T since OpenSSH 8.7
    assert hardening.disobeyed(older) == []
