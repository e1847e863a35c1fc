"""The log of a command is all there: whatever it prints, however fast, and whatever happens meanwhile."""

import os
import re
import signal
import subprocess
import time

import pytest

from ec2lab.runs.logs import pieces_in
from tests.host_log import HostLog
from tests.waiting import wait_until

BURST = """seq --format 'line %.0f of a burst, with as much on it as lines mostly have' 400000
echo Traceback 1>&2
exit 3
"""
STRANGE = b"\0\0\xff\xfe\x80 \x1b[31mred\x1b[0m\r\n 10%\r 20%\r" + "π\u2028".encode() + b"x" * 3_000_000 + b"\n\n"


@pytest.fixture
def host_log(tmp_path):
    """Makes the log of an instance, which is being written."""
    made = []

    def make(**options):
        made.append(HostLog(tmp_path, **options))
        made[-1].write()
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def small_disk(tmp_path):
    """A disk that is soon full."""
    if os.geteuid():
        pytest.skip("only root can mount a disk: run the tests as root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", place], check=False)
    if mounted.returncode:
        pytest.skip("this root can mount nothing: run the tests in a container with SYS_ADMIN")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_burst_is_there_to_its_last_line_when_the_end_is_written(host_log):
    log = host_log()
    assert log.command(BURST) == 3
    assert log.ends(3)["exit_code"] == 3
    lines = log.log.read_bytes().splitlines()
    assert len(lines) == 400_002
    assert lines[0] == b"line 1 of a burst, with as much on it as lines mostly have"
    assert lines[-2:] == [b"Traceback", b"ec2-lab: the command exited with status 3"]


def test_ten_megabytes_a_second_take_little_of_a_processor(host_log):
    """And a command is held up by its log no more than by a file."""
    log = host_log()
    began = time.monotonic()
    assert log.command("head --bytes 100M /dev/zero | tr '\\0' x") == 0
    log.ends()
    took = time.monotonic() - began
    log.writing.kill()
    _, _, usage = os.wait4(log.writing.pid, 0)
    log.writing = None
    assert log.log.stat().st_size > 100 << 20
    assert usage.ru_utime + usage.ru_stime < 1.0, "for what comes in ten seconds"
    assert took < 10


def test_every_byte_is_kept_as_it_came_and_a_reader_gets_it_from_any_place_on(host_log):
    log = host_log()
    log.prints(STRANGE)
    log.ends()
    whole = STRANGE + b"ec2-lab: the command exited with status 0\n"
    assert log.log.read_bytes() == whole
    for place in (0, 5, len(whole)):
        pieces = log.followed(place)
        assert b"".join(piece.data for piece in pieces) == whole[place:]
        assert pieces[-1].state == "ended"


def test_a_command_can_open_what_it_prints_to_by_name(host_log):
    log = host_log()
    assert log.command("echo one > /dev/stderr; echo two > /dev/stdout; echo three | tee /dev/fd/2") == 0
    assert log.has(b"one\ntwo\nthree\nthree\n")


def test_a_writer_that_is_killed_loses_nothing_of_what_is_in_the_pipe(host_log):
    log = host_log()
    log.prints(b"one\n")
    assert log.has(b"one\n")
    log.writing.send_signal(signal.SIGKILL)
    log.writing.wait()
    log.prints(b"two\n")
    log.write()
    assert log.has(b"one\ntwo\n")


def test_the_end_is_not_told_before_the_log_is_whole(host_log):
    log = host_log()
    log.prints(b"one\n")
    assert log.has(b"one\n")
    log.writing.send_signal(signal.SIGSTOP)
    with log.output.open("wb") as output:
        ending = subprocess.Popen(
            ["python3", "-I", "-c", log.program("write-exit-status.py")], stdout=output,
            env={"EXIT_CODE": "killed", "EXIT_STATUS": "KILL"},
        )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for a stopped process, for real
        ending.wait(0.3)
    assert not log.ended.exists()
    log.writing.send_signal(signal.SIGCONT)
    assert ending.wait(20) == 0
    assert log.ended.exists()
    assert (
        log.log.read_bytes()
        == b"one\nec2-lab: the command exited with status 137: killed by SIGKILL, often for lack of memory\n"
    )


