"""Guards calls to plugins: each succeeds, or raises an error that names the plugin in one line.

A guarded object is of a subclass of its own class, in which each public method that the plugin wrote is wrapped.
Results are checked at once, so that an error shows where the plugin is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ParamValidationError

from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.errors import PluginFailed, UserError
from ec2lab.printable import shortened
from ec2lab.standard_streams import PLUGIN_AT_WORK

if TYPE_CHECKING:
    from types import TracebackType

Thing = TypeVar("Thing")
ResultCheck = Callable[..., Any]
"""Returns what a method returned, as it may be used: `check(found, guard, *arguments)`. Raises Nonsense."""
OURS = ("ec2lab", "abc", "builtins", "typing")  # packages whose classes belong to no plugin


class Nonsense(Exception):
    """A plugin returned something invalid."""


@dataclass(frozen=True, slots=True)
class Guard:
    plugin: str  # plugins/motd.py, or the name of its package
    what: str = ""  # class and method
    is_script: bool = False  # whether it prints itself, and ends by SystemExit

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Raise errors as PluginFailed, except those that a plugin may raise: UserError, and AWS's."""
        at_work = PLUGIN_AT_WORK.set("" if self.is_script else self.plugin)
        try:
            yield
        except ParamValidationError as problem:
            raise self._failed(problem) from problem
        except (UserError, *AWS_ERRORS):
            raise
        except SystemExit as problem:
            if self.is_script:
                raise
            raise self._failed(problem) from problem
        except Exception as problem:
            raise self._failed(problem) from problem
        finally:
            PLUGIN_AT_WORK.reset(at_work)

    def function(self, function: Callable[..., Any], check: ResultCheck) -> Callable[..., Any]:
        """Return a function whose errors are the plugin's; `check(found, guard, *arguments)` validates its result."""

        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            with self.blamed():
                return check(function(*given, **named), self, *given)

        return call

    def iterated(self, found: Iterator[Any], check: Callable[[Any], Any]) -> Iterator[Any]:
        """Yield what a plugin yields: generators fail where they are consumed."""
        while True:
            with self.blamed():
                try:
                    one = check(next(found))
                except StopIteration:
                    return
            yield one

    def _failed(self, problem: BaseException) -> PluginFailed:
        line = _last_line(problem.__traceback__, self.plugin)
        where = f"{self.plugin}:{line}" if line else self.plugin
        kind = "" if isinstance(problem, Nonsense) else type(problem).__name__
        parts = filter(None, (where, self.what, kind, shortened(" ".join(str(problem).split()))))
        return PluginFailed(": ".join(parts))


def guarded(thing: Thing, guard: Guard, checks: Mapping[str, ResultCheck]) -> Thing:
    """Return a plugin's object with guarded methods; `checks` validate results, by method name."""
    own = type(thing)
    members = {
        name: _guarded_member(member, replace(guard, what=f"{own.__name__}.{name}"), checks.get(name, as_it_is))
        for cls in reversed(own.__mro__)
        if cls.__module__.partition(".")[0] not in OURS
        for name, member in vars(cls).items()
        if not name.startswith("_")
    }
    body = {"__slots__": (), "__module__": own.__module__, **members}
    # A frozen dataclass has a __setattr__ that refuses.
    metaclass: Any = type(own)
    object.__setattr__(thing, "__class__", metaclass(own.__name__, (own,), body))
    return thing


def _guarded_member(member: Any, guard: Guard, check: ResultCheck) -> Any:
    if isinstance(member, property) and member.fget:
        return property(guard.function(member.fget, check))
    return guard.function(member, check) if isinstance(member, FunctionType) else member


def as_it_is(found: Any, guard: Guard, *_: Any) -> Any:
    del guard
    return found


def each(found: Any, guard: Guard, check: Callable[[Any], Any], wanted: str) -> Iterable[Any]:
    """Return the validated items of an iterable. Raises Nonsense for anything else."""
    if isinstance(found, Iterator):
        return guard.iterated(found, check)
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | Mapping):
        raise Nonsense(f"returned {shortened(repr(found), 80)}, not {wanted}s")
    return [check(one) for one in found]


def is_a(found: Thing, wanted: Any, words: str) -> Thing:
    if not isinstance(found, wanted):
        raise Nonsense(f"returned {shortened(repr(found), 80)}, not a {words}")
    return found


def one(wanted: Any, words: str) -> ResultCheck:
    return lambda found, *_: is_a(found, wanted, words)


def several(wanted: Any, words: str) -> ResultCheck:
    return lambda found, guard, *_: each(found, guard, lambda item: is_a(item, wanted, words), words)


def _last_line(trace: TracebackType | None, plugin: str) -> int:
    """Return the last line of a plugin's file in a traceback; 0 where there is none, as for a package."""
    line = 0
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename.endswith(plugin) else line
        trace = trace.tb_next
    return line
