"""A directory into which somebody else writes, seen by root: nothing hides the rest of it, or leads out of it."""

import os
import subprocess
import time

import pytest

from ec2lab.hosts.changing_files import Changed, opened, tree, writers


def test_what_cannot_be_looked_at_or_is_mounted_below_hides_nothing_else(tmp_path):
    (tmp_path / "model").write_bytes(b"x")
    inner = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):  # beyond Python's own recursion limit
        os.mkdir("deep", dir_fd=inner)
        outer, inner = inner, os.open("deep", os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
    seen = tree(str(tmp_path))
    subprocess.run(["rm", "-r", tmp_path / "deep"], check=True)  # pytest could not
    assert list(seen.files) == ["model"]
    assert [problem.rpartition(": ")[2] for problem in seen.problems] == ["its path is too long"]
    if os.path.ismount("/dev/shm"):
        assert "'shm': is another file system" in tree("/dev").problems


@pytest.mark.skipif(bool(os.getuid()), reason="becomes somebody else")
def test_an_entry_without_a_status_is_told_of_as_in_the_file_system_of_a_user(tmp_path):
    (tmp_path / "closed").mkdir()
    for name in ("closed/x", "model"):
        (tmp_path / name).touch()
    (tmp_path / "closed").chmod(0o744)  # its names can be read, and no more
    tmp_path.chmod(0o755)
    child = os.fork()
    if not child:
        os.chroot(tmp_path)
        os.setuid(65534)
        seen = tree("/")
        os._exit(list(seen.files) == ["model"] and seen.problems == ["'closed/x': Permission denied"])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_directory_that_is_replaced_by_a_link_is_not_followed(tmp_path):
    (tmp_path / "a/outputs").mkdir(parents=True)
    (tmp_path / "a/outputs/x").touch()
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    (tmp_path / "a").symlink_to("elsewhere")
    for root in ("a/outputs", "a"):
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            tree(str(tmp_path / root))
    with pytest.raises(Changed), opened(str(tmp_path / "a"), "outputs/x"):
        pass


def test_a_modification_time_that_somebody_sets_hides_no_change(tmp_path):
    (tmp_path / "x").touch()
    os.utime(tmp_path / "x", (4e9, 4e9))
    assert abs(tree(str(tmp_path)).files["x"].changed - time.time()) < 5


def test_a_mapping_of_another_file_system_with_the_same_inode_is_no_writer(tmp_path):
    (tmp_path / "12/fd").mkdir(parents=True)
    line = "7f00-8f00 rw-s 00000000 {} 13 {}\n"
    (tmp_path / "12/maps").write_text(line.format("00:1a", "/dev/shm/torch_1") + "7f00-8f00 r-xp 0 103:02 14 /lib/x\n")
    assert writers(os.makedev(259, 2), str(tmp_path)) == {}
    (tmp_path / "12/maps").write_text(line.format("103:02", "/scratch/outputs/model"))
    assert writers(os.makedev(259, 2), str(tmp_path)) == {13: False}
    (tmp_path / "12/maps").write_text(line.format("00:1a", "/outputs/model"))
    assert writers(os.makedev(0, 99), str(tmp_path)) == {13: False}, "btrfs: better waited for than torn"
