"""What a durable call looks like on its way: a small JSON object that any engine can carry.

1. It names a job and never code: a worker looks the name up among its own registered jobs.
2. It says all that a run needs to go on after a crash: which attempt, how many deliveries were lost
   with their process, and the policy for the next attempt.
3. What cannot be read exactly as it was written is refused as a whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace

from .errors import PayloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERSION = 1
MOST_CRASHES = 10
"""How often a call may be lost with its process before it is given up: a run that kills its worker
each time must not do so for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One durable call. Times are seconds since the epoch."""

    id: str
    """A UUIDv7: the id of the run, the same for all its attempts and deliveries."""
    job: str
    """The name of the job."""
    payload: str = "[[], {}]"
    """The arguments, as JSON text."""
    run_at: float | None = None
    """Not before that; None for at once."""
    key: str | None = None
    """Not added while another of the same job with this key waits."""
    priority: int = 0
    """Higher goes first, among those that are due."""
    attempt: int = 1
    """The number of the attempt that is next."""
    crashes: int = 0
    """How many of the attempts before it ended with their process, and not by themselves."""
    retry: str | None = None
    """The `Retry` of this call as JSON text; None for the job's own."""
    trace: str | None = None
    """The W3C `traceparent` of where the call was made."""
    enqueued_at: float = 0.0
    """When the call was made, by the caller's clock."""

    def to_json(self) -> str:
        """The text that an engine carries."""
        values = {name: getattr(self, name) for name in CHECKS}
        return json.dumps(
            {"v": VERSION, **{k: v for k, v in values.items() if v is not None}},
            separators=(",", ":"),
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Envelope:
        """Reads it. Raises `PayloadError` for anything else, and for a newer version."""
        try:
            values: Any = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise PayloadError("the envelope", "JSON", "something else") from None
        if not isinstance(values, dict) or type(values.get("v")) is not int:
            raise PayloadError("the envelope", "an object with its version, `v`", "something else")
        if values.pop("v") != VERSION:
            raise PayloadError("the envelope", f"version {VERSION}", "another; update the worker")
        for name, value in values.items():
            if name not in CHECKS or not CHECKS[name](value):
                raise PayloadError(f"the envelope's {name[:40]!r}", "as written", "something else")
        if not {"id", "job"} <= values.keys():
            raise PayloadError("the envelope", "an id and a job", "none")
        return cls(**values)

    def again(self, run_at: float | None, *, crashed: bool = False) -> Envelope:
        """The same call for its next attempt."""
        return replace(
            self,
            run_at=run_at,
            key=None,  # it was added already, and does not stand in its own way
            attempt=self.attempt + 1,
            crashes=self.crashes + crashed,
        )


def _text(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and 0 < len(value) <= most


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


CHECKS: dict[str, Callable[[Any], bool]] = {
    "id": _text(64),
    "job": _text(100),
    "payload": lambda value: isinstance(value, str),
    "run_at": _time,
    "key": _text(200),
    "priority": _whole(-1000, 1000),
    "attempt": _whole(1, 1_000_000),
    "crashes": _whole(0, 1_000_000),
    "retry": _text(1000),
    "trace": _text(200),
    "enqueued_at": _time,
}
"""What each field of an envelope has to be. Fields that are None are left out."""

assert tuple(CHECKS) == tuple(field.name for field in fields(Envelope))


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
