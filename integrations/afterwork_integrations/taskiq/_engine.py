"""The engine on Taskiq: envelopes go in as messages, and a receiver in this loop runs them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Annotated, Any

from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from taskiq import Context, TaskiqDepends

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError, UnsupportedError

from .._engine_log import EngineLog
from .._urls import without_password
from . import _broker
from ._sender import DELAYS, Sender
from ._worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from taskiq_aio_pika import AioPikaBroker

LOST = (AMQPError, ChannelInvalidStateError, OSError)
"""What a connection that is no more raises. `TimeoutError` is an `OSError`."""
HOPELESS = (AuthenticationError, ProbableAuthenticationError, ChannelPreconditionFailed)
MOST_BYTES = 7 * 2**20
"""RabbitMQ 4 takes messages of up to 16 MiB, and Taskiq's JSON may double an envelope."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0


class TaskiqEngine:
    """An engine for any number of web processes and workers, on Taskiq with RabbitMQ.

    `broker`
        The URL of RabbitMQ (`amqp://`, `amqps://`), or a `taskiq_aio_pika.AioPikaBroker` of yours
        with a queue that nothing else uses. Its middlewares see each message. With a URL all that
        matters is set; a broker of yours is checked, and refused where it would lose work. What is
        refused: another broker of Taskiq's, a retry middleware, pickle, a queue that is not
        durable, drops messages or is a stream, a consumer that does not acknowledge.
    `queue`
        Default `"afterwork"`: the name of the queue, for a URL only. Beside it there are
        `<queue>.delay.<seconds>` for calls that wait, each made when it is first needed.
    `timeout`
        Default 5.0: how many seconds connecting, and after that handing calls over, may take.

    A call is taken in when RabbitMQ has confirmed it; several are not taken in together or not at
    all. A call of a worker that was killed is delivered again as soon as its connection ends, which
    is at once unless its machine is gone: then after two heartbeats. A queue of type `quorum`, as
    here, is on disk before it confirms.

    No keys, no priorities, no status: RabbitMQ cannot look into a queue. A delayed call comes to a
    worker and goes back a few times on its way (16384, 4096, 1024, 256, 64, 16, 4, 1 and 0.25
    seconds are what a message can wait), and is late by up to 0.25 s.

    `serve` takes at most `concurrency` messages from the server. A call that runs longer than
    RabbitMQ's `consumer_timeout` (30 minutes, unless the server says otherwise) is delivered a
    second time; it is seen to be running and waits for its end.
    """

    def __init__(
        self, broker: str | AioPikaBroker, *, queue: str | None = None, timeout: float = 5.0
    ) -> None:
        if not 0 < timeout <= 60:
            raise InvalidOptionError("timeout", "seconds, more than 0 and at most 60", timeout)
        if isinstance(broker, str):
            self._broker = _broker.make(broker, queue or "afterwork", timeout)
        elif queue is not None:
            raise InvalidOptionError("queue", "left out for a broker, which has its own", queue)
        else:
            self._broker = _broker.check(broker)
        self._timeout = timeout
        self._url = self._broker.url or _broker.DEFAULT_URL
        self._sender = Sender(self._broker)
        self._run: Callable[[Envelope], Awaitable[Envelope | None]] | None = None
        self._log = EngineLog(self.name)
        self._broker.register_task(_task_of(self), _broker.TASK, ack_type="manual")

    def __repr__(self) -> str:
        return f"TaskiqEngine({without_password(self._url)!r}, queue={self._queue!r})"

    @property
    def name(self) -> str:
        return f"taskiq on {without_password(self._url)}"

    @property
    def capabilities(self) -> Capabilities:
        heartbeat = _broker.heartbeat(self._broker)
        return Capabilities(
            max_delay=DELAYS[-1],
            delay_resolution=DELAYS[0],
            survives="power",
            recovery_seconds=2 * heartbeat if heartbeat else None,
            max_payload=MOST_BYTES,
        )

    def bind(self, run: Callable[[Envelope], Awaitable[Envelope | None]]) -> None:
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        if connection is not None:
            hint = "Use commit= instead: then the call is enqueued once that is committed."
            raise UnsupportedError(self.name, "way into your transaction (connection=)", hint)
        doing = f"take in {len(envelopes)} call{'s' * (len(envelopes) != 1)}"
        now = time.time()
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.gather(
                    *(
                        self._sender.send(each.id, each.to_json(), (each.run_at or now) - now)
                        for each in envelopes
                    )
                )
        except TimeoutError as error:
            self._sender.drop()
            problem = f"no answer within {self._timeout:g} s"
            raise EngineError(self.name, doing, problem, REACH) from error
        except LOST as error:
            self._sender.drop()  # also where a queue was deleted: it is declared again then
            raise self._error(doing, error) from error
        return [each.id for each in envelopes]

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        finish = asyncio.Event()
        stopping = asyncio.ensure_future(_set_after(stop, finish))
        pause = FIRST_PAUSE_SECONDS
        try:
            while not finish.is_set():
                since = time.monotonic()
                try:
                    await self._listen(concurrency, finish)
                except HOPELESS as error:
                    raise self._error("take calls out", error) from error
                except Exception as error:  # of Taskiq, aio-pika, or several at once
                    self._say("engine.lost", error)
                calm = time.monotonic() - since > LONGEST_PAUSE_SECONDS
                pause = FIRST_PAUSE_SECONDS if calm else min(2 * pause, LONGEST_PAUSE_SECONDS)
                await _wait(finish, pause)
        finally:
            stopping.cancel()

    async def status(self, run_id: str) -> str | None:
        return None

    async def cancel(self, run_id: str) -> bool:
        return False

    async def close(self) -> None:
        await self._sender.close()

    # -- the worker's side

    async def _listen(self, concurrency: int, finish: asyncio.Event) -> None:
        """Takes messages until `finish`, or until the connection is lost for good."""
        worker = Worker(self._broker, concurrency, self._log)
        _broker.take_at_most(self._broker, concurrency)
        try:
            async with asyncio.timeout(self._timeout):
                await self._sender.open_reader()
            await worker.listen(finish)
            await worker.over()
        except asyncio.CancelledError:
            await worker.cut()
            raise
        finally:
            # What was delivered and not acknowledged goes back into the queue.
            await self._sender.close_reader()

    async def deliver(self, text: str, context: Context) -> None:
        """What the task does: runs an envelope, and acknowledges it last."""
        assert self._run is not None, "an engine is bound before it serves"
        try:
            envelope = Envelope.from_json(text)
        except PayloadError as error:
            self._log.say(logging.ERROR, "engine.bad_message", problem=str(error), bytes=len(text))
        else:
            following = await self._run(envelope)
            if following is not None:
                await self._hand_on(following)
        try:
            await context.ack()
        except LOST as error:  # it comes again, and is seen to have run
            self._say("engine.not_acknowledged", error)

    async def _hand_on(self, envelope: Envelope) -> None:
        """Takes in what follows from a run. Until it is, its message must not be acknowledged; and
        Taskiq has no way to give it back."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self.enqueue([envelope])
                return
            except EngineError as error:
                self._say("engine.lost", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    # -- what is said

    @property
    def _queue(self) -> str:
        return _broker.queue_of(self._broker).name

    def _error(self, doing: str, error: BaseException) -> EngineError:
        return EngineError(self.name, doing, self._problem(error), _hint(error))

    def _problem(self, error: BaseException) -> str:
        text = str(error).rstrip(".") or type(error).__name__
        return text.replace(self._url, without_password(self._url))

    def _say(self, event: str, error: BaseException) -> None:
        self._log.say_each_minute(logging.ERROR, event, problem=self._problem(error))


REACH = "Check that RabbitMQ runs and can be reached from here."


def _hint(error: BaseException) -> str:
    if isinstance(error, ChannelPreconditionFailed):
        return "The queue is there with other settings: choose another name, or delete it."
    if isinstance(error, HOPELESS):
        return "Check user, password and virtual host."
    return REACH if isinstance(error, OSError) else ""


def _task_of(engine: TaskiqEngine) -> Any:
    async def afterwork(text: str, context: Annotated[Context, TaskiqDepends()]) -> None:
        await engine.deliver(text, context)

    return afterwork


async def _set_after(stop: Awaitable[object], finish: asyncio.Event) -> None:
    try:
        await asyncio.shield(stop)
    finally:
        finish.set()


async def _wait(finish: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await finish.wait()
    except TimeoutError:
        pass
