"""The Lua scripts, one per method of the store, and what goes in and comes out of them.

They are files in `lua/`; `common.lua` says how the data lies in Redis.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from afterwork.stores import JobState, Pause, RunRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

WHOLE = ("slot", "attempt")
REAL = ("claimed_at", "started_at", "ended_at", "alive_until", "duration")
TEXT = ("id", "job", "trigger", "state", "delivery", "worker", "reason", "error")


@cache
def source(name: str) -> str:
    """The text of a script."""
    folder = resources.files("afterwork_integrations.redis") / "lua"
    common, own = (folder / f"{part}.lua" for part in ("common", name))
    return f"{common.read_text('utf-8')}\n{own.read_text('utf-8')}"


def decoded(answer: Any) -> Any:
    """An answer with its bytes as text, however the client was told to decode."""
    if isinstance(answer, bytes):
        return answer.decode()
    return [decoded(part) for part in answer] if isinstance(answer, list) else answer


def fields(**values: str | float | None) -> list[str]:
    """Names and values, those that are None left out."""
    pairs = ((name, value) for name, value in values.items() if value is not None)
    return [str(part) for pair in pairs for part in pair]


def mapping(flat: Iterable[Any]) -> dict[str, Any]:
    """A dict from what Redis says as name, value, name, value."""
    parts = iter(flat)
    return dict(zip(parts, parts, strict=True))


def record(values: dict[str, Any]) -> RunRecord:
    """A run from the fields of its hash, those that are only for the scripts left out."""
    known: dict[str, Any] = {name: values[name] for name in TEXT if name in values}
    known |= {name: int(values[name]) for name in WHOLE if name in values}
    known |= {name: float(values[name]) for name in REAL if name in values}
    return RunRecord(**known)


def job_state(name: str, registered_at: str, values: dict[str, str], now: float) -> JobState:
    """A job from the fields of its hash."""
    import json

    since, until = (_real(values.get(f"pause_{name}")) for name in ("since", "until"))
    pause = None
    if since is not None and (until is None or until > now):
        pause = Pause(since, until, values.get("pause_note"))
    return JobState(
        name=name,
        registered_at=float(registered_at),
        last_slot=int(values["last_slot"]) if "last_slot" in values else None,
        last_run=record(json.loads(values["last_run"])) if "last_run" in values else None,
        last_success_at=_real(values.get("last_success_at")),
        failures_in_a_row=int(values.get("failures_in_a_row", 0)),
        pause=pause,
        counts={
            field.removeprefix("count:"): int(value)
            for field, value in values.items()
            if field.startswith("count:")
        },
    )


def _real(text: str | None) -> float | None:
    return None if text is None else float(text)
