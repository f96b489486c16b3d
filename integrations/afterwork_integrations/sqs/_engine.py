"""The engine on Amazon SQS.

1. A call is one message; its body is the envelope. It is deleted when its run is over, and not
   before: what a dead worker had is shown to others when its time is over.
2. While a call runs, its time is prolonged, so that a long one is not given to another worker.
3. SQS keeps a delay of 15 minutes at most, and a FIFO queue none. A longer one is made of several;
   in a FIFO queue a message that is early is hidden until it is due.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError
from afterwork.verify import SYSTEM_CLOCK, Clock

from .._engine_log import EngineLog
from .._push_options import address, seconds, whole
from ._consumer import Consumer
from ._keys import Keys
from ._lambda_batch import run_batch
from ._queue import Message, Queue, endpoint_of

if TYPE_CHECKING:
    from afterwork.engines import RunUntil

LONGEST_DELAY = 900
"""Seconds that SQS keeps a message back."""
LONGEST_HIDING = 43_000
"""Seconds. SQS allows 12 hours from when a message was taken out."""
MOST_BYTES = 262_144
"""What every queue takes. Since August 2025 one may be set to take four times as much."""


class SQSEngine:
    """An engine for workers on servers or for AWS Lambda, on Amazon SQS.

    `queue_url`
        The queue's address. It has to be there; nothing else may use it. One whose name ends with
        `.fifo` knows keys, and costs more.
    `visibility`
        Default 60, from 3 to 43200: whole seconds after which what a dead worker had is given to
        another. A worker prolongs it while a call runs. On Lambda the queue's own setting counts,
        which has to be longer than the function's timeout.
    `region`, `endpoint_url`
        Default None: what the address says. For queues behind other addresses.
    `client`
        Default None, one of its own, with the credentials that boto3 would find. Or an SQS client
        of boto3's or botocore's, with its own settings; then `region` and `endpoint_url` are its.
    `timeout`
        Default 5.0: seconds that taking calls in may take, at most 60.
    `clock`
        For tests.

    A `key` needs a FIFO queue, and keeps another call out for five minutes after the first, also
    when that is over by then. Then the id of the first is returned if it was made by this process,
    else the second's own, of which nothing will be heard: SQS does not tell. Priorities,
    transactions, `status` and `cancel` are not to be had.

    Delayed calls come to a worker each 15 minutes and go back; in a FIFO queue they are hidden for
    up to 12 hours at a time, and count as under way (120,000 at most).

    A message that is no call is deleted, which is logged. `serve` refuses a queue that gives up a
    message after less than three deliveries, or forgets it within a day.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        queue_url: str,
        *,
        visibility: int = 60,
        region: str | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        timeout: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        example = "https://sqs.eu-central-1.amazonaws.com/123456789012/afterwork"
        url = address("queue_url", queue_url, example)
        if client is not None and not hasattr(client, "send_message_batch"):
            raise InvalidOptionError("client", "an SQS client of boto3 or botocore", type(client))
        if endpoint_url is not None:
            endpoint_url = address("endpoint_url", endpoint_url, "https://sqs.example", bare=True)
        else:
            endpoint_url = endpoint_of(url)
        self.name = f"sqs queue {url.partition('?')[0].rpartition('/')[2]}"
        self._visibility = whole("visibility", visibility, 3, 43_200)
        self._queue = Queue(
            url,
            name=self.name,
            client=client,
            region=region,
            endpoint=endpoint_url,
            timeout=seconds("timeout", timeout, 0.1, 60),
        )
        self._clock = clock
        self._keys = Keys(clock)
        self._log = EngineLog(self.name)
        self._run: RunUntil | None = None
        self.capabilities = Capabilities(
            max_delay=float(LONGEST_HIDING if self._queue.fifo else LONGEST_DELAY),
            delay_resolution=1.0,
            keys="window" if self._queue.fifo else "none",
            survives="power",
            recovery_seconds=float(self._visibility),
            max_payload=MOST_BYTES,
        )

    def __repr__(self) -> str:
        return f"<SQSEngine {self.name}>"

    def bind(self, run: RunUntil) -> None:
        """See `Engine`."""
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """Sends calls, ten in a request: those of one request not all or none. Raises
        `EngineError`."""
        before = self._clock.now()
        if envelopes:
            await self._queue.send([self._entry(envelope, before) for envelope in envelopes])
        return [
            envelope.id if envelope.key is None else self._keys.holder(envelope, before)
            for envelope in envelopes
        ]

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """Runs what is in the queue. On asyncio only. Raises `EngineError` where the queue is not
        there, or has settings that lose calls."""
        consumer = Consumer(self._queue, self.settle, self._visibility, concurrency, self._log)
        await consumer.serve(stop)

    async def handle(
        self, event: dict[str, Any], *, seconds: float | None = None
    ) -> dict[str, Any]:
        """Runs what an event of AWS Lambda brings, all at once, and returns which messages are to
        come again. `Handler` of `afterwork_integrations.aws_lambda` calls it. On asyncio only.

        What is not over after `seconds` is cut, and sent anew. The event source mapping has to have
        `ReportBatchItemFailures`: without it Lambda does not read the answer, and deletes what was
        to come again.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        return await run_batch(event, partial(self.settle, deadline=deadline))

    async def status(self, run_id: str) -> str | None:
        """None: SQS cannot look into a queue."""
        return None

    async def cancel(self, run_id: str) -> bool:
        """False."""
        return False

    async def close(self) -> None:
        """Closes its connections, but not those of a client of yours."""
        await self._queue.close()

    # -- one message

    async def settle(self, message: Message, *, deadline: float | None = None) -> bool:
        """Runs what a message carries, until `deadline`. Returns whether it is over, so that it is
        to be deleted."""
        assert self._run is not None, "an engine is bound before it serves"
        try:
            envelope = Envelope.from_json(message.body)
        except PayloadError as error:
            self._log.say(
                logging.ERROR,
                "engine.bad_message",
                message=message.id,
                problem=str(error),
                bytes=len(message.body),
            )
            return True
        try:
            if (
                self._queue.fifo
                and message.deliveries == 1
                and await self._hidden(envelope, message)
            ):
                return False
            following = await self._run(envelope, deadline=deadline)
            if following is not None:
                await self.enqueue([following])
        except EngineError as error:
            # It comes again, and what became of its run is known then.
            self._log.say_each_minute(logging.ERROR, "engine.lost", problem=str(error))
            return False
        return True

    async def _hidden(self, envelope: Envelope, message: Message) -> bool:
        """Lets an early message of a FIFO queue come again when it is due. Only once: what waits
        longer is sent anew, since SQS counts how often it delivers a message."""
        wait = math.ceil((envelope.run_at or 0.0) - self._clock.now())
        if wait <= 0:
            return False
        return not await self._queue.hide([message], min(wait, LONGEST_HIDING))

    def _entry(self, envelope: Envelope, now: float) -> dict[str, Any]:
        entry: dict[str, Any] = {"MessageBody": envelope.to_json()}
        if not self._queue.fifo:
            wait = math.ceil((envelope.run_at or now) - now)
            entry["DelaySeconds"] = min(max(wait, 0), LONGEST_DELAY)
            return entry
        # Calls have no order among them, so each is a group of its own.
        entry["MessageGroupId"] = sha256(envelope.id.encode()).hexdigest()
        # Each sending of a call without a key is a new one: its next attempt, or a part of a delay.
        unique = self._keys.id_of(envelope) or secrets.token_hex(16)
        entry["MessageDeduplicationId"] = unique
        return entry
