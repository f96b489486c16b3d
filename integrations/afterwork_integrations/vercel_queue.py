"""Vercel Queues: carries durable calls to a function of the same project.

```
from afterwork_integrations.vercel_queue import VercelQueueEngine

engine = VercelQueueEngine()
work = Afterwork(engine=engine, store="rediss://...")
calls = engine.subscriber
```

and in `pyproject.toml`, if that is in `main.py`:

```
[[tool.vercel.subscribers]]
entrypoint = "main:calls"
```

Vercel makes a private function of it, and invokes that with each call: nothing but Vercel can reach
it, so no proof is asked for, and the trigger route has no part in it.

Needs `pip install 'afterwork[vercel-queue]'`, and Vercel Queues, which are in beta.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError
from afterwork.verify import SYSTEM_CLOCK, Clock

from ._engine_log import EngineLog
from ._push_options import seconds, whole
from ._side_by_side import side_by_side

try:
    from vercel.queue import (
        DuplicateSubscriptionError,
        Message,
        QueueClient,
        QueueError,
        RetryAfter,
        subscribe,
    )
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.vercel_queue needs Vercel's SDK for queues: "
        "pip install 'afterwork[vercel-queue]'"
    ) from error

if TYPE_CHECKING:
    from afterwork.engines import RunUntil

__all__ = ["VercelQueueEngine"]

DAY = 86_400
RETENTION = 7 * DAY
"""Seconds that Vercel keeps a message, its delay included. The most there is."""
LONGEST_DELAY = 6 * DAY
"""So that a day is left for deliveries."""
LEASE = 300
"""Seconds for which Vercel's SDK takes a message, again and again while its call runs."""
MOST_BYTES = 1_000_000
"""Vercel takes a hundred times as much, and advises less."""


class VercelQueueEngine:
    """Carries durable calls over Vercel Queues, with Vercel's own SDK. For apps on Vercel.

    `topic`
        Default `"afterwork"`. Nothing else may use it, and a process has one engine for it.
    `retry_after`
        Default 60, from 1 to 86400: whole seconds after which Vercel delivers again what the
        function could not take, for example because it was ended. It has nothing to do with the
        `retry` of a job.
    `max_concurrency`
        Default None, no limit: how many calls Vercel delivers at a time.
    `client`
        Default None: one with the credentials and the region of the function. Or a
        `vercel.queue.QueueClient`.
    `timeout`
        Default 5.0: seconds that taking a call in may take, at most 60.
    `clock`
        For tests.

    Calls belong to the deployment that made them, as everything in Vercel Queues does unless
    `client` says otherwise, and Vercel keeps none longer than a week, its delay included: a call
    that cannot be delivered in that time is gone. A longer delay is made of several of six days.

    Let a job's `timeout` be shorter than the function's `maxDuration`: at that Vercel ends the
    function without a word, and the call is delivered again when its lease is over.

    Keys are refused: Vercel's idempotency keys are for the same message sent twice. So are
    priorities and transactions; `status` and `cancel` are not to be had.

    Raises `InvalidOptionError`.
    """

    name = "vercel queues"

    def __init__(
        self,
        topic: str = "afterwork",
        *,
        retry_after: int = 60,
        max_concurrency: int | None = None,
        client: QueueClient | None = None,
        timeout: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(topic, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", topic):
            raise InvalidOptionError("topic", "letters, digits, _ and -", topic)
        if client is not None and not isinstance(client, QueueClient):
            raise InvalidOptionError("client", "a vercel.queue.QueueClient", type(client))
        if max_concurrency is not None:
            whole("max_concurrency", max_concurrency, 1, 1_000_000)
        again = whole("retry_after", retry_after, 1, DAY)
        self._topic = topic
        self._client = client
        self._timeout = seconds("timeout", timeout, 0.1, 60)
        self._clock = clock
        self._log = EngineLog(self.name)
        self._run: RunUntil | None = None
        self._retry_after = again
        decorate: Any = subscribe(
            topic=topic,
            consumer_group="afterwork",
            retry_after=again,
            max_concurrency=max_concurrency,
        )
        try:
            self.subscriber: Callable[[Message[bytes]], Awaitable[None]] = decorate(_for(self))
        except DuplicateSubscriptionError:
            expected = "one that nothing else in this process subscribes to"
            raise InvalidOptionError("topic", expected, topic) from None
        self.capabilities = Capabilities(
            mode="push",
            max_delay=float(LONGEST_DELAY),
            delay_resolution=1.0,
            survives="power",
            recovery_seconds=float(LEASE + again),
            max_payload=MOST_BYTES,
        )

    def __repr__(self) -> str:
        return f"<VercelQueueEngine {self._topic}>"

    def bind(self, run: RunUntil) -> None:
        """See `Engine`."""
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """Sends each call as a message; of several, some may be sent where others fail. Raises
        `EngineError`."""
        return await side_by_side(self._send, envelopes)

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """Raises `EngineError`: there is nothing to serve."""
        hint = "Name the engine's subscriber in pyproject.toml, and start no worker."
        raise EngineError(self.name, "be served", "Vercel invokes its subscriber", hint)

    async def status(self, run_id: str) -> str | None:
        """None."""
        return None

    async def cancel(self, run_id: str) -> bool:
        """False."""
        return False

    async def close(self) -> None:
        """Does nothing: the SDK's connections are its own."""

    # -- how it talks to Vercel

    async def _send(self, envelope: Envelope) -> str:
        doing = "take calls in"
        wait = math.ceil((envelope.run_at or 0.0) - self._clock.now())
        try:
            with anyio.fail_after(self._timeout):
                if self._client is None:
                    self._client = QueueClient()
                await self._client.send(
                    self._topic,
                    envelope.to_json().encode(),
                    retention=RETENTION,
                    delay=min(max(wait, 0), LONGEST_DELAY),
                )
        except TimeoutError as error:
            raise EngineError(
                self.name, doing, f"no answer within {self._timeout:g} seconds"
            ) from error
        except (QueueError, ValueError) as error:
            hint = "Off Vercel, run: vercel link, and vercel env pull. Or give a client."
            problem = f"{type(error).__name__}: {error}".rstrip(". ")
            raise EngineError(self.name, doing, problem, hint) from error
        return envelope.id

    async def deliver(self, text: bytes) -> None:
        """What the subscriber does: runs a call. Raises where it is to be delivered again."""
        assert self._run is not None, "an engine is bound before it is called"
        try:
            envelope = Envelope.from_json(text)
        except PayloadError as error:
            self._log.say(logging.ERROR, "engine.bad_message", problem=str(error), bytes=len(text))
            return
        following = await self._run(envelope)
        if following is None:
            return
        try:
            await self.enqueue([following])
        except EngineError as error:
            # It comes again, and what became of its run is known then.
            self._log.say_each_minute(logging.ERROR, "engine.lost", problem=str(error))
            raise RetryAfter(self._retry_after) from error


def _for(engine: VercelQueueEngine) -> Callable[[Message[bytes]], Awaitable[None]]:
    async def afterwork(message: Message[bytes]) -> None:
        await engine.deliver(message.payload)

    return afterwork
