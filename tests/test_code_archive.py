"""Whatever lies in a repository: what git would take is packed, nothing from outside, and what is left out is said."""

import io
import os
import subprocess
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab.config.models import Code
from ec2lab.errors import UserError
from ec2lab.runs.code_archive import packed
from tests.test_runs import git

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture
def code(tmp_path):
    """A repository with one commit."""
    path = tmp_path / "code"
    (path / "models").mkdir(parents=True)
    (path / "train.py").write_text("print('one')\n")
    (path / "models/large.py").write_text("SIZE = 12\n")
    git(path, "init", "--quiet")
    commit(path)
    return path


def commit(path):
    git(path, "add", "--all", ".")
    git(path, "commit", "--quiet", "--message", "one")


def pack(path, commit=None):
    return packed(path.parent, Code(path=path.name, commit=commit))


def contents(packing):
    """The files of a pack, by the bytes of their names: what they hold, or where they lead."""
    with tarfile.open(fileobj=io.BytesIO(packing.tar), encoding="utf-8") as archive:
        return {
            os.fsencode(entry.name): entry.linkname if entry.issym() else archive.extractfile(entry).read().decode()
            for entry in archive
            if not entry.isdir()
        }


@pytest.mark.parametrize("tracked", [True, False])
def test_a_link_in_the_place_of_a_directory_is_packed_as_a_link_and_nothing_behind_it(code, tmp_path, tracked):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large.py").write_text("secret")
    for file in (code / "models").iterdir():
        file.unlink()
    (code / "models").rmdir()
    (code / "models").symlink_to(outside)
    if tracked:
        git(
            code,
            "update-index",
            "--add",
            "--cacheinfo",
            "100644",
            git(code, "hash-object", "-w", "train.py"),
            "deep/a/b",
        )
        (code / "deep").symlink_to(outside)
    made = pack(code)
    expected = {b"train.py": "print('one')\n", b"models": str(outside)}
    assert contents(made) == expected | ({b"deep": str(outside)} if tracked else {})
    assert b"secret" not in made.tar
    assert [remark for remark in made.remarks if "lead out of it" in remark and "models" in remark]


def test_a_nested_repository_is_one_error(code):
    (code / "nested").mkdir()
    git(code / "nested", "init", "--quiet")
    (code / "nested/a.py").write_text("a")
    commit(code / "nested")
    with pytest.raises(UserError, match=r"has a repository of its own in nested/, which git does not pack; copy its"):
        pack(code)
    (code / ".gitignore").write_text("nested/\n")
    assert set(contents(pack(code))) == {b".gitignore", b"train.py", b"models/large.py"}


def test_a_name_in_no_encoding_is_packed_by_its_bytes_and_unpacked_so(code, tmp_path):
    name = b"caf\xe9.py"
    (code / "models").joinpath(os.fsdecode(name)).write_text("latin\n")
    (code / "train.py").write_text("print('two')\n")
    made = pack(code)
    assert contents(made)[b"models/" + name] == "latin\n"
    assert made.diff_sha256
    there = tmp_path / "there"
    there.mkdir()
    subprocess.run(["tar", "-x", "-f", "-", "-C", there], input=made.tar, check=True)
    assert name in {os.fsencode(path.name) for path in (there / "models").iterdir()}
    commit(code)
    assert contents(pack(code, "HEAD"))[b"models/" + name] == "latin\n"


@pytest.mark.parametrize("replaced_by", ["directory", "nothing", "link"])
def test_what_took_the_place_of_a_tracked_file_is_packed_as_git_would(code, replaced_by):
    file = code / "train.py"
    file.unlink()
    if replaced_by == "directory":
        file.mkdir()
        (file / "a.py").write_text("a")
    elif replaced_by == "link":
        file.symlink_to("models/large.py")
    found = contents(pack(code))
    found.pop(b"models/large.py")
    assert found == {
        "directory": {b"train.py/a.py": "a"}, "nothing": {}, "link": {b"train.py": "models/large.py"},
    }[replaced_by]  # fmt: skip


def test_a_pipe_is_never_waited_for(code):
    os.mkfifo(code / "untracked")
    assert set(contents(pack(code))) == {b"train.py", b"models/large.py"}
    (code / "train.py").unlink()
    os.mkfifo(code / "train.py")
    with pytest.raises(UserError, match=r"git diff: fatal: cannot hash train\.py"):
        pack(code)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_cannot_be_read_is_named(code):
    (code / "train.py").chmod(0)
    with pytest.raises(UserError, match=r"train\.py: can't be read: Permission denied"):
        pack(code)


PROGRAM = "#!/bin/sh\ntouch {mark}\n"


@pytest.mark.parametrize("setting", ["core.fsmonitor", "core.hooksPath", "diff.external"])
def test_no_program_that_only_a_person_at_work_has_a_use_for_is_run(code, tmp_path, setting):
    mark, program = tmp_path / "ran", tmp_path / "hooks/post-index-change"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(mark=mark))
    program.chmod(0o755)
    git(code, "config", setting, str(program.parent if setting.endswith("Path") else program))
    (code / "train.py").write_text("print('two')\n")
    assert contents(pack(code))[b"train.py"] == "print('two')\n"
    assert not mark.exists()


def test_within_a_hook_of_another_repository_its_own_is_packed(code, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.py").write_text("")
    git(other, "init", "--quiet")
    commit(other)
    before = pack(code)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert pack(code) == before


@pytest.mark.parametrize("at", [None, "HEAD"])
def test_pointers_of_git_lfs_and_what_is_left_out_are_said(code, at):
    for number in range(5):
        (code / f"model-{number}.bin").write_text(POINTER)
    (code / "tests").mkdir()
    (code / "tests/test_it.py").write_text("t")
    (code / "notes.txt").write_text("n")
    (code / ".gitattributes").write_text("tests/ export-ignore\nnotes.txt export-ignore\n")
    commit(code)
    made = pack(code, at)
    lfs, left_out = made.remarks
    assert "Git LFS pointers in place of files: model-0.bin, model-1.bin, model-2.bin and 2 more" in lfs
    assert left_out.endswith("export-ignore: notes.txt, tests/test_it.py")
    assert not {b"notes.txt", b"tests/test_it.py"} & contents(made).keys()


def test_a_launch_and_a_sweep_say_it_and_go_on(lab):
    code = lab.path / "code"
    code.mkdir()
    (code / "model.bin").write_text(POINTER)
    git(code, "init", "--quiet")
    commit(code)
    common = 'instance_types = ["g5.xlarge"]\ncommand = "true $seed"\ncode = { path = "code" }\n'
    lab.write("experiments/train.toml", f"{common}[parameters]\nseed = 1\n")
    lab.write("experiments/search.toml", f"{common}[matrix]\nseed = [1, 2]\n")
    for script, exp in (("launch", "train"), ("sweep", "search")):
        ended = lab.run(script, EXP=exp)
        assert ended.code == 0, ended.err
        assert "warning: code: Git LFS pointers in place of files: model.bin" in ended.err


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(
        st.binary(min_size=1, max_size=20).filter(lambda name: not {*b"\0/"} & {*name} and name not in (b".", b"..")),
        max_size=5,
    )
)
def test_a_file_of_any_name_is_packed_under_that_name(code, names):
    taken = {b".git", b".gitignore", b".gitattributes", b"train.py", b"models"}
    made = {name: code / os.fsdecode(name) for name in names - taken}
    for path in made.values():
        path.write_text("x")
    try:
        found = contents(pack(code))
    finally:
        for path in made.values():
            path.unlink()
    assert found.keys() == made.keys() | {b"train.py", b"models/large.py"}
