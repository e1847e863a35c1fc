"""What sshd-hardening reads out of configurations: no instance is needed."""

import pytest

from tests.hosts.program import program

hardening = program("sshd-hardening")
OURS, OTHERS = "00-ec2-lab.conf", "00-a-image.conf"


@pytest.fixture
def etc_ssh(tmp_path, monkeypatch):
    """A directory that stands for /etc/ssh."""
    monkeypatch.setattr(hardening, "MAIN", tmp_path / "sshd_config")
    monkeypatch.setattr(hardening, "DROP_IN", tmp_path / "sshd_config.d" / OURS)
    (tmp_path / "sshd_config.d").mkdir()
    (tmp_path / "sshd_config.d" / OURS).write_text(hardening.CONTENT)
    return tmp_path


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ("Include {}/sshd_config.d/*.conf\nUsePAM yes\n", True),
        ("# Include\n\n  include sshd_config.d/*.conf # ours\n", True),
        ('Include="{}/sshd_config.d/*.conf"\n', True),
        ("Include {}/others/*.conf sshd_config.d/*.conf\nPasswordAuthentication yes\n", True),
        ("Include nested.conf\nPasswordAuthentication yes\n", True),
        ("Include sshd_config.d/00-ec2-lab.conf\nPort 22\n", True),
        ("Port 22\nUsePAM yes\nInclude {}/sshd_config.d/*.conf\n", True),
        ("Match all\nInclude sshd_config.d/*.conf\n", True),
        ("PasswordAuthentication yes\nInclude {}/sshd_config.d/*.conf\n", False),
        ("Match User alice\nInclude sshd_config.d/*.conf\n", False),
        ("Include sshd_config.d/9*.conf\n", False),
        ("Include loop.conf\n", False),
        ("#Include {}/sshd_config.d/*.conf\n", False),
        ("Include\n", False),
        ("", False),
    ],
)
def test_whether_our_drop_in_is_read_before_anything_else_that_it_sets(etc_ssh, config, first):
    (etc_ssh / "sshd_config").write_text(config.format(etc_ssh))
    (etc_ssh / "nested.conf").write_text("Include sshd_config.d/*.conf\n")
    (etc_ssh / "loop.conf").write_text("Include loop.conf\n")
    assert hardening.is_read_first(hardening.directives()) is first


@pytest.mark.parametrize(("setting", "first"), [("Port 2222", True), ("passwordauthentication = yes", False)])
def test_a_drop_in_that_is_read_before_ours_matters_only_where_it_sets_the_same(etc_ssh, setting, first):
    (etc_ssh / "sshd_config").write_text("Include sshd_config.d/*.conf\n")
    (etc_ssh / "sshd_config.d" / OTHERS).write_text(f"# the image's\n{setting}\n")
    assert hardening.is_read_first(hardening.directives()) is first
    keyword = setting.split()[0]
    assert hardening.places_of(keyword).split(", ")[0] == f"{etc_ssh}/sshd_config.d/{OTHERS}:2"


def test_every_setting_that_sshd_lists_otherwise_is_named():
    obeyed = "".join(f"{keyword.lower()} {value}\n" for keyword, value in hardening.SETTINGS.items())

    def disobeyed(listed):
        return hardening.disobeyed(hardening.settings_in(listed))

    assert disobeyed(obeyed) == []
    assert disobeyed(obeyed.replace("permitrootlogin no", "permitrootlogin without-password")) == [
        "permitrootlogin without-password"
    ]
    older = obeyed.replace("challengeresponseauthentication no\n", "")  # gone from sshd -T since OpenSSH 8.7
    assert disobeyed(older) == []
    assert disobeyed(f"{obeyed}authenticationmethods publickey publickey,password\n") == []
    assert disobeyed(f"{obeyed}authenticationmethods publickey,password\n") == [
        "authenticationmethods publickey,password"
    ]


@pytest.mark.parametrize(
    ("pattern", "addr", "host", "matches"),
    [
        ("alice", "10.0.0.7", "ten.example.com", True),
        ("al*", "10.0.0.7", "", True),
        ("a?ice", "10.0.0.7", "", True),
        ("ali", "10.0.0.7", "", False),
        ("a[l]ice", "10.0.0.7", "", False),
        ("alice@10.0.0.0/8", "10.0.0.7", "", True),
        ("alice@10.0.0.0/8", "11.0.0.7", "", False),
        ("alice@10.0.*", "10.0.0.7", "", True),
        ("alice@fd00::/8", "fd00::1", "", True),
        ("*@*.Example.com", "10.0.0.7", "ten.example.com", True),
        ("bob@10.0.0.0/8", "10.0.0.7", "", False),
    ],
)
def test_patterns_of_users_fit_as_sshd_takes_them(pattern, addr, host, matches):
    assert hardening.user_matches(pattern, "alice", hardening.Place(addr, host)) is matches
