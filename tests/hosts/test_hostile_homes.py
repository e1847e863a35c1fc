"""What a user lays in the home leads the programs, which run as root, nowhere."""

import pytest

from ec2lab.templates import TEMPLATES

SECRETS = ("/etc/gshadow", "/root/.ssh/authorized_keys")


@pytest.fixture
def document(alice_key):
    return {"members": {"alice": {"keys": [alice_key.line]}}}


@pytest.fixture
def guarded(host_with_sshd, document, bob_key):
    """An instance with alice on it, and root's own keys."""
    host_with_sshd.accounts(document)
    host_with_sshd.run("install", "-d", "-m", "700", "/root/.ssh", "/root/secret")
    host_with_sshd.write("/root/.ssh/authorized_keys", bob_key.line + "\n", mode=0o600)
    return host_with_sshd


def guarded_state(host):
    listed = host.run("sh", "-ec", "stat -c '%n %a %u %h' /etc/gshadow; ls -lanR --time-style=full-iso /root").stdout
    return listed, [host.path(secret).read_bytes() for secret in SECRETS]


LINKS = [f"rm .ssh/authorized_keys; ln -s {secret} .ssh/authorized_keys" for secret in SECRETS] + [
    "rm .ssh/authorized_keys; ln -s /root/secret/new .ssh/authorized_keys",
    "mv .ssh/authorized_keys mine; ln -s ../mine .ssh/authorized_keys",
    "rm -r .ssh; ln -s /root/.ssh .ssh",
    "rm -r .ssh; ln -s /nowhere .ssh",
    "rm .ssh/authorized_keys; mkfifo .ssh/authorized_keys",
    "echo '#' >> .ssh/authorized_keys; ln -s /root/secret/new .ssh/.authorized_keys.new",
    "ln -s /root/.ssh/authorized_keys .ssh/authorized_keys2",
]


@pytest.mark.parametrize("trap", LINKS)
def test_links_and_pipes_are_replaced_and_never_followed_also_when_the_member_leaves(
    guarded, document, alice_key, trap
):
    guarded.as_user("alice", f"cd ~alice; {trap}")
    before = guarded_state(guarded)
    told = guarded.accounts(document)
    assert told.summary["problems"] == 0
    assert guarded_state(guarded) == before
    assert not guarded.path("/home/alice/.ssh/authorized_keys").is_symlink()
    assert guarded.path("/home/alice/.ssh/authorized_keys").read_text() == f"{alice_key.line}\n"
    assert guarded.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"

    guarded.as_user("alice", f"cd ~alice; {trap}")
    told = guarded.accounts({"members": {}})
    assert told.summary["problems"] == 0
    assert guarded_state(guarded) == before
    assert not guarded.path("/home/alice/.ssh/authorized_keys").is_symlink()
    assert guarded.accounts({"members": {}}).summary == {"changed": 0, "problems": 0}


def test_a_hard_link_is_let_go_and_what_it_leads_to_left_alone(guarded, document):
    guarded.run("sh", "-ec", "rm /home/alice/.ssh/authorized_keys; echo x > /home/theirs; chmod 600 /home/theirs")
    guarded.run("ln", "/home/theirs", "/home/alice/.ssh/authorized_keys")  # as protected_hardlinks = 0 would let alice
    before = guarded.run("stat", "-c", "%a %U", "/home/theirs").stdout
    assert guarded.accounts(document).summary["problems"] == 0
    assert guarded.run("stat", "-c", "%a %U", "/home/theirs").stdout == before
    assert guarded.path("/home/theirs").read_text() == "x\n"


def test_a_directory_in_the_way_of_the_keys_is_a_problem_and_not_deleted(guarded, document):
    guarded.as_user("alice", "cd ~alice/.ssh; rm authorized_keys; mkdir authorized_keys; touch authorized_keys/mine")
    told = guarded.accounts(document)
    assert "authorized_keys" in told.detail("alice", "problem")
    assert guarded.path("/home/alice/.ssh/authorized_keys/mine").exists()


def test_python_and_the_aws_cli_take_nothing_from_the_home_that_systemd_names(guarded):
    """As it does for what runs as root after the command of a unit with User=."""
    version = guarded.run("python3", "-c", "import sys; print(*sys.version_info[:2], sep='.')").stdout.strip()
    site = f"/home/alice/.local/lib/python{version}/site-packages"
    guarded.as_user("alice", f"mkdir -p {site}; echo 'import os; os.mkdir(\"/root/taken\")' > {site}/trap.pth")
    assert guarded.run("python3", "-c", "", HOME="/home/alice").returncode == 0
    assert guarded.path("/root/taken").exists(), "the trap works"
    guarded.path("/root/taken").rmdir()
    programs = [path for path in TEMPLATES.glob("*.py") if path.read_text().startswith("#!")]
    assert len(programs) > 5
    for path in programs:
        guarded.write(f"/opt/ec2-lab/{path.stem}", path.read_text(), mode=0o755)
        guarded.run("timeout", "5", f"/opt/ec2-lab/{path.stem}", check=False, HOME="/home/alice")  # some wait for long
        assert not guarded.path("/root/taken").exists(), path.name


@pytest.mark.parametrize("trap", ["mkfifo", "truncate -s 1T", "ln -s /dev/zero"])
def test_a_key_file_without_an_end_keeps_nobody_waiting(guarded, bob_key, trap):
    guarded.as_user("alice", f"cd ~alice/.ssh; rm authorized_keys; {trap} authorized_keys")
    guarded.accounts({"members": {"bob": {"keys": [bob_key.line]}}, "only": ["bob"]})
    assert guarded.harden("apply").of(None)[0].startswith("applied")
