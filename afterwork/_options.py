"""The options of one `after()` call."""

from __future__ import annotations

from . import _check, _durations
from ._kinds import is_async
from ._retry import Retry
from .errors import InvalidOptionError, NaiveDatetimeError, UnknownOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from typing import Any, Literal, TypeAlias, TypedDict

    from ._response import ResponseInfo

    Condition: TypeAlias = Literal["always", "success", "error"] | Callable[[ResponseInfo], object]

    class OptionValues(TypedDict, total=False):
        """The keywords of `after.options(...)`."""

        on: Condition
        timeout: float | None
        retry: Retry | None
        name: str | None
        key: str | None
        early: bool
        delay: float | str | timedelta | datetime | None
        priority: int
        when: Literal["recorded", "sent"]
        commit: Any
        connection: Any


NAMES = (
    "commit",
    "connection",
    "delay",
    "early",
    "key",
    "name",
    "on",
    "priority",
    "retry",
    "timeout",
    "when",
)
DURABLE_ONLY = ("commit", "connection", "delay", "priority", "when")
"""What only durable jobs know."""
MOST_DELAY_SECONDS = 1000 * 365.25 * 86_400
CONDITIONS = ("always", "success", "error")


class Unset:
    """The value of an option that was not given, where None means something."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


class Options:
    """Checked options. One object serves every call made with it; it never changes."""

    __slots__ = (
        "commit",
        "connection",
        "delay",
        "durable_only",
        "early",
        "given",
        "key",
        "name",
        "on",
        "priority",
        "retry",
        "timeout",
        "when",
    )

    def __init__(self, **values: Any) -> None:
        for name in values:
            if name not in NAMES:
                raise UnknownOptionError(name, NAMES)
        self.given = values
        on = values.get("on", "always")
        if not callable(on) and on not in CONDITIONS:
            expected = "'always', 'success', 'error' or a function of the ResponseInfo"
            raise InvalidOptionError("on", expected, on)
        if is_async(on):
            raise InvalidOptionError("on", "a plain function; an async one is always true", on)
        self.on: Condition = on
        self.timeout: float | None | Unset = UNSET
        if "timeout" in values:
            self.timeout = _check.optional_seconds("timeout", values["timeout"])
        self.retry: Retry | None | Unset = UNSET
        if "retry" in values:
            self.retry = values["retry"]
            if not (self.retry is None or isinstance(self.retry, Retry)):
                raise InvalidOptionError("retry", "a Retry, like Retry(3), or None", self.retry)
        self.name = _check.optional_text("name", values.get("name"))
        self.key = _check.optional_text("key", values.get("key"))
        self.early = _check.flag("early", values.get("early", False))
        self.durable_only = next((name for name in DURABLE_ONLY if name in values), None)
        """The name of an option that only durable jobs know, if one was given."""
        self.delay: float | datetime | None = None
        """Seconds, or the moment itself."""
        self.priority = 0
        self.when: str = "recorded"
        self.commit: Any = None
        self.connection: Any = None
        if self.durable_only is not None:
            self._take_durable(values)

    def _take_durable(self, values: dict[str, Any]) -> None:
        delay: Any = values.get("delay")
        if hasattr(delay, "timestamp"):
            if delay.utcoffset() is None:
                raise NaiveDatetimeError("delay", delay)
            self.delay = delay
        elif delay is not None:
            seconds: Any = _durations.parse(delay) if isinstance(delay, str) else delay
            if hasattr(seconds, "total_seconds"):
                seconds = seconds.total_seconds()
            self.delay = _check.seconds("delay", seconds, zero=True)
            if self.delay > MOST_DELAY_SECONDS:
                raise InvalidOptionError("delay", "at most 1000 years", delay)
        self.priority = values.get("priority", 0)
        if type(self.priority) is not int or not -1000 <= self.priority <= 1000:
            expected = "a whole number from -1000 to 1000; higher goes first"
            raise InvalidOptionError("priority", expected, self.priority)
        self.when = _check.choice("when", values.get("when", "recorded"), ("recorded", "sent"))
        self.commit = values.get("commit")
        self.connection = values.get("connection")

    def admits(self, response: ResponseInfo | None) -> bool:
        """Whether a callback with these options runs after that response.

        Raises what a user's predicate raises.
        """
        if self.on == "always":
            return True
        assert response is not None, "a drain begins when there is a response"
        if self.on == "success":
            return response.success
        if self.on == "error":
            return not response.success
        return bool(self.on(response))


DEFAULT = Options()
