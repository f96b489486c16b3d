"""The options of one `after()` call."""

from __future__ import annotations

from . import _check
from ._kinds import is_async
from ._retry import Retry
from .errors import InvalidOptionError, UnknownOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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


NAMES = ("early", "key", "name", "on", "retry", "timeout")
CONDITIONS = ("always", "success", "error")


class Unset:
    """The value of an option that was not given, where None means something."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


class Options:
    """Checked options. One object serves every call made with it; it never changes."""

    __slots__ = ("early", "given", "key", "name", "on", "retry", "timeout")

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
