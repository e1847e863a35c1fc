"""A tarball that somebody made to get out of its directory does not."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.datasets.tarball import ZSTANDARD, entries, is_tarball, unpacked
from ec2lab.errors import UserError

OUT = "../../"
"""From the directory of unpacking to the one that holds all of a test's files."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices and give files away")


def link(name, target):
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard_link(name, target):
    return entry(name, tarfile.LNKTYPE, linkname=target)


def directory(name, mode=0o755):
    return entry(name, tarfile.DIRTYPE, mode=mode)


def entry(name, kind=tarfile.REGTYPE, **fields):
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, 0o644
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def long_way_out(target):
    """CVE-2025-4517: links whose expansion is too long for realpath, which takes a way out for one that stays in."""
    long, steps, made, path = "d" * 247, "abcdefghijklmnop", [], ""
    for step in steps:
        made += [directory(f"{path}{long}"), link(f"{path}{step}", long)]
        path += f"{long}/"
    turning = "/".join(steps) + "/" + "l" * 254
    return [*made, link(turning, "../" * len(steps)), link("escape", f"{turning}/{target}")]


def attacks(base):
    """Archives, each of which would overwrite base/victim or make base/new if tar let it."""
    victim = str(base / "victim")
    return {
        "absolute": [entry(victim)],
        "parents": [entry(f"{OUT}victim")],
        "parents-within": [directory("a"), entry(f"a/../{OUT}victim")],
        "link": [link("a", victim), entry("a")],
        "link-to-directory": [link("a", str(base)), entry("a/victim"), entry("a/new")],
        "relative-link": [link("a", OUT), entry("a/victim"), entry("a/new")],
        "links-of-links": [link("a", "."), link("b", "a/.."), link("c", "b/.."), link("d", "c/.."), entry("c/victim")],
        "link-before-its-target": [link("a", "b"), link("b", OUT), entry("a/victim"), entry("a/new")],
        "link-in-the-place-of-a-directory": [directory("a"), link("a", OUT), entry("a/victim")],
        "hard-link": [hard_link("a", victim), entry("a")],
        "hard-link-over-parents": [hard_link("a", f"{OUT}victim"), entry("a")],
        "hard-link-to-a-link": [link("a", victim), hard_link("b", "a"), entry("b")],
        "hard-link-through-a-link": [link("a", OUT), hard_link("b", "a/victim"), entry("b")],
        "root-is-a-link": [link(".", OUT), entry("victim"), entry("new")],
        "long-way-out": [*long_way_out(f"{OUT}"), entry("escape/victim"), entry("escape/new")],
        "long-way-out-by-hard-link": [*long_way_out(f"{OUT}victim"), hard_link("flag", "escape"), entry("flag")],
        "mode-of-a-directory-outside": [link("a", OUT), directory("a", 0o777), directory(f"{OUT}work", 0o777)],
    }


@pytest.fixture
def base(tmp_path):
    """A directory with a file that is not to be changed, and one in which archives are unpacked."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "work").mkdir(mode=0o700)
    return tmp_path


def archive(path, members, content=b"theirs"):
    with tarfile.open(path, "w") as made:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            made.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(params=["tar", "bsdtar"])
def system_tar(request, tmp_path_factory, monkeypatch):
    """Linux's tar, and macOS's, by the name that it has there."""
    found = shutil.which(request.param)
    if not found:
        pytest.skip("apt-get install libarchive-tools")
    directory = tmp_path_factory.mktemp("bin")
    (directory / "tar").symlink_to(found)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)


@pytest.mark.parametrize("name", list(attacks(Path("/base"))))
def test_nothing_gets_out(base, name, system_tar):
    source = archive(base / "evil.tar", attacks(base)[name])
    assert is_tarball(source)
    try:
        with unpacked(source, base / "work") as tree:
            assert tree.is_dir()
    except UserError as refused:
        assert str(refused).startswith(f"SOURCE: {source}: ")  # noqa: PT017 - either is well
    assert (base / "victim").read_text() == "mine"
    assert (base / "victim").stat().st_nlink == 1
    assert sorted(path.name for path in base.iterdir()) == ["evil.tar", "victim", "work"]
    assert stat.S_IMODE((base / "work").stat().st_mode) == 0o700
    assert list((base / "work").iterdir()) == [], "what was unpacked is deleted"


@needs_root
@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(base, kind):
    source = archive(base / "evil.tar", [directory("a"), entry("a/b", kind, devmajor=1, devminor=3)])
    with pytest.raises(UserError, match="a/b is a device or a pipe"), unpacked(source, base / "work"):
        pass
    assert list((base / "work").iterdir()) == []


def test_options_in_the_environment_do_not_turn_the_protection_off(base, monkeypatch):
    monkeypatch.setenv("TAR_OPTIONS", "--absolute-names")
    with unpacked(archive(base / "evil.tar", [entry(str(base / "victim"))]), base / "work"):
        pass
    assert (base / "victim").read_text() == "mine"


def test_a_colon_in_a_name_is_no_other_computer(base, monkeypatch):
    monkeypatch.chdir(base)
    archive(base / "host:file.tar", [entry("a")])
    with unpacked(Path("host:file.tar"), base / "work") as tree:
        assert (tree / "a").read_bytes() == b"theirs"


def test_special_modes_and_rights_of_others_are_taken_away(base):
    members = [directory(".", 0o777), entry("a", mode=0o6777), directory("b", 0o2777), entry("b/c", mode=0o640)]
    with unpacked(archive(base / "some.tar", members), base / "work") as tree:
        modes = {path: stat.S_IMODE(status.st_mode) for path, status in entries(tree)}
        assert modes == {"a": 0o755, "b": 0o755, "b/c": 0o640}
        assert stat.S_IMODE(tree.stat().st_mode) == 0o700


@needs_root
def test_owners_are_kept_by_their_numbers(base):
    source = archive(base / "some.tar", [entry("a", uid=4001, gid=4002, uname="root", gname="root")])
    with unpacked(source, base / "work") as tree:
        status = (tree / "a").stat()
    assert (status.st_uid, status.st_gid) == (4001, 4002)


def test_a_tree_deeper_than_python_can_go_is_unpacked_and_deleted(base):
    source = archive(base / "deep.tar", [directory("d/" * depth) for depth in range(1, 1500, 250)])
    with unpacked(source, base / "work") as tree:
        assert sum(1 for _ in entries(tree)) == 1251
    assert list((base / "work").iterdir()) == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_every_kind_of_tarball_is_known_by_its_beginning(tmp_path, form, pack):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as writing:
        writing.addfile(entry("é" * 40, size=1, mtime=1.5), io.BytesIO(b"x"))
    (tmp_path / "a").write_bytes(pack(made.getvalue()))
    assert is_tarball(tmp_path / "a")


@given(content=st.binary(max_size=600), magic=st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00"]))
def test_what_is_no_tarball_is_none_whatever_it_is(tmp_path_factory, content, magic):
    path = tmp_path_factory.getbasetemp() / "whatever"
    path.write_bytes(magic + content)
    assert is_tarball(path) is (magic + content).startswith(ZSTANDARD)


def test_an_archive_that_is_cut_off_is_one_error(base):
    whole = archive(base / "some.tar", [entry("a")], b"x" * 5000).read_bytes()
    (base / "cut.tar").write_bytes(whole[:2000])
    with (
        pytest.raises(UserError, match=r"cut\.tar: can't be unpacked: .*(EOF|Truncated)"),
        unpacked(base / "cut.tar", base / "work"),
    ):
        pass
