"""Keys as people have them, and what becomes of them in members/."""

import subprocess
import tomllib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config import toml_files
from ec2lab.config.key_files import ENCODINGS, keys_in
from ec2lab.config.lab_files import add, add_keys, load_members
from ec2lab.config.models import Member
from ec2lab.config.public_key import public_key
from ec2lab.config.toml_files import document_text, toml_text
from ec2lab.errors import UserError
from tests.test_config import KEY

ROCKET = "\U0001f680"
OTHER = KEY.replace("JxR4ST9g", "JxR4ST9h")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(f"\"'\\#\n\r\t\x7f\x85\u2028{ROCKET}]"))


@pytest.fixture
def user_add(lab, tmp_path):
    """Run user-add for bob with a KEY that is of this content."""

    def run(content, name="bob.key", **variables):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return lab.run("user_add", **{"NAME": "bob", "KEY": str(file), "HOME": str(tmp_path), **variables})

    return run


def bob(lab):
    return load_members(lab.path)["bob"].keys


def test_a_key_with_a_comment_of_any_characters_is_written_as_every_command_reads_it(lab, user_add):
    comment = f"{ROCKET}\U0001f469\u200d\U0001f52c \"b\" \\x\\u1F680 \u00a0\u200b\u202ee\u0301 #'''"
    ended = user_add(f"{KEY} {comment}\n")
    assert ended.out.startswith("wrote members/bob.toml")
    assert bob(lab) == [public_key(f"{KEY} {comment}")]
    assert lab.run("plan", EXP="demo").code == 0


@given(st.lists(TEXTS, max_size=3))
def test_whatever_is_written_is_read_back_the_same(texts):
    assert tomllib.loads(document_text({"keys": texts})) == {"keys": texts}
    assert [tomllib.loads(f"x = {toml_text(text)}")["x"] for text in texts] == texts


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_member_file_is_left_that_could_not_be_read(tmp_path_factory, before, after):
    directory = tmp_path_factory.mktemp("lab")
    keys = []
    with suppress(UserError):
        keys = keys_in(f"{KEY} {before}\n{OTHER}{after}\n".encode(errors="surrogatepass"), "KEY")
        add(directory, "bob", keys)
    assert [member.keys for member in load_members(directory).values()] == ([keys] if keys else [])
    assert not [file for file in directory.rglob("*") if file.name.startswith(".")]


