"""What the registry promises: nothing acknowledged is lost, nothing that is not ours is touched."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from ec2lab.errors import UserError
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import FORMAT, Event, Record
from tests.full import examples

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def note(**words: Any) -> Record:
    return Record(event=Event.ANNOTATION, annotation=words)


def ids_in(path: Path) -> list[str]:
    """Return the ids as any JSON reader sees them."""
    return [each["id"] for each in json.loads(path.read_text())]


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "registry.json")


@pytest.fixture
def three(registry: FileRegistry) -> list[Record]:
    """Three records that the registry holds."""
    records = [note(number=number) for number in range(3)]
    for record in records:
        registry.append(record)
    return records


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


# What is written is what is read.


def test_a_record_is_read_back_as_it_was_written(registry: FileRegistry) -> None:
    record = Record(
        event=Event.RESPONSE,
        parent_id="1" * 32,
        experiment="speech",
        region="eu-north-1",
        response={"a": [1, None, {"b": "☃"}]},
    )
    registry.append(record)
    assert list(registry.records()) == [record]


@settings(deadline=None)
@given(text=st.text(st.characters()))
def test_any_text_is_kept_even_lone_surrogates_and_newlines(text: str) -> None:
    with TemporaryDirectory() as directory:
        registry = FileRegistry(Path(directory, "registry.json"))
        registry.append(note(text=text))
        registry.append(note(text="\ud800\n\x85\u2028"))
        first, second = registry.records()
        assert first.annotation == {"text": text}
        assert second.annotation == {"text": "\ud800\n\x85\u2028"}
        assert len(registry.path.read_bytes().splitlines()) == 4


def test_the_file_is_one_json_document_with_a_record_per_line(registry: FileRegistry, three: list[Record]) -> None:
    first, *lines, last = registry.path.read_text().split("\n")[:-1]
    assert (first, last) == ("[", "]")
    assert [json.loads(line.removesuffix(","))["id"] for line in lines] == ids(three) == ids_in(registry.path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_refused_and_changes_nothing(
    registry: FileRegistry, three: list[Record], number: float
) -> None:
    with pytest.raises(ValueError):
        registry.append(note(number=number))
    assert ids_in(registry.path) == ids(three)


def test_a_registry_that_does_not_exist_is_empty_and_is_not_made_by_reading(registry: FileRegistry) -> None:
    assert list(registry.records()) == []
    assert not registry.path.exists()


def test_records_are_those_of_the_moment_of_the_call_and_no_lock_is_held_meanwhile(
    registry: FileRegistry, three: list[Record]
) -> None:
    records = registry.records()
    registry.append(note())
    first = next(records)
    registry.append(note())
    assert [first, *records] == three


def test_threads_of_one_process_may_append_at_once(registry: FileRegistry) -> None:
    records = [note(number=number) for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(registry.append, records))
    assert sorted(ids_in(registry.path)) == sorted(ids(records))


@pytest.mark.parametrize("size", [100, 20_000])
def test_an_append_reads_and_writes_as_much_in_a_big_registry_as_in_a_small_one(
    tmp_path: Path, mocker: MockerFixture, size: int
) -> None:
    def cost_after(count: int) -> tuple[int, int]:
        registry = FileRegistry(tmp_path / f"{count}.json")
        registry.append(note())
        document = registry.path.read_bytes()
        line = document.splitlines()[1]
        registry.path.write_bytes(b"[\n" + b",\n".join([line] * count) + b"\n]\n")
        registry.append(note(text="x" * size))
        read, write = mocker.spy(os, "pread"), mocker.spy(os, "pwrite")
        registry.append(note(text="x" * size))
        mocker.stop(read)
        mocker.stop(write)
        return sum(map(len, read.spy_return_list)), sum(write.spy_return_list)

    assert cost_after(200) == cost_after(20_000)


# Where it lies.


def test_a_new_registry_is_private_and_one_that_others_can_read_becomes_so(registry: FileRegistry) -> None:
    registry.append(note())
    assert stat.S_IMODE(registry.path.stat().st_mode) == 0o600
    registry.path.chmod(0o644)
    registry.append(note())
    assert stat.S_IMODE(registry.path.stat().st_mode) == 0o600


def test_a_symbolic_link_is_followed_and_stays(registry: FileRegistry, three: list[Record]) -> None:
    link = registry.path.with_name("link.json")
    link.symlink_to(registry.path)
    registry.path.write_text(json.dumps(json.loads(registry.path.read_text()), indent=2))
    last = note()
    FileRegistry(link).append(last)
    assert link.is_symlink()
    assert ids_in(registry.path) == [*ids(three), last.id]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    registry = FileRegistry(tmp_path / "missing" / "registry.json")
    assert list(registry.records()) == []
    with pytest.raises(UserError, match=r"missing/registry\.json: its directory does not exist; create it"):
        registry.append(note())


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    for use in (FileRegistry(tmp_path).records, lambda: FileRegistry(tmp_path).append(note())):
        with pytest.raises(UserError, match="is a directory; move it"):
            use()


def test_a_device_is_refused_and_keeps_its_mode() -> None:
    mode = Path("/dev/null").stat().st_mode
    with pytest.raises(UserError, match="is not a regular file"):
        FileRegistry(Path("/dev/null")).append(note())
    assert Path("/dev/null").stat().st_mode == mode


@pytest.mark.parametrize("depth", [3_000, 100_000])
def test_a_record_that_is_nested_without_end_is_named_by_its_line(registry: FileRegistry, depth: int) -> None:
    registry.append(note())
    deep = b'{"event":"annotation","note":' + b"[" * depth + b"]" * depth + b"}"
    registry.path.write_bytes(registry.path.read_bytes().removesuffix(b"\n]\n") + b",\n" + deep + b"\n]\n")
    for use in (registry.records, lambda: registry.append(note())):
        with pytest.raises(UserError, match="line 3 is damaged"):
            use()


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        for use in (FileRegistry(path).records, partial(FileRegistry(path).append, note())):
            with pytest.raises(UserError, match="is not a regular file"):
                use()


def test_a_file_renamed_over_the_registry_while_waiting_for_the_lock_is_the_one_that_is_written(
    registry: FileRegistry, three: list[Record], mocker: MockerFixture
) -> None:
    archived = registry.path.with_name("archived.json")
    flock = fcntl.flock

    def replace_then_lock(descriptor: int, operation: int) -> None:
        if not archived.exists():
            registry.path.rename(archived)
            registry.path.write_text("[]")
        flock(descriptor, operation)

    mocker.patch("fcntl.flock", replace_then_lock)
    last = note()
    registry.append(last)
    assert ids_in(archived) == ids(three)
    assert ids_in(registry.path) == [last.id]


def test_a_file_removed_while_waiting_for_the_lock_is_made_again(
    registry: FileRegistry, three: list[Record], mocker: MockerFixture
) -> None:
    doomed = [registry.path]
    flock = fcntl.flock

    def remove_then_lock(descriptor: int, operation: int) -> None:
        while doomed:
            doomed.pop().unlink()
        flock(descriptor, operation)

    mocker.patch("fcntl.flock", remove_then_lock)
    assert three
    last = note()
    registry.append(last)
    assert ids_in(registry.path) == [last.id]


# Torn by a kill or a power loss.

plain = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
records = st.builds(note, words=plain)


def appended(path: Path, record: Record) -> bytes:
    FileRegistry(path).append(record)
    return path.read_bytes()


def finished(rest: bytes) -> bool:
    return rest.rstrip().endswith(b"\n]") and b"\0" not in rest


@settings(max_examples=examples(60), deadline=None)
@given(
    acknowledged=st.lists(records, min_size=1, max_size=4),
    torn=records,
    where=st.floats(0, 1),
    # A finished document is no torn append: that is a slip in an editor, and refused.
    rest=st.just(b"") | st.integers(1, 5000).map(bytes) | st.binary(max_size=50).filter(lambda b: not finished(b)),
)
def test_whatever_a_torn_append_leaves_every_acknowledged_record_stays_and_the_next_append_fixes(
    acknowledged: list[Record], torn: Record, where: float, rest: bytes
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "registry.json")
        for record in acknowledged:
            before = appended(path, record)
        after = appended(path, torn)
        begin = len(before) - 3
        cut = begin + 1 + int(where * (len(after) - begin - 1))
        path.write_bytes(after[:cut] + (rest or before[cut:]))
        found = [record.id for record in FileRegistry(path).records()]
        last = note()
        FileRegistry(path).append(last)
        assert found[: len(acknowledged)] == ids(acknowledged)
        assert ids_in(path) == [*found, last.id]
        assert len(path.read_bytes().splitlines()) == len(found) + 3


@pytest.mark.parametrize("acknowledged", [0, 1, 2])
def test_an_append_torn_at_any_byte_is_fixed(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "registry.json"
    path.write_bytes(b"[\n]\n")
    kept = [note(text="ü]\n") for _ in range(acknowledged)]
    for record in kept:
        FileRegistry(path).append(record)
    before = path.read_bytes()
    begin = len(before) - 3
    after = appended(path, note(list=[1, "]", "é"]))
    last = note()
    for cut in range(begin, len(after)):
        for missing in (before[cut:], bytes(len(after) - cut), bytes(10), b"stale" if acknowledged else b"\0stale"):
            path.write_bytes(after[:cut] + missing)
            FileRegistry(path).append(last)
            assert [each for each in ids_in(path) if each in ids([*kept, last])] == ids([*kept, last])


def test_missing_blocks_before_a_perfect_end_are_noticed(registry: FileRegistry, three: list[Record]) -> None:
    whole = appended(registry.path, note(text="x" * 10_000))
    registry.path.write_bytes(whole[:-9000] + bytes(4096) + whole[-4904:])
    assert list(registry.records()) == three
    last = note()
    registry.append(last)
    assert ids_in(registry.path) == [*ids(three), last.id]


def test_a_first_block_that_is_missing_leaves_the_old_closing_and_is_noticed(
    registry: FileRegistry, three: list[Record]
) -> None:
    before = registry.path.read_bytes()
    after = appended(registry.path, note(text="x" * 10_000))
    registry.path.write_bytes(before + bytes(4096) + after[len(before) + 4096 :])
    last = note()
    registry.append(last)
    assert ids_in(registry.path) == [*ids(three), last.id]


def test_reading_a_torn_registry_leaves_the_file_alone(registry: FileRegistry, three: list[Record]) -> None:
    torn = registry.path.read_bytes()[:-20]
    registry.path.write_bytes(torn)
    assert list(registry.records()) == three[:2]
    assert registry.path.read_bytes() == torn


@pytest.mark.parametrize("content", ["", "\n", "[", "[\n", "[]", "[]\n", "[\n]\n", "[ \n\n ]", '[\n{"eve', "[\n{\n"])
def test_a_registry_begun_and_without_a_record_is_empty_and_can_be_appended_to(
    registry: FileRegistry, content: str
) -> None:
    registry.path.write_text(content)
    assert list(registry.records()) == []
    record = note()
    registry.append(record)
    assert ids_in(registry.path) == [record.id]
    assert registry.path.read_bytes().splitlines()[0] == b"["


# Touched by hand.


@pytest.mark.parametrize(
    "layout",
    [
        lambda loaded: json.dumps(loaded, indent=2) + "\n",
        lambda loaded: json.dumps(loaded, indent=0, ensure_ascii=False),
        lambda loaded: json.dumps(loaded, indent="\t", sort_keys=True) + "\n",
        lambda loaded: json.dumps(loaded, separators=(",", ":")) + "\n",
    ],
    ids=["jq", "no indentation", "tabs and sorted", "jq -c"],
)
def test_another_layout_is_read_and_put_back_to_a_record_per_line(
    registry: FileRegistry, three: list[Record], layout: Callable[[Any], str]
) -> None:
    registry.path.write_text(layout(json.loads(registry.path.read_text())))
    assert list(registry.records()) == three
    last = note()
    registry.append(last)
    assert list(registry.records()) == [*three, last]
    assert len(registry.path.read_bytes().splitlines()) == 6
    assert [each.name for each in registry.path.parent.iterdir()] == ["registry.json"]


@pytest.mark.parametrize("closing", ["\n]", "", "\n", ",\n", ",\n]\n", "\r\n]\r\n"])
def test_a_closing_that_is_missing_or_mistyped_is_put_right(
    registry: FileRegistry, three: list[Record], closing: str
) -> None:
    registry.path.write_bytes(registry.path.read_bytes()[:-3] + closing.encode())
    last = note()
    registry.append(last)
    assert ids_in(registry.path) == [*ids(three), last.id]


def refused(registry: FileRegistry, message: str) -> None:
    """Expect that neither reading nor appending accepts the file, and that its bytes stay."""
    before = registry.path.read_bytes()
    for use in (lambda: list(registry.records()), lambda: registry.append(note())):
        with pytest.raises(UserError, match=message) as error:
            use()
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(str(registry.path))
    assert registry.path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"{}",
        b'{"Reservations": []}\n]\n',
        b"\x89PNG\r\n\x1a\n\0\0",
        bytes(5000),
        b'[\n{"name":"not a record"},\n{"na',
        b"[\n  {\n    ",
        b"[\nhello",
        b"\xff\xfe[\0\n\0",
    ],
)
def test_what_is_not_a_registry_is_refused_and_not_touched(registry: FileRegistry, content: bytes) -> None:
    registry.path.write_bytes(content)
    refused(registry, "is not a registry .* nothing was changed; move it away")


@pytest.mark.parametrize("content", [b"[1]", b'[\n{"name":"x"}\n]\n', b"[[]]", b'[{"event":"unknown"}]'])
def test_an_array_of_something_else_is_refused_and_not_touched(registry: FileRegistry, content: bytes) -> None:
    registry.path.write_bytes(content)
    refused(registry, "nothing in it is a registry record .*; nothing was changed")


def test_a_record_of_a_newer_version_asks_for_an_upgrade(registry: FileRegistry, three: list[Record]) -> None:
    last = json.dumps({**three[-1].as_json(), "format": FORMAT + 1, "event": "from the future"})
    registry.path.write_bytes(registry.path.read_bytes()[:-3] + f",\n{last}\n]\n".encode())
    refused(registry, f"has format {FORMAT + 1}, this ec2-lab reads up to {FORMAT}; upgrade ec2-lab")


@pytest.mark.parametrize("line", [2, 3, 4])
def test_a_slip_in_an_editor_is_refused_with_its_line_and_never_cut_off(
    registry: FileRegistry, three: list[Record], line: int
) -> None:
    lines = registry.path.read_bytes().split(b"\n")
    lines[line - 1] = lines[line - 1].replace(b'"event":', b'"event"')
    registry.path.write_bytes(b"\n".join(lines))
    before = registry.path.read_bytes()
    with pytest.raises(UserError, match=f"line {line} is damaged; nothing was changed"):
        list(registry.records())
    assert three
    assert registry.path.read_bytes() == before


def test_two_registries_in_one_file_are_not_read(registry: FileRegistry, three: list[Record]) -> None:
    registry.path.write_bytes(registry.path.read_bytes() * 2)
    with pytest.raises(UserError, match="line 6 is damaged"):
        registry.records()
    assert three


def test_a_damaged_last_line_and_a_torn_tail_behind_a_damaged_line_are_not_appended_to(
    registry: FileRegistry, three: list[Record]
) -> None:
    whole = registry.path.read_bytes()
    registry.path.write_bytes(whole[:-4] + b"oops" + whole[-4:])
    refused(registry, "line 4 is damaged")
    registry.path.write_bytes(whole.replace(b'"event"', b"event", 1)[:-10])
    refused(registry, "line 2 is damaged")
    registry.path.write_bytes(whole[:-3] + b"oops" + whole[-3:])
    refused(registry, "line 4 is damaged")
    registry.path.write_bytes(b"[\n{oops}\n]\n")
    refused(registry, "is not a registry")
    registry.path.write_bytes(b'[\n{"event":"annotation", oops}\n]\n')
    refused(registry, "line 2 is damaged")
    assert three


# The disk refuses.


def in_a_child(path: Path, restriction: str) -> str:
    """Return how an append in a process of its own ended, once restricted."""
    program = (
        "import os, resource, signal, sys; from pathlib import Path; from ec2lab.errors import UserError\n"
        "from ec2lab.registry.record import Record; from ec2lab.registry.file_registry import FileRegistry\n"
        "record = Record(event='annotation', annotation={'text': 'x' * 5000}); registry = "
        "FileRegistry(Path(sys.argv[1]))\n"
        f"{restriction}\n"
        "try: registry.append(record)\nexcept UserError as error: print(error)\nelse: print('appended')\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    child = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return child.stdout


def test_a_write_that_the_limit_of_file_size_cuts_short_leaves_the_registry_as_it_was(
    registry: FileRegistry, three: list[Record]
) -> None:
    before = registry.path.read_bytes()
    limit = len(before) + 1000
    said = in_a_child(registry.path, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))")
    assert "registry.json: over the limit for the size of a file, the record was not written; raise it" in said
    assert registry.path.read_bytes() == before
    assert list(registry.records()) == three


UNPRIVILEGED = f"os.geteuid() or (os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY}))"


@pytest.fixture
def reachable() -> Iterator[FileRegistry]:
    """An empty registry in a directory that everybody may enter, as pytest's own are not."""
    with TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory, "registry.json")
        path.parent.chmod(0o755)
        path.write_text("[]")
        yield FileRegistry(path)


