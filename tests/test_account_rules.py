"""What a login name and a public key may be: one rule for user-add, for the files and for the program on the host."""

import ast
import base64
import json
import os
import re
import subprocess
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ec2lab.config.models import Member
from ec2lab.config.public_key import KEY_FIELDS, public_key
from ec2lab.hosts.program_packer import program as program_text
from ec2lab.login_names import IMAGE_USERS, SYSTEM_NAMES, valid_login
from tests.hosts.program import program

accounts = program("accounts")
BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 32
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"
NBSP, ZERO_WIDTH, OVERRIDE, BOM, ROCKET = "\u00a0", "\u200b", "\u202e", "\ufeff", "\U0001f680"
ODD = st.sampled_from(
    [*"\t \n\r\x1b\x00\x7f\x85\u2028", NBSP, ZERO_WIDTH, OVERRIDE, BOM, ROCKET, "\ud83d", "\ufffe", "é"]
)
TEXT = st.text(st.characters() | ODD, max_size=12)
KEY_TEXT = st.builds(lambda a, b, c: f"{a}{KEY.replace(' ', b)}{c}", TEXT, ODD | st.just(" "), TEXT) | TEXT


def host_takes(name, entry):
    return accounts.read_document(json.dumps({"members": {name: entry}}), secrets=True).members.get(name)


@given(KEY_TEXT)
@example(f"{KEY} {ROCKET} alice{NBSP}b{ZERO_WIDTH}{OVERRIDE}")
@example(f"{BOM}{KEY.replace(' ', NBSP)} e\u0301")
def test_a_key_is_refused_everywhere_or_the_same_clean_line_everywhere(text):
    try:
        key = public_key(text)
    except ValueError as problem:
        assert not host_takes("alice", {"keys": [text]})
        with pytest.raises(ValueError, match=re.escape(str(problem))):
            Member(keys=[text])
        return
    assert Member(keys=[text]).keys == [key] == list(host_takes("alice", {"keys": [text]}).keys)
    assert public_key(key) == key
    assert key.startswith(KEY)
    assert key.encode().decode() == key
    assert len(key.splitlines()) == 1


