"""The settings of an `Afterwork`, with their defaults and checks."""

from __future__ import annotations

import os

from . import _check, _durations
from ._clock import SYSTEM_CLOCK
from ._hosts import as_host
from ._retry import Retry
from ._stores import as_store
from .errors import InvalidOptionError, UnknownOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Literal, TypeAlias, TypedDict

    from ._clock import WaitingClock
    from ._engine import Engine
    from ._hosts import Host, WaitUntil
    from ._run import Reporter, Run
    from ._store import Store

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
        store: Store | str | None
        on_store_error: Literal["fail", "run"]
        lease: float
        environment: str | None
        record: Literal["failures", "all", "none"]
        slow: float
        clock: WaitingClock | None
        scheduler: Literal["auto"] | bool
        start_delay: float
        ready: Callable[[], object] | None
        keep: int
        keep_for: float | str
        engine: Engine | None
        max_payload: int
        concurrency: int
        worker: Literal["auto"] | bool


DEFAULT_LEASE_SECONDS = 60.0
"""Long enough for a store that is away for a moment, short enough to wait for after a crash."""
DEFAULT_KEEP_SECONDS = 30 * 86_400.0
DEFAULT_SLOW_SECONDS = 10.0
DEFAULT_MAX_PAYLOAD = 262_144
DEFAULT_CONCURRENCY = 10
ENGINE = ("bind", "enqueue", "serve", "status", "cancel", "capabilities", "close", "name")
RECORDS = ("failures", "all", "none")
DEFAULT_GRACE_SECONDS = 25.0
"""Below the 30 s that Kubernetes, Heroku, Render and gunicorn give a process to end."""

NAMES = (
    "around",
    "at_limit",
    "budget",
    "clock",
    "concurrency",
    "early",
    "engine",
    "environment",
    "grace",
    "host",
    "keep",
    "keep_for",
    "lease",
    "limit",
    "max_payload",
    "on_abandon",
    "on_missing",
    "on_store_error",
    "ready",
    "record",
    "reporters",
    "retry",
    "scheduler",
    "sequential",
    "slow",
    "start_delay",
    "store",
    "threads",
    "timeout",
    "worker",
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
        self.store: Store | None = None if get("store") is None else as_store(get("store"))
        self.on_store_error = _check.choice(
            "on_store_error", get("on_store_error", "fail"), ("fail", "run")
        )
        self.lease = _check.seconds("lease", get("lease", DEFAULT_LEASE_SECONDS))
        self.environment = _check.optional_text("environment", get("environment")) or environment()
        self.record = _check.choice("record", get("record", "failures"), RECORDS)
        self.clock: WaitingClock = get("clock") or SYSTEM_CLOCK
        if not all(hasattr(self.clock, name) for name in ("now", "monotonic", "sleep_until")):
            expected = "a clock with now(), monotonic() and sleep_until()"
            raise InvalidOptionError("clock", expected, self.clock)
        self.scheduler: Literal["auto"] | bool = get("scheduler", "auto")
        if self.scheduler not in ("auto", True, False):
            raise InvalidOptionError("scheduler", "'auto', True or False", self.scheduler)
        self.start_delay = _check.seconds("start_delay", get("start_delay", 0), zero=True)
        self.ready: Callable[[], object] | None = get("ready")
        if self.ready is not None and not callable(self.ready):
            raise InvalidOptionError("ready", "a function that says whether to begin", self.ready)
        self.keep = _check.count("keep", get("keep", 1000))
        self.keep_for = _duration("keep_for", get("keep_for", DEFAULT_KEEP_SECONDS))
        self.engine: Engine | None = get("engine")
        if self.engine is not None and not all(hasattr(self.engine, name) for name in ENGINE):
            raise InvalidOptionError("engine", f"an object with {', '.join(ENGINE)}", self.engine)
        self.max_payload = _check.count("max_payload", get("max_payload", DEFAULT_MAX_PAYLOAD))
        self.concurrency = _check.count("concurrency", get("concurrency", DEFAULT_CONCURRENCY))
        self.worker: Literal["auto"] | bool = get("worker", "auto")
        if self.worker not in ("auto", True, False):
            raise InvalidOptionError("worker", "'auto', True or False", self.worker)
        self.slow = _check.seconds("slow", get("slow", DEFAULT_SLOW_SECONDS), zero=True)


def _duration(name: str, value: Any) -> float:
    return _check.seconds(name, _durations.parse(value) if isinstance(value, str) else value)


def environment() -> str | None:
    """The environment's name as the process' variables give it."""
    return os.environ.get("AFTERWORK_ENV") or os.environ.get("VERCEL_ENV") or None
