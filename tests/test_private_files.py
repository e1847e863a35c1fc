"""What the lab keeps beside lab.toml is for its owner alone, whatever the umask and whoever made it before."""

import os
import subprocess
import sys

import pytest

from ec2lab import disk_cache
from ec2lab.aws import local_server
from ec2lab.costs.price_cache import PriceCache
from ec2lab.errors import UserError
from ec2lab.files import open_private, private_directory
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.registry import file_lock
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.runs import code_archive

DIRECTORIES = (
    ".datasets", ".code", ".cache", ".ssh", ".ssh/hosts", ".ssh/known_hosts", ".local-cloud", "registry.json.locks",
    "registry-archive",
)  # fmt: skip
NOBODY = 65534


@pytest.fixture
def no_umask():
    """While a test runs, what it makes is open to all that it is not closed to."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def run(lab):
    """Runs a script in the lab, with this process's umask."""

    def run_script(script, **variables):
        command = [sys.executable, "-m", f"scripts.{script}"]
        environment = lab.environment(**variables)
        done = subprocess.run(command, cwd=lab.path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run_script


@pytest.fixture
def loose(lab):
    """A lab whose directories were there before, open to all, and whose code is in a repository."""
    for name in DIRECTORIES:
        (lab.path / name).mkdir(exist_ok=True)
        (lab.path / name).chmod(0o777)
    lab.write("code/a.txt", "a")
    user = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*user, "commit", "-qm", "a"]):
        subprocess.run(["git", *words], cwd=lab.path / "code", check=True)
    demo = (lab.path / "experiments/demo.toml").read_text()
    lab.write("experiments/demo.toml", f'command = "true"\ncode = {{ path = "code" }}\n{demo}')
    return lab


def open_to_others(lab):
    """Return what others may read, write or enter."""
    kept = [lab.registry, *(lab.path / name for name in DIRECTORIES)]
    kept += [path for directory in kept for path in directory.resolve().rglob("*")]
    return [str(path) for path in kept if path.stat().st_mode & 0o077]


def test_all_that_is_kept_is_for_the_owner_alone(loose, run, no_umask):
    run("launch", EXP="demo")
    run("dataset_build", DATASET="talks", SOURCE="code")
    run("teardown", EXP="demo")
    FileRegistry(loose.registry).archive(lambda _: set())
    SshConfig(loose.path).write("demo", [], None)
    SshConfig(loose.path).pin("demo", "i-1", ["ssh-ed25519 AAAA"])
    assert SshConfig(loose.path).config.exists()
    PriceCache(loose.path / ".cache/prices.json").store({})
    disk_cache.write(loose.path / ".cache/programs/a", {})
    assert list((loose.path / ".code").iterdir())
    assert list((loose.path / ".datasets").iterdir())
    assert list((loose.path / "registry-archive").iterdir())
    assert open_to_others(loose) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_directory_of_another_user_is_refused(tmp_path):
    (tmp_path / ".code").mkdir()
    os.chown(tmp_path / ".code", 1, 1)
    (tmp_path / ".code").chmod(0o777)
    for directory in tmp_path.parents[:3]:
        directory.chmod(0o711)
    tmp_path.chmod(0o711)
    child = os.fork()
    if child == 0:
        os.setuid(NOBODY)
        try:
            private_directory(tmp_path / ".code")
        except PermissionError as refused:
            os._exit(7 if "belongs to another user" in str(refused) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_missing_directories_above_are_private_too(tmp_path, no_umask):
    private_directory(tmp_path / "a/b/c")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")} == {0o700}


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_cache_that_others_can_have_written_is_not_used(tmp_path, mode):
    file = tmp_path / ".cache/programs/a"
    disk_cache.write(file, {"a": 1})
    assert disk_cache.read(file) == {"a": 1}
    file.chmod(mode)
    assert disk_cache.read(file) is None


@pytest.fixture(params=["pipe", "device"])
def lay(request):
    """Lays at a path what a read would not come to the end of."""

    def lay_it(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path) if request.param == "pipe" else path.symlink_to("/dev/zero")
        return path

    return lay_it


@pytest.mark.parametrize("name", ["server.json", "account"])
def test_what_has_no_end_in_the_local_clouds_directory_is_named_and_not_read(tmp_path, lay, name):
    lay(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: can't be read.*: is not a regular file"):
        local_server.running(tmp_path) if name == "server.json" else local_server.account_of(tmp_path)


def test_what_has_no_end_is_not_written_to(tmp_path, lay):
    with pytest.raises(OSError, match=r"No such device|not a regular|symbolic"):
        open_private(lay(tmp_path / "lock"), "w")


def test_what_has_no_end_in_place_of_kept_code_is_replaced_by_it(tmp_path, lay):
    digest = code_archive.store_code(tmp_path, b"code")
    path = tmp_path / ".code" / digest
    path.unlink()
    assert code_archive.load_code(tmp_path, lay(path).name) is None
    code_archive.store_code(tmp_path, b"code")
    assert code_archive.load_code(tmp_path, digest) == b"code"


def test_what_has_no_end_among_the_locks_is_named(tmp_path, lay):
    lay(tmp_path / "registry.json.locks" / "demo")
    with pytest.raises(UserError, match="demo: is not a regular file"):
        file_lock.lock_owners(tmp_path / "registry.json")
