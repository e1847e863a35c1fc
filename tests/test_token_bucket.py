"""Asking in AWS's own time: against a bucket like AWS's, by a clock that only the test moves."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from hypothesis import given
from hypothesis import strategies as st

from ec2lab.aws.token_bucket import TokenBucket


class Clock:
    """Time, which passes where somebody waits."""

    def __init__(self):
        self.now = 100.0

    def pause(self, seconds):
        self.now += seconds

    def __call__(self):
        return self.now


class Aws:
    """A bucket of requests that refills."""

    def __init__(self, clock, size, refill):
        self.clock, self.size, self.refill = clock, size, refill
        self.tokens, self.at = size, clock()

    def takes(self):
        self.tokens = min(self.size, self.tokens + (self.clock() - self.at) * self.refill)
        self.at = self.clock()
        granted = self.tokens >= 1
        self.tokens -= granted
        return granted


def sent(requests, size, refill, every=0.0):
    """Return the seconds that so many requests take, and how often AWS refused; `every` request takes so long."""
    clock = Clock()
    aws, bucket, refusals = Aws(clock, size, refill), TokenBucket(clock.pause, clock), 0
    for _ in range(requests):
        while True:
            sent_at = bucket.take()
            clock.pause(every)
            if aws.takes():
                bucket.granted()
                break
            bucket.on_throttled(sent_at)
            refusals += 1
    return clock() - 100.0, refusals


def test_a_hundred_take_what_the_bucket_allows_and_hardly_any_is_refused():
    seconds, refusals = sent(100, 5, 2)
    assert seconds <= 1.1 * 95 / 2
    assert refusals <= 5


def test_a_hundred_threads_that_all_wait_take_what_the_bucket_allows_where_awss_fills_later_than_ours():
    clock, lock, refusals = Clock(), Lock(), []
    aws, bucket = Aws(clock, 5, 2), TokenBucket(clock.pause, clock)
    aws.tokens -= 6  # our first requests were three seconds on their way

    def ask(number):
        while True:
            sent_at = bucket.take()
            with lock:
                granted = aws.takes()
            if granted:
                return bucket.granted()
            bucket.on_throttled(sent_at)
            refusals.append(number)

    with ThreadPoolExecutor(100) as threads:
        list(threads.map(ask, range(100)))
    assert clock() - 100.0 <= 1.1 * (95 + 6) / 2
    assert len(refusals) <= 12


def test_refusals_of_requests_that_were_on_their_way_together_slow_it_down_no_further():
    clock = Clock()
    bucket = TokenBucket(clock.pause, clock)
    together = [bucket.take() for _ in range(5)]
    clock.pause(0.2)
    for sent_at in together:
        bucket.on_throttled(sent_at)
    assert bucket.refill == 2.0


def test_five_go_at_once():
    assert sent(5, 5, 2) == (0.0, 0)


@given(st.integers(20, 300), st.floats(1, 20), st.floats(0.3, 6), st.floats(0, 0.05))
def test_however_large_awss_bucket_is_ours_learns_it(requests, size, refill, every):
    seconds, refusals = sent(requests, size, refill, every)
    allowed = max(0.0, (requests - size) / refill)
    at_our_pace = (requests - 5) / 2
    assert seconds <= 1.35 * max(allowed, at_our_pace) + 12
    assert refusals <= 12 + requests / 8


def test_after_being_too_fast_again_and_again_it_asks_less_often_but_never_stops():
    clock = Clock()
    bucket = TokenBucket(clock.pause, clock)
    for _ in range(60):
        bucket.on_throttled(bucket.take())
    assert 0.1 <= bucket.refill < 0.2
