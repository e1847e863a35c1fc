"""Copies between two directories as push and pull make them, without the connection between."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab.hosts.file_receiver import Receiver
from ec2lab.hosts.file_stream import Entry, Tree, manifest, parse_line, parse_manifest, stays_inside

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and not name.startswith(".ec2-lab-")
)
CONTENTS = st.binary(max_size=200)
TREES = st.dictionaries(NAMES, st.one_of(CONTENTS, st.dictionaries(NAMES, CONTENTS, max_size=3)), max_size=5)


def write(tree, where):
    where.mkdir(parents=True)
    for name, found in tree.items():
        if isinstance(found, dict):
            write(found, where / name)
        else:
            (where / name).write_bytes(found)


def content(where):
    """All that is below a directory; links by their targets."""
    return {
        str(path.relative_to(where)): path.readlink() if path.is_symlink() else path.is_dir() or path.read_bytes()
        for path in where.rglob("*")
    }


def copy(source, dest, *, stops_after=None, delete=False):
    """Copy a tree; of its contents only so many bytes arrive, if that is said."""
    tree = Tree.read(str(source))
    single, entries, _ = parse_manifest(json.loads(json.dumps(manifest(tree))))
    with Receiver(str(dest), single, entries, delete=delete) as receiver:
        stream = b"".join(tree.contents(receiver.offsets()))
        receiver.feed(stream[:stops_after])
        return len(stream), receiver.finish() if stops_after is None else None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, stops=st.integers(0, 300))
def test_a_copy_that_was_interrupted_anywhere_is_continued_and_no_file_has_its_name_before_it_is_whole(
    tree, stops, tmp_path_factory
):
    here, there = tmp_path_factory.mktemp("here") / "x", tmp_path_factory.mktemp("there") / "new/x"
    write(tree, here)
    with pytest.raises(ValueError, match="before the copy was complete") if stops < sum_of(tree) else no_error():
        copy(here, there, stops_after=stops)
        if stops < sum_of(tree):
            check_partial(here, there)
            raise ValueError("before the copy was complete")
    left, _ = copy(here, there)
    assert left <= max(0, sum_of(tree) - stops)
    assert content(there) == content(here)
    assert copy(here, there)[0] == 0, "a second copy sends nothing"


def sum_of(tree):
    return sum(sum_of(found) if isinstance(found, dict) else len(found) for found in tree.values())


def check_partial(here, there):
    found = {name: what for name, what in content(there).items() if ".ec2-lab-" not in name}
    assert found.items() <= content(here).items()


class no_error:  # noqa: N801
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


def test_what_is_copied_keeps_times_execute_bits_and_links_within_the_tree_and_names_what_is_left_out(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    write({"run": b"#!/bin/sh", "blobs": {"a": b"1"}, "snapshots": {}, os.fsdecode(b"\xff"): b""}, here)
    (here / "run").chmod(0o4750)
    os.utime(here / "run", ns=(1, 1_600_000_000_123_456_789))
    (here / "snapshots/main").symlink_to("../blobs/a")
    (here / "latest").symlink_to("snapshots")
    (here / "etc").symlink_to("/etc")
    (here / "up").symlink_to("snapshots/../../x")
    os.mkfifo(here / "pipe")
    assert Tree.read(str(here)).skipped == ["etc", "pipe", "up"]
    copy(here, there)
    assert (there / "run").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (there / "run").stat().st_mode & 0o7111 == 0o111 & ~os.umask(os.umask(0o022))
    assert (there / "snapshots/main").read_bytes() == b"1"
    assert (there / "latest").readlink() == Path("snapshots")
    assert {"etc", "pipe", "up"}.isdisjoint(content(there))


def test_a_single_file_becomes_dest_or_goes_into_it(tmp_path):
    here = tmp_path / "model.pt"
    here.write_bytes(b"x")
    copy(here, tmp_path / "new/name.pt")
    copy(here, f"{tmp_path}/into/")
    copy(here, tmp_path / "into")
    assert sorted(content(tmp_path)) == ["into", "into/model.pt", "model.pt", "new", "new/name.pt"]


def test_nothing_is_deleted_unless_told_and_never_a_home(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    write({"a": b"1"}, here)
    write({"b": b"2", "old": {"c": b"3"}}, there)
    (there / "link").symlink_to(tmp_path)
    copy(here, there)
    assert sorted(content(there)) == ["a", "b", "link", "old", "old/c"]
    _, counts = copy(here, there, delete=True)
    assert (content(there), counts["deleted"]) == ({"a": b"1"}, 4)
    assert here.exists()
    monkeypatch.setenv("HOME", str(there / "home"))
    (there / "home").mkdir()
    with pytest.raises(OSError, match="DELETE=1 is refused"):
        copy(here, there, delete=True)


PATHS = st.one_of(
    st.sampled_from(["..", "../x", "/etc/x", "a/../../x", "", ".", "a//b", "a/./b", "l/x", "a\0", "d/.."]),
    st.lists(st.sampled_from(["d", "l", "..", ".", "a"]), min_size=1, max_size=4).map("/".join),
)
ENTRIES = st.lists(
    st.builds(
        lambda path, kind, target: [path, kind, 1 if kind == "file" else 0, 0, False, target],
        PATHS, st.sampled_from(["file", "directory", "link", "device"]), PATHS,
    ), max_size=6,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(entries=ENTRIES, existing=st.booleans())
def test_nothing_that_a_hostile_sender_says_is_written_outside_of_dest(entries, existing, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    dest = outside / "sub/dest"
    if existing:  # a link of the user's own leads out: it is not followed
        dest.mkdir(parents=True)
        (dest / "l").symlink_to(outside)
    try:
        single, parsed, _ = parse_manifest({"single": False, "entries": entries, "skipped": []})
        with Receiver(str(dest), single, parsed, delete=False) as receiver:
            receiver.feed(b"x" * sum(offset == 0 for offset in receiver.offsets()))
            receiver.finish()
    except (ValueError, OSError):
        pass
    assert {path.name for path in outside.iterdir()} <= {"sub"}
    assert {path.name for path in (outside / "sub").iterdir()} <= {"dest"} if (outside / "sub").exists() else True
    for link in (path for path in dest.rglob("*") if path.is_symlink() and path != dest / "l"):
        assert Path(os.path.realpath(link)).is_relative_to(dest) or existing


def test_a_malformed_manifest_is_an_error_of_its_own_kind():
    good = Entry("a", "file", 1, 0, False, "")
    wrong_fields = {"path": 7, "file_type": [], "size": -1, "mtime": 1.5, "executable": 1, "target": None}
    for told in (
        [], {}, {"single": False, "entries": [[]], "skipped": []}, {"single": True, "entries": [], "skipped": []},
        *({"single": False, "entries": [list(good._replace(**{field: wrong}))], "skipped": []}
          for field, wrong in wrong_fields.items()),
        {"single": False, "entries": [list(good), list(good)], "skipped": []},
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError, KeyError)):
            parse_manifest(told)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_line(b"[" * 100_000)
    assert not stays_inside("a", "")
