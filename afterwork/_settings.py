"""The settings of an `Afterwork`, with their defaults and checks."""

from __future__ import annotations

from . import _check
from ._hosts import as_host
from ._retry import Retry
from .errors import InvalidOptionError, UnknownOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Literal, TypeAlias, TypedDict

    from ._hosts import Host, WaitUntil
    from ._run import Reporter, Run

    Around: TypeAlias = Callable[[Run], AbstractContextManager[object]]
    OnAbandon: TypeAlias = Callable[[list[Run]], object]

    class SettingValues(TypedDict, total=False):
        """The keywords of `Afterwork` and `AfterMiddleware`."""

        host: Host | WaitUntil | Literal["detached", "inline", "before_end"] | None
        timeout: float | None
        budget: float | None
        grace: float
        retry: Retry | None
        sequential: bool
        early: bool
        limit: int | None
        at_limit: Literal["wait", "reject"]
        threads: int
        reporters: Sequence[Reporter]
        around: Sequence[Around]
        on_abandon: OnAbandon | None
        on_missing: Literal["raise", "warn"]


DEFAULT_GRACE_SECONDS = 25.0
"""Below the 30 s that Kubernetes, Heroku, Render and gunicorn give a process to end."""

NAMES = (
    "around",
    "at_limit",
    "budget",
    "early",
    "grace",
    "host",
    "limit",
    "on_abandon",
    "on_missing",
    "reporters",
    "retry",
    "sequential",
    "threads",
    "timeout",
)


class Settings:
    """Checked settings. They do not change once the app runs."""

    __slots__ = NAMES

    def __init__(self, **values: Any) -> None:
        for name in values:
            if name not in NAMES:
                raise UnknownOptionError(name, NAMES)
        get = values.get
        host = get("host")
        self.host: Host | None = None if host is None else as_host(host)
        self.timeout = _check.optional_seconds("timeout", get("timeout"))
        self.budget = _check.optional_seconds("budget", get("budget"))
        self.grace = _check.seconds("grace", get("grace", DEFAULT_GRACE_SECONDS), zero=True)
        self.retry: Retry | None = get("retry")
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise InvalidOptionError("retry", "a Retry, like Retry(3), or None", self.retry)
        self.sequential = _check.flag("sequential", get("sequential", False))
        self.early = _check.flag("early", get("early", False))
        self.limit = _check.optional_count("limit", get("limit", 100))
        self.at_limit = _check.choice("at_limit", get("at_limit", "wait"), ("wait", "reject"))
        self.threads = _check.count("threads", get("threads", 32))
        self.reporters: tuple[Reporter, ...] = _check.callables("reporters", get("reporters", ()))
        self.around: tuple[Around, ...] = _check.callables("around", get("around", ()))
        self.on_abandon: OnAbandon | None = _check.optional_callable(
            "on_abandon", get("on_abandon")
        )
        self.on_missing = _check.choice("on_missing", get("on_missing", "raise"), ("raise", "warn"))