WRITTEN = f"""\
# Bob, since May
groups = ["sudo"]   # no docker

keys = [
    # his laptop's
    '{KEY}',   # old
]
shell = '/bin/zsh'
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_key_is_added_to_a_members_file_and_all_else_stays_as_it_was(lab, user_add, line_end):
    written = WRITTEN.replace("\n", line_end)
    file = lab.path / "members/bob.toml"
    file.parent.mkdir()
    file.write_bytes(written.encode("utf-8-sig"))
    file.chmod(0o640)
    assert user_add(KEY).err == ""
    assert file.read_bytes().decode("utf-8-sig") == written, "he has that one"
    assert "wrote members/bob.toml" in user_add(f"{OTHER} {ROCKET}").out
    assert bob(lab) == [KEY, f"{OTHER} {ROCKET}"]
    lines = file.read_bytes().decode().split(line_end)
    assert [line for line in lines if OTHER not in line] == written.split(line_end)
    assert file.stat().st_mode & 0o777 == 0o640


HEAD = st.sampled_from(["", "# a\n", "uid = 4001\n", 'groups = [ "sudo" ] # b\n'])
SPACE = st.sampled_from(["", " ", "\n", "\n  # c\n    ", "  \n\t"])


@given(HEAD, SPACE, SPACE, st.booleans(), SPACE, st.sampled_from(["", "# d", "\nshell = '/bin/zsh'\n[other]\n"]))
def test_a_key_is_added_whatever_the_file_looks_like(head, first, last, comma, more, rest):
    text = f"{head}keys =[{first}'{KEY}'{',' if comma else ''}{last if not more.strip() else more}]{rest}"
    with TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "members/bob.toml"
        path.parent.mkdir()
        path.write_text(text)
        try:
            member = load_members(directory)["bob"]
        except UserError:
            return
        add_keys(directory, "bob", member, [f"{OTHER} {ROCKET}"])
        assert set(load_members(directory)["bob"].keys) == {KEY, f"{OTHER} {ROCKET}"}
        assert all(part.strip() in path.read_text() for part in (head, rest, first, last, more) if part in text)


def test_a_file_that_was_changed_meanwhile_or_would_say_something_else_is_left_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / add(tmp_path, "bob", [KEY])
    member, load = Member(keys=[KEY]), toml_files.load

    def changing(*given, **named):
        path.write_text("shell = 1\n")
        return load(*given, **named)

    monkeypatch.setattr(toml_files, "load", changing)
    with pytest.raises(UserError, match="was changed in the meantime"):
        add_keys(tmp_path, "bob", member, [OTHER])
    assert path.read_text() == "shell = 1\n"
    monkeypatch.setattr(toml_files, "load", load)
    path.write_text(before := f"keys = ['{KEY}']\nuid = 4001\n")
    with pytest.raises(UserError, match="could not be rewritten correctly; edit it by hand"):
        add_keys(tmp_path, "bob", member, [OTHER])
    assert [file.read_text() for file in path.parent.iterdir()] == [before]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "   \n\n# a comment\n").encode(),
        lambda text: text.replace(" ", "\u00a0").encode(),
    ],
    ids=["mark", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "crlf", "cr", "blanks", "nbsp"],
)  # fmt: skip
def test_a_file_with_keys_is_read_whatever_wrote_it(encode):
    assert keys_in(encode(f"{KEY}\n{OTHER} {ROCKET}\n{KEY}\n"), "KEY") == [KEY, f"{OTHER} {ROCKET}"]


def test_a_comment_in_another_encoding_is_no_reason_to_refuse_a_key():
    assert keys_in(f"{KEY} josé".encode("latin-1"), "KEY") == [f"{KEY} jos\ufffd"]


def test_the_keys_of_a_file_beside_are_read_by_the_same_rule(lab, cloud):
    lab.write("members/bob.toml", "")
    (lab.path / "members/bob.pub").write_bytes(f"# of his laptop\r\n{KEY}\r\n".encode("utf-16"))
    lab.write("members/.#bob.toml", "an editor's lock")
    lab.write("experiments/._demo.toml", "a file manager's")
    assert bob(lab) == [KEY]
    assert lab.run("plan", EXP="demo").code == 0
    lab.write("members/bob.pub", f"\n{KEY}\nno-pty {KEY}\n")
    assert lab.run("plan", EXP="demo").error.startswith("error: members/bob.pub:3: has text in front of the key")


def keygen(path, *options):
    subprocess.run(["ssh-keygen", "-q", "-f", path, *options], check=True, capture_output=True)
    return path


PRIVATE = {
    "openssh": ["-t", "ed25519", "-N", ""],
    "locked": ["-t", "ed25519", "-N", "a passphrase", "-a", "1"],
    "pem": ["-t", "ecdsa", "-m", "PEM", "-N", ""],
    "locked-pem": ["-t", "ecdsa", "-m", "PEM", "-N", "a passphrase"],
    "pkcs8": ["-t", "ecdsa", "-m", "PKCS8", "-N", ""],
    "locked-pkcs8": ["-t", "ecdsa", "-m", "PKCS8", "-N", "a passphrase"],
}


@pytest.mark.parametrize("options", PRIVATE.values(), ids=PRIVATE)
def test_a_private_key_is_named_with_the_way_to_its_public_key_and_never_repeated(lab, tmp_path, options, user_add):
    path = keygen(tmp_path / "my key", *options)
    public = path.with_name("my key.pub")
    assert f"KEY: {path}: is a private key (" in (beside := user_add(path.read_bytes(), "my key").error)
    assert f"is next to it: KEY='{public}'" in beside
    made = public.rename(tmp_path / "made").read_text()
    said = user_add(path.read_bytes(), "my key").error
    body = [line for line in path.read_text().splitlines() if len(line) > 8 and "-----" not in line]
    assert not [line for line in body if line[:12] in said + beside]
    assert not list(lab.path.glob("members/*"))
    command = said.partition("`")[2].partition("`")[0]
    if "a passphrase" in options:
        command = command.replace("-y ", "-y -P 'a passphrase' ")
    path.chmod(0o600)
    subprocess.run(["sh", "-c", command], check=True)
    assert public.read_text().split()[:2] == made.split()[:2]


@pytest.fixture(scope="session")
def short_rsa(tmp_path_factory):
    """An RSA key, which is long to make."""
    return keygen(tmp_path_factory.mktemp("rsa") / "k", "-t", "rsa", "-b", "2048", "-N", "")


def test_a_public_key_of_another_form_is_named_with_the_command_that_converts_it(lab, user_add, short_rsa):
    for form, said in {"RFC4716": "SSH2", "PEM": "PKCS #1", "PKCS8": "PKCS #8"}.items():
        exported = ["ssh-keygen", "-e", "-m", form, "-f", short_rsa]
        line = user_add(subprocess.run(exported, capture_output=True, check=True).stdout, "bob.pub").error
        assert said in line
        subprocess.run(["sh", "-c", line.partition("`")[2].partition("`")[0]], check=True)
        converted = Path(line.partition("KEY=")[2].split()[0])
        assert converted.read_text().split()[1] == short_rsa.with_name("k.pub").read_text().split()[1]
    assert lab.run("user_add", NAME="bob", KEY=str(converted)).code == 0


BODY = "AAAAB3NzaC1yc2EAAAADAQABAAABgQC7vbqajDhA"
OTHER_FORMS = {
    f"PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{BODY}\n": ("is a PuTTY key", "puttygen"),
    f"PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n{BODY}\n": ("is a PuTTY key", "puttygen"),
    f"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{BODY}\n": ("is a private key (SSH2", ""),
    f"b3BlbnNzaC1rZXktdjE{BODY}\n": ("is a private key", "ssh-keygen -y"),
    f"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{BODY}\n": ("is an ed25519 key in the form of PEM", "-t ed25519"),
    f"-----BEGIN PRIVATE KEY-----\r\nMC4CAQAwBQYDK2VwBCIE{BODY}\n": ("is a private key (ed25519 as PEM", "9.6"),
    f"-----BEGIN CERTIFICATE-----\n{BODY}\n": ("is an X.509 certificate", "openssl x509"),
    f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{BODY}\n": ("is a PGP key", "gpg --export-ssh-key"),
    f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n": ("is a PGP key", "gpg --export-ssh-key"),
    f"-----BEGIN SSH SIGNATURE-----\n{BODY}\n": ("is not a public key, but another PEM file", ""),
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n": ("is an age key", "ssh-keygen -t ed25519"),
    f"AGE-SECRET-KEY-1{BODY.upper()}\n": ("is an age key", "ssh-keygen -t ed25519"),
    "<!DOCTYPE html>\n<html>": ("is a web page", ""),
    "256 SHA256:lWyyYkmqhtxxkYjf21ZRvEvt3hYGeIu8 bob (ED25519)\n": ("is the fingerprint of a key", ""),
    f"1024 65537 {'7' * 300} bob\n": ("is a key of ssh's protocol 1", "ssh-keygen -t ed25519"),
    f"ssh-ed25519-cert-v01@openssh.com {BODY}\n": ("is a certificate, not a key", ""),
    f"ssh-dss {BODY}\n": ("is a DSA key", "ssh-keygen -t ed25519"),
    f'{KEY}\ncommand="echo {BODY}" {KEY}\n': (":2: has text in front of the key", ""),
    f"{KEY[:60]}\n{KEY[60:]}\n": (":1: is cut off: the key continues on the next line", ""),
    f"{KEY[:60]}\n": ("is not a whole ssh-ed25519 key", ""),
    f"{BODY}\n": ("is not a public key in the form", ""),
    "\n \n": ("is empty", ""),
    "# nothing\n": ("holds comments, but no key", ""),
    "": ("is empty", ""),
    b"0\x82\x01\x0a\x00\x00\x00\x01": ("is a binary file", ""),
}


@pytest.mark.parametrize(("content", "said"), OTHER_FORMS.items(), ids=[said[0] for said in OTHER_FORMS.values()])
def test_what_is_no_public_key_is_named_in_one_line_that_repeats_nothing_of_it(content, said):
    for form in [content] if isinstance(content, bytes) else [content.encode(), content.encode("utf-16")]:
        with pytest.raises(UserError) as refused:
            keys_in(form, "KEY: x", Path("x"))
        line = str(refused.value)
        assert line.startswith("KEY: x")
        assert "\n" not in line
        assert all(part in line for part in said)
        assert BODY not in line


def test_what_names_no_file_is_said_with_what_would(lab, tmp_path):
    keygen(tmp_path / "id_ed25519", "-t", "ed25519", "-N", "")
    for key, said in {
        "https://github.com/bob.keys": "not downloaded: run `curl -fsS https://github.com/bob.keys -o",
        "https://bob:s3cretpass@example.org/bob.keys": "`curl -fsS … -o",
        str(tmp_path): f"is a directory; name the public key in it (KEY={tmp_path}/id_ed25519.pub)",
        str(tmp_path / "id_ed25518.pub"): 'there is no such file (did you mean "id_ed25519.pub"?)',
        str(tmp_path / "id_ed25519.pub" / "x"): "can't be read: Not a directory",
        "/dev/zero": "can't be read: is not a regular file",
    }.items():
        line = lab.run("user_add", NAME="bob", KEY=key).error
        assert said in line
        assert "s3cret" not in line
    assert lab.run("user_add", NAME="bob", KEY=KEY).code == 0, "the key itself"
    assert bob(lab) == [KEY]


@given(st.sampled_from([b"", *ENCODINGS]), st.binary(max_size=60) | st.just(KEY.encode()), st.binary(max_size=20))
def test_any_file_is_read_or_refused_in_one_line(mark, content, more):
    with suppress(UserError):
        assert keys_in(mark + content + more, "KEY: x", Path("x"))


def test_a_private_key_in_the_place_of_a_files_name_is_not_repeated(lab, tmp_path):
    text = keygen(tmp_path / "key", "-t", "ed25519", "-N", "").read_text()
    for key in (text, text.replace("\n", " "), "".join(text.splitlines()[1:-1])):
        line = lab.run("user_add", NAME="bob", KEY=key).error
        assert line.startswith("error: KEY: is a private key (OpenSSH's)")
        assert text.splitlines()[2][:20] not in line
    for key in ("".join(text.splitlines()[2:-1]), "/".join(text.splitlines()[2:-1])):
        assert lab.run("user_add", NAME="bob", KEY=key).error.startswith("error: KEY: …: ")


def test_a_short_rsa_key_is_taken_and_remarked_on(lab, tmp_path, short_rsa):
    ended = lab.run("user_add", NAME="first.last", KEY=f"{short_rsa}.pub")
    assert "is an RSA key of 2048 bits: acceptable until 2030" in ended.out
    assert "first.last" in load_members(lab.path)
    made = lab.run("user_add", NAME="other.one", HOME=str(tmp_path))
    assert f"created {tmp_path}/.ssh/ec2-lab-other.one, other.one's private key: hand it over" in made.out
    assert (tmp_path / ".ssh/ec2-lab-other.one").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".ssh/ec2-lab-other.one.pub").exists()


def test_a_member_of_a_name_that_can_be_nobodys_any_more_can_be_removed(lab):
    lab.write("members/operator.toml", f'keys = ["{KEY}"]\n')
    assert "'operator' can't be a login name: images have" in lab.run("plan", EXP="demo").error
    assert "removed members/operator.toml" in lab.run("user_remove", NAME="operator").out
    assert "can't be a login name" in lab.run("user_remove", NAME="../x").error
