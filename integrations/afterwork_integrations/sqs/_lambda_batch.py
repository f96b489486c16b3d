"""What AWS Lambda hands over of a queue, and what it wants to know of it.

See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from ._queue import Message


async def run_batch(
    event: dict[str, Any],
    settle: Callable[[Message], Coroutine[Any, Any, bool]],
    seconds: float | None,
) -> dict[str, Any]:
    """Runs a batch, at most so long, and names the messages that are to come again."""
    tasks: dict[asyncio.Task[bool], str] = {}
    for record in event["Records"]:
        message = Message.of_record(record)
        tasks[asyncio.create_task(settle(message))] = message.id
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        again = [name for task, name in tasks.items() if not (task.done() and task.result())]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in again]}
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
