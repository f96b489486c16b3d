"""What is told: that a job began to fail, still does, or has recovered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from .._facts import Facts

__all__ = ["VERSION", "Alert", "Event"]

VERSION = 1
"""Of the JSON. A field may be added; one that goes or changes its meaning makes it 2."""

Event: TypeAlias = Literal["failing", "still_failing", "recovered"]

TEXTS: dict[Event, str] = {
    "failing": "is failing",
    "still_failing": "is still failing",
    "recovered": "has recovered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A change in how a job does, and the run that made it."""

    event: Event
    """`still_failing` comes only with `repeat`."""
    name: str
    """Of the job, or of the callback."""
    is_job: bool
    since: datetime
    """When the first failure in a row was seen (UTC)."""
    at: datetime
    """When the run was over (UTC)."""
    run_id: str
    outcome: str
    trigger: str
    attempt: int
    scheduled_for: datetime | None
    duration: float | None
    """Seconds of the run's last attempt."""
    error: str | None
    """The class of what it raised."""
    error_text: str | None
    """The beginning of its message, if that was asked for. Not escaped."""
    reason: str | None
    """Why it was cut or abandoned."""

    @classmethod
    def of(cls, event: Event, facts: Facts, since: datetime, include_error: bool) -> Alert:
        """Of what is known of a run."""
        return cls(
            event=event,
            name=facts.name,
            is_job=facts.is_job,
            since=since,
            at=facts.at,
            run_id=facts.run_id,
            outcome=str(facts.outcome),
            trigger=facts.trigger,
            attempt=facts.attempt,
            scheduled_for=facts.scheduled_for,
            duration=facts.duration,
            error=facts.error,
            error_text=facts.error_text if include_error else None,
            reason=facts.reason,
        )

    @property
    def recovered(self) -> bool:
        """Whether it is good news."""
        return self.event == "recovered"

    @property
    def title(self) -> str:
        """What it says of the job, in words that follow its name: `is failing`."""
        return TEXTS[self.event]

    @property
    def details(self) -> list[str]:
        """The rest of the message, as lines of plain text."""
        cause = "" if self.recovered else self.error or self.reason or ""
        lines = [f"{self.outcome}{f': {cause}' if cause else ''}"]
        if self.error_text:
            lines.append(self.error_text)
        if self.since != self.at:
            lines.append(f"failing since {_minute(self.since)}")
        slot = "" if self.scheduled_for is None else f", due {_minute(self.scheduled_for)}"
        lines.append(f"run {self.run_id}, attempt {self.attempt}, by {self.trigger}{slot}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """What a webhook of the format `json` is sent. Its fields are all always there."""
        return {
            "version": VERSION,
            "event": self.event,
            "kind": "job" if self.is_job else "callback",
            "name": self.name,
            "since": self.since.isoformat(),
            "at": self.at.isoformat(),
            "run_id": self.run_id,
            "outcome": self.outcome,
            "trigger": self.trigger,
            "attempt": self.attempt,
            "scheduled_for": None if self.scheduled_for is None else self.scheduled_for.isoformat(),
            "duration_seconds": self.duration,
            "error": self.error,
            "error_text": self.error_text,
            "reason": self.reason,
        }


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
