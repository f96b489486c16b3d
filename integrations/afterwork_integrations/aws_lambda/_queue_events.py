"""What a queue hands over: batches of durable calls, for the engine that sent them.

The invocation lasts until they are over, so nothing has to be kept from the freezer. Who may hand
over is decided by the event source mapping, which nothing but the function's owner makes.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from afterwork import Afterwork


def is_one(event: object) -> bool:
    """Whether an event is a batch of Amazon SQS."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        return False
    return all(isinstance(each, dict) and each.get("eventSource") == "aws:sqs" for each in records)


def handle(
    work: Afterwork | None, event: dict[str, Any], seconds: float
) -> Coroutine[Any, Any, dict[str, Any]]:
    """Has the engine run a batch. Raises `ValueError` where no engine takes one, so that it stays
    in the queue."""
    take: Any = getattr(None if work is None else work.engine, "handle", None)
    if take is None:
        raise ValueError(
            "a queue handed over calls, and this handler has no engine that takes them: make it "
            "with the Afterwork that has one, Handler(app, work) with Afterwork(engine=SQSEngine("
            "...))"
        )
    running: Coroutine[Any, Any, dict[str, Any]] = take(event, seconds=seconds)
    return running
