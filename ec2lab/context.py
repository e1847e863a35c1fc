"""The current experiment: a sweep works on many at once, each in threads of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")

_current: ContextVar[str | None] = ContextVar("experiment", default=None)


def current_experiment() -> str | None:
    return _current.get()


@contextmanager
def working_on(experiment: str | None) -> Iterator[None]:
    """Set the experiment for all calls and annotations of this thread and of what it submits to `ContextThreadPool`."""
    before = _current.set(experiment)
    try:
        yield
    finally:
        _current.reset(before)


class ContextThreadPool(ThreadPoolExecutor):
    """A thread pool whose work inherits the caller's experiment."""

    def submit(self, function: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Future[Result]:
        context = copy_context()
        return super().submit(lambda: context.run(function, *given, **named))