def test_a_read_only_file_is_named_and_stays(reachable: FileRegistry) -> None:
    reachable.path.chmod(0o444)
    assert "registry.json: permission denied" in in_a_child(reachable.path, UNPRIVILEGED)
    assert reachable.path.read_text() == "[]"


def test_a_read_only_directory_is_named(reachable: FileRegistry) -> None:
    reachable.path.unlink()
    reachable.path.parent.chmod(0o555)
    assert "registry.json: permission denied" in in_a_child(reachable.path, UNPRIVILEGED)
    assert not reachable.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a file that another may write")
def test_a_registry_of_somebody_else_that_cannot_be_made_private_is_refused(reachable: FileRegistry) -> None:
    reachable.path.chmod(0o666)
    assert "registry.json: it is not yours" in in_a_child(reachable.path, UNPRIVILEGED)
    assert reachable.path.read_text() == "[]"


def test_a_disk_that_fills_up_in_the_middle_of_a_record_leaves_the_registry_as_it_was(
    registry: FileRegistry, three: list[Record], mocker: MockerFixture
) -> None:
    before = registry.path.read_bytes()
    pwrite = os.pwrite

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if offset > len(before):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(descriptor, content[:50], offset)

    mocker.patch("os.pwrite", full)
    with pytest.raises(UserError, match=r"registry\.json: no space left on the device, .*not written; free some space"):
        registry.append(note())
    assert registry.path.read_bytes() == before
    assert list(registry.records()) == three