def test_a_full_disk_neither_ends_nor_holds_up_a_command_and_what_is_missing_is_said_where_it_is(host_log, small_disk):
    log = host_log(disk=small_disk, RESERVED="65536")
    log.begins()
    log.prints(b"the first\n")
    assert log.has(b"the first\n"), "and what comes next has its room already"
    (small_disk / "checkpoint").write_bytes(b"")
    filling = subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/checkpoint", "bs=4096"], stderr=-1, check=False)
    assert b"No space left" in filling.stderr
    log.prints(b"OSError: No space left on device\n")
    assert log.has(b"OSError: No space left on device\n"), "in the room that was reserved"
    assert log.command("seq --format 'line %.0f' 100000") == 0, "not held up, though a pipe has room for less"
    assert wait_until(lambda: not log.unread)
    (small_disk / "checkpoint").unlink()
    log.prints(b"the last\n")
    assert log.has(b"the last\n")
    kept = [line for line in log.log.read_text().splitlines() if line.startswith("line ")]
    (said,) = [line for line in log.log.read_text().splitlines() if line.startswith("ec2-lab: ")]
    number = int(said.split("(")[1].split(" ")[0].replace(",", ""))
    assert said.startswith("ec2-lab: missing here: ")
    assert said.endswith(" lines) of the log: No space left on device")
    assert len(kept) + number in (100_000, 100_001), "one may have been cut in two"
    assert "log_missing" not in log.ends()


def test_where_the_disk_stays_full_the_end_is_written_all_the_same_and_says_what_is_missing(host_log, small_disk):
    log = host_log(disk=small_disk, RESERVED="4096")
    log.begins()
    log.prints(b"the first\n")
    assert log.has(b"the first\n")
    log.command(f"dd if=/dev/zero of={small_disk}/checkpoint bs=4096 2> /dev/null")
    log.command("seq 10000")
    ended = log.ends(1)
    assert ended["exit_code"] == 1
    assert re.fullmatch(r"[\d,]{6} bytes \(\d,\d{3} lines\) of the log: No space left on device", ended["log_missing"])
    *_, last = log.followed()
    assert last.state == "ended"
    assert last.data.decode() == f"\nec2-lab: missing here: {ended['log_missing']}\n"


def test_what_is_given_up_of_a_log_that_is_too_large_is_a_gap_and_no_place_changes(host_log):
    log = host_log(LARGEST="4<<20")
    line = b"x" * 1023 + b"\n"
    log.prints(line * 1024)
    assert log.has(line)
    following = subprocess.Popen(
        ["python3", "-I", "-c", log.program("follow-log.py"), "0"], bufsize=0, stdout=-1, stderr=-1
    )
    assert following.stdout.read(2) == b"0 "
    for _ in range(16):
        log.prints(line * 1024)
    log.ends()
    assert log.log.stat().st_size > 17 << 20
    assert log.log.stat().st_blocks * 512 < 28 << 20, "with the 16 MiB that are reserved"
    first = log.followed()[0]
    assert first.place >= 12 << 20
    assert first.data.startswith(line)
    out, err = following.communicate(timeout=20)
    assert (following.returncode, err) == (0, b"")
    *_, last = pieces_in([b"0 " + out], "it")
    assert (last.place, last.state) == (log.log.stat().st_size, "ended")


def test_a_command_that_is_begun_again_goes_on_in_the_log_and_has_not_ended(host_log):
    log = host_log()
    log.prints(b"one\n")
    log.ends(1)
    assert log.begins()
    assert not log.ended.exists()
    log.prints(b"two\n")
    log.ends(0)
    assert (
        log.followed()[0].data
        == b"one\nec2-lab: the command exited with status 1\ntwo\nec2-lab: the command exited with status 0\n"
    )


def test_an_instance_that_was_started_again_without_its_command_says_so_and_nobody_waits(host_log):
    log = host_log()
    log.prints(b"epoch 1\n")
    assert log.has(b"epoch 1\n")
    log.output.unlink()
    log_of, last = log.followed()
    assert log_of.data == b"epoch 1\n"
    assert (last.state, b"was started again" in last.data) == ("ended", True)


def test_a_command_that_the_power_cut_off_does_not_begin_again_and_has_ended(host_log):
    log = host_log()
    assert log.begins()
    log.prints(b"epoch 1\n")
    assert log.has(b"epoch 1\n")
    log.begun.unlink()  # on no disk
    assert not log.begins()
    ended = log.ends(result="exec-condition")
    why = "the instance was started again while the command ran; the command does not run again"
    assert (ended["exit_code"], ended["why"]) == (137, why)
    assert log.log.read_text() == f"epoch 1\nec2-lab: {why}\n"


@pytest.mark.parametrize(("status", "code"), [(0, 1), (5, 5)])
def test_a_command_that_a_start_up_file_ended_before_it_began_has_failed_and_says_so(host_log, status, code):
    log = host_log()
    assert log.begins()
    log.begun.unlink()
    ended = log.ends(status)
    why = f"the command never started: what a login does before it (/etc/profile) exited with status {status}"
    assert (ended["exit_code"], ended["why"]) == (code, why)
    assert log.log.read_text() == f"ec2-lab: {why}\n"
