"""When to try again."""

from __future__ import annotations

from . import _check
from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

BACKOFFS = ("exponential", "linear", "fixed")


class Retry:
    """A policy for trying a failed callback again. It is a value: build it once, use it everywhere.

    `attempts` counts the first try too: `Retry(3)` runs a callback at most three times. Between two
    attempts lie `delay` seconds (`backoff="fixed"`), `delay` times the number of failures
    (`"linear"`), or `delay` doubled with every failure (`"exponential"`, the default), never more
    than `max_delay`. `jitter` takes a random part of up to half of that away, so that many
    callbacks which failed together do not come back together. Only errors of the classes in `on`
    are tried again.

    A waiting attempt takes up no worker thread and no place under the process-wide limit. An
    attempt whose delay would end after the drain's deadline is not made: the run fails at once with
    the error it has. A sync callback that timed out is not tried again, because its thread is still
    running.

    Raises `InvalidOptionError` for values that make no sense.
    """

    __slots__ = ("attempts", "backoff", "delay", "jitter", "max_delay", "on")

    def __init__(
        self,
        attempts: int,
        *,
        backoff: Literal["exponential", "linear", "fixed"] = "exponential",
        delay: float = 1.0,
        max_delay: float = 60.0,
        jitter: bool = True,
        on: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> None:
        self.attempts = _check.count("attempts", attempts)
        self.backoff: Literal["exponential", "linear", "fixed"] = backoff
        _check.choice("backoff", backoff, BACKOFFS)
        self.delay = _check.seconds("delay", delay, zero=True)
        self.max_delay = _check.seconds("max_delay", max_delay, zero=True)
        self.jitter = _check.flag("jitter", jitter)
        self.on = on if isinstance(on, tuple) else (on,)
        for kind in self.on:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise InvalidOptionError("on", "a subclass of Exception, or a tuple of them", on)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Retry({self.attempts}, backoff={self.backoff!r}, delay={self.delay:g})"

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def again(self, attempt: int, error: BaseException) -> bool:
        """Whether another attempt follows number `attempt`, which ended with `error`."""
        return attempt < self.attempts and isinstance(error, self.on)

    def wait(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt` failed."""
        factor: float = 1
        if self.backoff == "linear":
            factor = attempt
        elif self.backoff == "exponential":
            # 2**1024 is no float any more; long before that `max_delay` has decided.
            factor = 2.0 ** min(attempt - 1, 64)
        seconds = min(self.delay * factor, self.max_delay)
        if self.jitter:
            import random

            seconds *= random.uniform(0.5, 1.0)
        return seconds