@given(st.text(max_size=40) | st.from_regex(r"\A[a-zA-Z0-9_.$-]{1,36}\Z") | st.sampled_from(sorted(SYSTEM_NAMES)))
def test_a_name_is_taken_everywhere_or_nowhere(name):
    try:
        valid_login(name)
    except ValueError:
        assert not host_takes(name, {})
    else:
        assert host_takes(name, {})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Alice", "it has a capital A"),
        ("first last", "it has ' ' (U+0020)"),
        ("a$", "it has '$' (U+0024)"),
        ("josé", "it has 'é' (U+00E9)"),
        (f"a{ZERO_WIDTH}b", r"it has '\u200b' (U+200B)"),
        ("-x", "it begins with '-', not a letter"),
        ("1234", "it begins with '1', not a letter"),
        (".a", "it begins with '.', not a letter"),
        ("a.", "it ends with '.'"),
        ("a" * 33, "has 33 characters; 32 is the most"),
        *((name, "images have an account or a group of that name") for name in ("root", "daemon", "sshd", "ubuntu")),
    ],
)
def test_why_a_name_is_none_is_said(name, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        valid_login(name)


@pytest.mark.parametrize("name", ["a", "first.last", "a-b_c.d", "_svc", "x" * 32])
def test_names_as_people_have_them_are_taken(name):
    assert valid_login(name) == name


def test_reserved_names_could_be_login_names_otherwise():
    """Or the rule refuses them already, and the list says nothing."""
    assert all(re.fullmatch(accounts.LOGIN, name) for name in IMAGE_USERS | SYSTEM_NAMES)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"])
def test_what_ssh_keygen_makes_is_taken(tmp_path, kind):
    name, _, bits = kind.partition("-")
    made = ["ssh-keygen", "-q", "-t", name, "-N", "", "-C", f"{ROCKET} a b", "-f", tmp_path / "key"]
    subprocess.run([*made, *(["-b", bits] if bits else [])], check=True)
    line = (tmp_path / "key.pub").read_text()
    assert public_key(line) == line.strip()


def packed(*fields):
    return base64.b64encode(b"".join(len(field).to_bytes(4) + field for field in fields)).decode()


def test_what_is_taken_ssh_keygen_reads(tmp_path):
    """Of types that need a token to be made."""
    keys = {
        "sk-ssh-ed25519@openssh.com": packed(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
        "ssh-ed25519": packed(b"ssh-ed25519", b"k" * 32),
    }
    file = tmp_path / "keys"
    file.write_text("".join(f"{public_key(f'{kind} {body} {ROCKET}')}\n" for kind, body in keys.items()))
    listed = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True).stdout
    assert listed.count("SHA256:") == len(keys)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (KEY[:-4], "is not a whole ssh-ed25519 key"),
        (f"ssh-ed25519 {packed(b'ssh-ed25519', b'k' * 31)}", "is not a whole ssh-ed25519 key"),
        (f"ssh-ed25519 {packed(b'ssh-ed25519', b'k' * 32, b'x')}", "is not a whole ssh-ed25519 key"),
        (f"ssh-rsa {packed(b'ssh-ed25519', b'k' * 32)}", "its base64 is of another type"),
        (f"ssh-rsa {packed(b'ssh-rsa', b'3', b'n' * 128)}", "is an RSA key of 1023 bits, which is too weak"),
        (f"ssh-rsa {packed(b'ssh-rsa', b'3', b'n' * 2100)}", "more than OpenSSH accepts"),
        (f"ssh-dss {packed(b'ssh-dss', b'k')}", "is a DSA key"),
        (f"ssh-ed25519-cert-v01@openssh.com {packed(b'x')}", "is a certificate, not a key"),
        (f'command="reboot" {KEY}', "has text in front of the key"),
        (f"host.example {KEY}", "has text in front of the key"),
        ("ssh-ed25519", "is ssh-ed25519 alone"),
        (f"{KEY} a\n{KEY} b", "is of several lines"),
        (f"{KEY} \x1b[2J", "holds the control character U+001B"),
        (f"{KEY} \ud83d", "holds the control character U+D83D"),
        (f"{KEY} {'c' * 201}", "has a comment of 201 characters"),
        ("", "is not a public key"),
    ],
)  # fmt: skip
def test_why_a_text_is_no_key_is_said(text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        public_key(text)


def test_the_program_goes_with_each_rule_once_and_imports_nothing_of_the_labs():
    source = program_text("accounts.py")
    tree = ast.parse(source, feature_version=(3, 9))
    assert "ec2lab." not in {str(node.module)[:7] for node in tree.body if isinstance(node, ast.ImportFrom)}
    defined = Counter(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    defined.update(
        target.id
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    )  # fmt: skip
    assert [name for name, times in defined.items() if times > 1] == []
    assert {"public_key", "valid_login"} <= defined.keys()


def test_the_program_that_is_sent_has_the_rules_of_the_lab(tmp_path):
    """It runs by itself, as it does on a host, and refuses what is refused here."""
    file = tmp_path / "accounts"
    file.write_text(f"{program_text('accounts.py')}")
    document = {"members": {"Eve": {}, "first.last": {"keys": [f"{KEY} {ROCKET}", f"no-pty {KEY}"]}}}
    code = (
        "import runpy, sys, json; p = runpy.run_path(sys.argv[1]);"
        "print(json.dumps(p['read_document'](sys.stdin.read(), secrets=True).refused))"
    )
    done = subprocess.run(
        ["python3", "-I", "-c", code, file], input=json.dumps(document), capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    refused = json.loads(done.stdout)
    assert "capital E" in refused["Eve"]
    assert (
        refused["first.last"]
        == "a key has text in front of the key: options and host names are not supported; begin with the type"
    )


def test_every_type_is_one_that_openssh_has():
    known = subprocess.run(["ssh", "-Q", "key-plain"], capture_output=True, text=True, check=True).stdout.split()
    assert set(KEY_FIELDS) <= set(known)
