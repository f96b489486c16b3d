"""The options of a job, checked where they were written."""

from __future__ import annotations

from . import _check, _durations, _slots
from ._between import Between
from ._options import Options
from ._rate import Rate
from .errors import InvalidJobError, InvalidOptionError, UnknownOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Literal, TypedDict

    from ._retry import Retry
    from ._schedule import Schedule

    class JobValues(TypedDict, total=False):
        """The keywords of `Afterwork.job`, and of `cron` and `every` beside their own."""

        name: str
        tags: Collection[str]
        timeout: float | str | None
        retry: Retry | None
        overlap: Literal["skip", "queue", "replace", "allow"]
        misfire: Literal["once", "skip", "all"]
        grace: float | str | None
        jitter: float | str
        when: Callable[[], object] | None
        environments: Collection[str]
        between: tuple[str, str] | None
        mode: Literal["wait", "accept"] | None
        durable: bool
        concurrency: int | None
        rate: str | None


NAMES = (
    "between",
    "concurrency",
    "durable",
    "environments",
    "grace",
    "jitter",
    "misfire",
    "mode",
    "name",
    "overlap",
    "rate",
    "retry",
    "tags",
    "timeout",
    "when",
)
NEED_A_SCHEDULE = ("grace", "jitter", "misfire")
OVERLAPS = ("skip", "queue", "replace", "allow")
MISFIRES = ("once", "skip", "all")
MODES = ("wait", "accept")
RESERVED = ("health", "jobs", "runs", "tick", "work")
"""Names that the trigger route needs itself."""
OWN_PREFIX = "afterwork."
MAX_NAME_LENGTH = 100
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class JobPolicy:
    """Checked options of a job. They do not change."""

    __slots__ = (
        "_given",
        "between",
        "concurrency",
        "durable",
        "environments",
        "grace",
        "jitter",
        "misfire",
        "mode",
        "name",
        "overlap",
        "rate",
        "schedule",
        "tags",
        "timezone",
        "when",
    )

    def __init__(self, schedule: Schedule | None, timezone: str, **values: Any) -> None:
        for name in values:
            if name not in NAMES:
                raise UnknownOptionError(name, NAMES)
            if schedule is None and name in NEED_A_SCHEDULE:
                raise InvalidJobError(
                    f"{name}= says nothing for a job without a schedule. Register it with "
                    f"cron(...) or every(...), or leave {name}= out"
                )
        get = values.get
        self.schedule = schedule
        self.timezone = timezone
        self.name = None if get("name") is None else check_name(get("name"))
        self.tags = _texts("tags", get("tags", ()))
        # Without a schedule each call has its own arguments, and none is a repetition of another.
        overlap = get("overlap", "allow" if schedule is None else "skip")
        self.overlap = _check.choice("overlap", overlap, OVERLAPS)
        self.misfire = _check.choice("misfire", get("misfire", "once"), MISFIRES)
        self.grace = None if get("grace") is None else _seconds("grace", get("grace"))
        """Seconds that a slot may be late; None for the default."""
        self.jitter = _seconds("jitter", get("jitter", 0), zero=True)
        # Without jitter nothing is looked up: that takes a while, and an app may have many jobs.
        if (
            schedule is not None
            and self.jitter
            and self.jitter >= (gap := _slots.shortest(schedule))
        ):
            # The next slot would be due before this one starts.
            raise InvalidOptionError("jitter", f"less than the {gap} s between slots", self.jitter)
        self.when: Callable[[], object] | None = _check.optional_callable("when", get("when"))
        self.environments = _texts("environments", get("environments", ()))
        between = get("between")
        self.between = None if between is None else Between(between, timezone)
        mode = get("mode")
        self.mode = None if mode is None else _check.choice("mode", mode, MODES)
        self.durable = _check.flag("durable", get("durable", False))
        self.concurrency = _check.optional_count("concurrency", get("concurrency"))
        self.rate = None if get("rate") is None else Rate.parse(get("rate"))
        self._check_durable()
        self._given: dict[str, Any] = {}
        if "timeout" in values:
            timeout = values["timeout"]
            self._given["timeout"] = None if timeout is None else _seconds("timeout", timeout)
        if "retry" in values:
            self._given["retry"] = values["retry"]
        Options(**self._given)

    def _check_durable(self) -> None:
        if not self.durable:
            if self.concurrency is not None or self.rate is not None:
                raise InvalidJobError(
                    "concurrency= and rate= hold back calls that are kept until their turn: add "
                    "durable=True. Runs of other jobs are kept apart by overlap="
                )
        elif self.schedule is not None:
            raise InvalidJobError(
                "a job with a schedule is not durable: its slots are made up for by misfire=. Let "
                "it call a durable job: await after.enqueue(job)"
            )
        elif self.overlap != "allow":
            raise InvalidJobError(
                f"overlap={self.overlap!r} would drop calls that were accepted. For one run of a "
                "durable job at a time say concurrency=1"
            )

    def options(self, name: str) -> Options:
        """What the pipeline has to know of a job of that name."""
        return Options(name=name, **self._given)


def check_name(name: Any) -> str:
    """A name that a job may have. Raises `InvalidJobError`."""
    if not isinstance(name, str) or not name or name.startswith("<"):
        raise InvalidJobError(f"a job needs a name, such as name='nightly'; it has {name!r}")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidJobError(
            f"a job's name has at most {MAX_NAME_LENGTH} characters; {name[:40]!r}... has "
            f"{len(name)}"
        )
    for position, character in enumerate(name):
        if character not in NAME_CHARACTERS or (position == 0 and character in "._-"):
            raise InvalidJobError(
                "a job's name is part of a URL: letters, digits, '.', '_' and '-', the first a "
                f"letter or digit; {name!r} has {character!r} at position {position}"
            )
    if name.startswith(OWN_PREFIX):
        raise InvalidJobError(f"names that begin with {OWN_PREFIX!r} are kept for afterwork's own")
    if name in RESERVED:
        raise InvalidJobError(
            f"{name!r} is a page of the trigger route and cannot be a job's name. Give another: "
            f"name='{name}-job'"
        )
    return name


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(
        isinstance(each, str) and each for each in value
    ):
        raise InvalidOptionError(name, "a list of texts", value)
    return tuple(sorted(value) if isinstance(value, (set, frozenset)) else value)


def _seconds(name: str, value: Any, *, zero: bool = False) -> float:
    if isinstance(value, str):
        seconds = float(_durations.parse(value))
        return _check.seconds(name, seconds, zero=zero)
    return _check.seconds(name, value, zero=zero)
