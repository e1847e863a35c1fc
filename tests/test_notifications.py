"""A notifier that fails or hangs holds nothing up, and is said to."""

import threading
import time

import pytest

from ec2lab.events.watch import ExperimentEnded
from ec2lab.watch.notifier import NotificationDispatcher, Notifier


class Telling(Notifier):
    """Does with each event what the test says."""

    def __init__(self, name, does):
        self.name, self.does, self.told = name, does, []

    def notify(self, event):
        self.told.append(event.exit_code)
        self.does(event)


@pytest.fixture
def complaints():
    return []


def event(number):
    return ExperimentEnded(experiment="demo", exit_code=number)


def failing(_):
    raise SystemExit("no\nway")


def test_each_is_told_everything_in_order_whatever_another_does(complaints):
    wrong, right = Telling("wrong", failing), Telling("right", lambda _: None)
    notices = NotificationDispatcher([wrong, right], complaints.append)
    for number in range(20):
        notices.tell(event(number))
    notices.close()
    assert wrong.told == right.told == list(range(20))
    assert complaints == ["notifier wrong: experiment-ended was not sent: SystemExit: no way"] * 20


def test_one_that_hangs_is_said_to_once_and_is_told_nothing_more(complaints):
    let_go = threading.Event()
    hanging, right = Telling("hanging", lambda _: let_go.wait(60)), Telling("right", lambda _: None)
    notices = NotificationDispatcher([hanging, right], complaints.append, limit=0.05)
    began = time.monotonic()
    for number in range(5):
        notices.tell(event(number))
    while not complaints:
        notices.check()
    notices.tell(event(5))
    notices.close()
    assert time.monotonic() - began < 30
    assert complaints == ["notifier hanging: has not returned for 0 s; it receives nothing more"]
    assert (hanging.told, right.told) == ([0], [0, 1, 2, 3, 4, 5])
    let_go.set()


def test_the_last_words_are_waited_for_and_no_longer_than_one_may_take(complaints):
    let_go = threading.Event()
    slow, hanging = Telling("slow", lambda _: let_go.wait(0.2)), Telling("hanging", lambda _: let_go.wait(60))
    notices = NotificationDispatcher([slow, hanging], complaints.append, limit=1.0)
    notices.tell(event(0))
    notices.close()
    assert slow.told == [0]
    assert complaints == ["notifier hanging: did not receive all events, because it does not return"]
    let_go.set()
