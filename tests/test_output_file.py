"""A file that a user names is written in one step, where the user means it, and never over something else."""

import os
import stat
import subprocess
import sys

import pytest

from ec2lab.errors import UserError
from ec2lab.output_file import OutputFile
from tests.lab_directory import REPOSITORY

NOBODY = 65534
MARKER = "made by a test"
PAGE = f"<!-- {MARKER} -->"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def output(path, **options):
    return OutputFile(path, "OUTPUT", MARKER, **options)


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def shared(tmp_path):
    """A directory in which everybody may make files, as /tmp is."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def precious(tmp_path):
    """A file of the user's that another user would like to have overwritten."""
    path = tmp_path / "precious"
    path.write_text(PAGE)
    path.chmod(0o600)
    return path


def as_nobody(path):
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@needs_root
@pytest.mark.parametrize("named", ["report.html", "link/precious"])
def test_a_link_of_another_user_is_not_followed(shared, precious, named):
    link = shared / named.split("/")[0]
    link.symlink_to(precious if named == link.name else precious.parent)
    as_nobody(link)
    for attempt in (output(shared / named).check, lambda: output(shared / named, force=True).write("new")):
        with pytest.raises(UserError, match=f"OUTPUT: {link} is a link that another user laid"):
            attempt()
    assert (precious.read_text(), mode(precious)) == (PAGE, 0o600)
    assert link.is_symlink()


@needs_root
def test_a_link_of_the_users_own_is_not_followed_where_another_user_could_replace_it(tmp_path, precious):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "report.html").symlink_to(precious)
    as_nobody(theirs)
    with pytest.raises(UserError, match="could replace"):
        output(theirs / "report.html").write("new")
    assert precious.read_text() == PAGE


def test_links_of_the_users_own_are_followed(tmp_path, precious):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(tmp_path / "nowhere/../precious")
    (tmp_path / "nowhere").mkdir()
    assert output(tmp_path / "a").write("new") == precious
    assert (precious.read_text(), mode(precious)) == ("new", 0o600)
    assert (tmp_path / "a").is_symlink()


def test_links_in_a_circle_are_one_error(tmp_path):
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(UserError, match=r"OUTPUT: .*/a can't be written: Too many levels"):
        output(tmp_path / "a").check()


@pytest.mark.parametrize("before", [0o600, 0o640, 0o664, 0o400])
def test_the_mode_is_kept(tmp_path, before):
    file = tmp_path / "report.html"
    file.write_text(PAGE)
    file.chmod(before)
    output(file).write("new")
    assert (file.read_text(), mode(file)) == ("new", before)


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path):
    umask = os.umask(0o027)
    try:
        output(tmp_path / "report.html").write("new")
    finally:
        os.umask(umask)
    assert mode(tmp_path / "report.html") == 0o640


def test_what_another_program_wrote_is_not_overwritten_without_force(tmp_path):
    notes = tmp_path / "notes.html"
    notes.write_text("my notes")
    for attempt in (output(notes).check, lambda: output(notes).write("new")):
        with pytest.raises(UserError, match=r"notes\.html exists, and was not written by this command.*FORCE=1"):
            attempt()
    assert notes.read_text() == "my notes"
    output(notes, force=True).write("new")
    assert notes.read_text() == "new"


def test_an_empty_file_and_one_of_its_own_are_replaced(tmp_path):
    page = tmp_path / "page.html"
    page.touch()
    output(page).write(PAGE)
    output(page).write("again " + PAGE)
    assert page.read_text() == "again " + PAGE


@pytest.mark.parametrize("kind", ["directory", "pipe", "dangling"])
def test_what_is_no_file_is_never_written_to(tmp_path, kind):
    path = tmp_path / "out"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nowhere/out")
    with pytest.raises(UserError, match="OUTPUT: "):
        output(path, force=True).write("new")
    assert not list(tmp_path.glob(".*"))


def test_a_disk_that_is_full_leaves_the_old_page_and_nothing_else(tmp_path):
    page = tmp_path / "report.html"
    page.write_text(PAGE)
    code = (
        "import resource, sys; from pathlib import Path; from ec2lab.output_file import OutputFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"OutputFile(Path(sys.argv[1]), 'OUTPUT', {MARKER!r}).write('x' * 9000)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, page], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert "UserError: OUTPUT: " in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert page.read_text() == PAGE


def test_a_report_overwrites_a_report_and_nothing_else(lab):
    lab.write("notes.html", "my notes")
    refused = lab.run("report", OUTPUT="notes.html")
    assert (refused.code, "FORCE=1" in refused.error) == (1, True)
    assert (lab.path / "notes.html").read_text() == "my notes"
    for variables in ({"OUTPUT": "notes.html", "FORCE": "1"}, {"OUTPUT": "notes.html"}):
        assert lab.run("report", **variables).code == 0
    assert "<h1>" in (lab.path / "notes.html").read_text()


@needs_root
def test_a_registry_is_not_written_over_another_users_link_either(lab, shared, precious):
    (shared / "registry.json").symlink_to(precious)
    as_nobody(shared / "registry.json")
    ended = lab.run("launch", EXP="demo", REGISTRY=str(shared / "registry.json"))
    assert ended.code == 1
    assert "registry.json: is a link that another user laid" in ended.error
    assert (precious.read_text(), mode(precious)) == (PAGE, 0o600)


def test_a_file_that_is_no_registry_keeps_its_mode(lab, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    notes.chmod(0o664)
    assert lab.run("launch", EXP="demo", REGISTRY=str(notes)).code == 1
    assert (notes.read_text(), mode(notes)) == ("my notes", 0o664)
