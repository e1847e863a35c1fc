"""What a failure or the first signal takes back is not cut short by signals, and holds no signal back for ever."""

import os
import signal
import threading
import time

import pytest

from ec2lab.errors import UserError
from ec2lab.interrupts import Interrupts
from ec2lab.standard_streams import PATIENCE, Outlet

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ALL = (*NUMBERS, signal.SIGALRM)


@pytest.fixture
def interrupts():
    before = {number: signal.getsignal(number) for number in ALL}
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    made = Interrupts()
    made.install()
    yield made
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)  # pytest-timeout's


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0)  # Python calls handlers between two of its own steps


def fail(interrupts, problem, undo):
    with interrupts.undone_on_failure(undo, "`make teardown`"):
        raise problem


def test_a_failure_is_undone_whatever_comes_and_the_signal_ends_the_command_then(interrupts, capfd):
    undone = []

    def undo(problem):
        send(*NUMBERS)
        undone.append(problem)

    with pytest.raises(KeyboardInterrupt):
        fail(interrupts, problem := UserError("no"), undo)
    assert undone == [problem]
    assert capfd.readouterr().err.count("still rolling back") == len(NUMBERS)
    with pytest.raises(UserError, match="no"):
        fail(interrupts, problem, lambda _: None)


def test_a_signal_that_another_thread_gets_ends_what_the_main_thread_waits_for(interrupts):
    def get_one():
        time.sleep(0.05)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    threading.Thread(target=get_one).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threading.Event().wait(PATIENCE)
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("first", NUMBERS)
def test_the_first_signal_is_an_interrupt_and_no_other_is(interrupts, first):
    undone = []

    def interrupted():
        with interrupts.undone_on_failure(undone.append, "`make teardown`"):
            send(first)
            undone.append("not interrupted")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    send(*NUMBERS)
    assert [type(problem) for problem in undone] == [KeyboardInterrupt]


def test_an_interrupt_just_before_the_undoing_begins_keeps_none_from_it(interrupts, monkeypatch):
    begin, undone = interrupts._begin, []  # noqa: SLF001 - the moment is a few instructions long

    def late():
        monkeypatch.setattr(interrupts, "_begin", begin)
        send(signal.SIGHUP)
        return begin()

    monkeypatch.setattr(interrupts, "_begin", late)
    with pytest.raises(KeyboardInterrupt):
        fail(interrupts, UserError("no"), undone.append)
    assert [type(problem) for problem in undone] == [KeyboardInterrupt]
    assert isinstance(undone[0].__context__, UserError)


def test_what_another_thread_takes_back_holds_no_signal_up(interrupts):
    begun, end = threading.Event(), threading.Event()

    def undo(_):
        begun.set()
        end.wait()

    def work():
        with pytest.raises(UserError):
            fail(interrupts, UserError("no"), undo)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)
    end.set()
    thread.join()


def test_one_who_has_stopped_reading_is_waited_for_once_while_something_is_undone(interrupts, monkeypatch):
    monkeypatch.setattr("ec2lab.standard_streams.INTERRUPTS", interrupts)
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    began = time.monotonic()

    def undo(_):
        for _ in range(50):
            outlet.write(b"x" * 4096)

    with pytest.raises(UserError):
        fail(interrupts, UserError("no"), undo)
    assert PATIENCE <= time.monotonic() - began < 10 * PATIENCE
    os.close(reading)
    os.close(writing)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_gets_lost_comes_again(interrupts, monkeypatch):
    monkeypatch.setattr("ec2lab.interrupts.AGAIN", 0.05)

    class Dropping:
        def __del__(self):
            send(signal.SIGHUP)  # Python drops what is raised here

    undone = []

    def interrupted():
        with interrupts.undone_on_failure(undone.append, "`make teardown`"):
            Dropping()
            undone.append("dropped")
            time.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [str(one) for one in undone] == ["dropped", ""]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_rollback_that_somebody_gave_up_ends_although_the_interrupt_got_lost(interrupts, monkeypatch):
    monkeypatch.setattr("ec2lab.interrupts.AGAIN", 0.05)
    monkeypatch.setattr("ec2lab.interrupts._is_terminal", lambda: True)

    class Dropping:
        def __del__(self):
            send(signal.SIGINT)  # Python drops what is raised here

    def undo(_):
        send(signal.SIGINT, signal.SIGINT)
        Dropping()
        assert interrupts.given_up
        time.sleep(30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fail(interrupts, UserError("no"), undo)
    assert time.monotonic() - began < 10
    time.sleep(0.1)  # nothing comes once the rollback is left