def test_a_record_that_did_not_reach_the_disk_does_not_count(
    registry: FileRegistry, three: list[Record], mocker: MockerFixture
) -> None:
    mocker.patch("ec2lab.registry.file_io.flush", side_effect=OSError(errno.EIO, "Input/output error"))
    with pytest.raises(UserError, match=r"registry\.json: the disk reports an error"):
        registry.append(note())
    assert ids_in(registry.path) == ids(three)


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_nothing_is_written(
    registry: FileRegistry, three: list[Record], mocker: MockerFixture, reason: int
) -> None:
    before = registry.path.read_bytes()
    mocker.patch("fcntl.flock", side_effect=OSError(reason, os.strerror(reason)))
    for use in (registry.records, lambda: registry.append(note())):
        with pytest.raises(
            UserError, match=r"its file system cannot lock files \(flock\); keep the registry on a local"
        ):
            use()
    assert three
    assert registry.path.read_bytes() == before


@pytest.mark.parametrize(("part", "kept"), [(50, False), (None, True)])
def test_an_interrupt_tears_nothing(
    registry: FileRegistry, three: list[Record], mocker: MockerFixture, part: int | None, kept: bool
) -> None:
    record = note()
    if part:
        pwrite = os.pwrite
        left = [part]

        def interrupted(descriptor: int, content: bytes, offset: int) -> int:
            if left:
                pwrite(descriptor, content[: left.pop()], offset)
                raise KeyboardInterrupt
            return pwrite(descriptor, content, offset)

        mocker.patch("os.pwrite", interrupted)
    else:
        mocker.patch("ec2lab.registry.file_io.flush", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        registry.append(record)
    assert ids_in(registry.path) == [*ids(three), *([record.id] if kept else [])]
