"""What AWS Lambda hands over of a queue, and what it wants to know of it.

See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ._queue import Message


async def run_batch(
    event: dict[str, Any], settle: Callable[[Message], Coroutine[Any, Any, bool]]
) -> dict[str, Any]:
    """Runs a batch, all of it at once, and names the messages that are to come again."""
    messages = [Message.of_record(record) for record in event["Records"]]
    over = await asyncio.gather(*map(settle, messages))
    again = [each.id for each, done in zip(messages, over, strict=True) if not done]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in again]}
