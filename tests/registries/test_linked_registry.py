"""Labs that reach one registry file over links are one lab: its locks and its archive lie beside the file."""

import shutil

import pytest

from ec2lab.registry.file_registry import FileRegistry
from tests.lab_directory import LabDirectory


@pytest.fixture
def labs(lab, tmp_path):
    """Two labs whose registry.json are links to one file."""
    other = tmp_path / "other"
    shutil.copytree(lab.path, other, symlinks=True)
    (tmp_path / "team").mkdir()
    for one in (lab.path, other):
        (one / "registry.json").symlink_to(tmp_path / "team/registry.json")
    return lab, LabDirectory(other)


def test_two_labs_exclude_each_other(labs, cloud):
    first, second = labs
    with FileRegistry(first.registry).lock_experiment("demo", "launch"):
        for script in ("launch", "teardown"):
            refused = second.run(script, EXP="demo")
            assert refused.code == 1
            assert refused.error.startswith("error: demo is locked by launch (")
    assert cloud.calls("RunInstances") == []
    assert first.launch().code == 0
    assert second.launch().code == 1
    assert len(cloud.calls("RunInstances")) == 1, "the second sees what the first launched"


def test_what_one_archived_the_other_shows(labs, tmp_path):
    first, second = labs
    assert first.launch().code == 0
    assert first.teardown().code == 0
    assert FileRegistry(second.registry).archive(lambda _: set()) > 0
    assert "RunInstances" in first.run("history", EXP="demo").out
    assert {path.name for path in (tmp_path / "team").iterdir()} == {
        "registry.json", "registry.json.locks", "registry-archive",
    }  # fmt: skip
    assert all(one.registry.is_symlink() for one in labs)


def test_no_lock_is_laid_where_a_link_in_the_place_of_the_locks_leads(lab, cloud, tmp_path):
    """git brings links along with a branch; a lock is emptied when it is let go of."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    (theirs / "demo").write_text("keep me")
    (lab.path / "registry.json.locks").symlink_to(theirs)
    assert "registry.json.locks: is a link" in lab.run("launch", EXP="demo").error
    assert cloud.calls("RunInstances") == []
    assert (theirs / "demo").read_text() == "keep me"
    assert theirs.stat().st_mode & 0o777 == 0o755
