"""What the trigger route answers.

1. 200 or 202 for all that is no failure. Outside schedulers take anything else for one and deliver
   again, or switch the schedule off.
2. 500 for a failure where another delivery may help; 200 with `failed` where it cannot, because the
   job said so or because the caller never delivers again. QStash is told with its own 489.
3. No answer holds what a job raised, a secret, or why a caller was refused.
"""

from __future__ import annotations

import json
import math

from . import _slots
from ._job_ticket import REPLACED
from ._outcome import Outcome
from .errors import PermanentFailure, RetryLater

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._asgi import Send
    from ._callers import Call
    from ._job_ticket import JobTicket
    from ._work import Work

UNAVAILABLE_SECONDS = 60
NO_FAILURES = ("ok", "accepted", "duplicate", "paused", "skipped")
NON_RETRYABLE = (489, {"Upstash-NonRetryable-Error": "true"})
"""QStash puts the message into its dead letter queue at once."""


class Answer:
    """A status code and a JSON object."""

    __slots__ = ("body", "code", "headers")

    def __init__(self, code: int, status: str, headers: Any = None, /, **fields: Any) -> None:
        self.code = code
        self.headers: dict[str, str] = headers or {}
        self.body = {"status": status}
        self.body.update((name, value) for name, value in fields.items() if value is not None)

    async def send(self, send: Send) -> None:
        """Sends it, never to be cached."""
        body = json.dumps(self.body).encode() + b"\n"
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            **self.headers,
        }
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.code, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


class Refused(Exception):
    """Ends a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def ended(work: Work, ticket: JobTicket, call: Call) -> Answer:
    """The answer about a run that is over."""
    outcome = work.outcome
    assert outcome is not None
    fields = _fields(work, ticket)
    if ticket.status == "unavailable":
        return unavailable(**fields)
    if ticket.status is not None:
        return Answer(200, ticket.status, **fields)
    if outcome is Outcome.SUCCEEDED:
        return Answer(200, "ok", **fields)
    if isinstance(work.error, PermanentFailure):
        code, headers = NON_RETRYABLE if call.caller == "qstash" else (200, {})
        return Answer(code, str(outcome), headers, **fields)
    if call.caller == "vercel-cron" or call.caller == "vercel-schedule":
        return Answer(200, str(outcome), **fields)
    if outcome is Outcome.CANCELLED and (work.cut or "").startswith(REPLACED):
        return Answer(200, str(outcome), **fields)  # again it would replace its own successor
    headers = {}
    if isinstance(work.error, RetryLater):
        headers["Retry-After"] = str(math.ceil(work.error.seconds))
    return Answer(500, str(outcome), headers, **fields)


def accepted(work: Work, ticket: JobTicket) -> Answer:
    """The answer about a run that goes on after it."""
    return Answer(202, "accepted", **_fields(work, ticket))


def unavailable(**fields: Any) -> Answer:
    """Nothing was run, and nobody can tell yet when it will be."""
    return Answer(503, "unavailable", {"Retry-After": str(UNAVAILABLE_SECONDS)}, **fields)


def _fields(work: Work, ticket: JobTicket) -> dict[str, Any]:
    first = ticket.first
    attempt = ticket.earlier_attempts + work.attempt
    return {
        "job": ticket.job.name,
        "run_id": work.run_id if first is None else first.id,
        "run_state": None if first is None else first.state,
        "slot": None if ticket.slot is None else _slots.text(ticket.slot),
        "attempt": attempt if attempt > 1 else None,
        "reason": work.cut if first is None else None,
        "error": None if work.error is None else type(work.error).__qualname__,
        "duration_seconds": work.duration,
    }
