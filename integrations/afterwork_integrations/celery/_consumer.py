"""`serve`: takes calls out of RabbitMQ and runs them on the event loop, without Celery's worker.

Celery's worker forks, or runs one plain function at a time in a thread; an event loop wants many at
once in one process. So this is a consumer of the same queue and the same messages, on kombu as
Celery's own.

1. The connection is used by one thread, which receives, acknowledges and sends heartbeats. The
   calls run on the loop.
2. A message is acknowledged when its call is over, and never before. Where the connection is lost
   meanwhile, the call goes on, and the message that comes again finds it running or over.
3. What was taken and not begun goes back when it stops. All that is not acknowledged goes back when
   the connection ends, however that happens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from amqp.exceptions import AMQPError, IrrecoverableChannelError, IrrecoverableConnectionError
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from afterwork.engines import Envelope
from afterwork.errors import EngineError, PayloadError

from .._engine_log import EngineLog
from ._publisher import hint
from ._task import NAME, envelope_of

IDLE = 0.2
"""Seconds between two looks whether to stop, while nothing is under way."""
BUSY = 0.01
"""Seconds between two looks whether something is over, while something is under way."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""Seconds between two attempts to connect; each is twice as long as the one before."""
ERRORS = (AMQPError, KombuError, OSError)
WRONG = (IrrecoverableChannelError, IrrecoverableConnectionError)
"""Refused: another attempt would be too."""


class Consuming:
    """One worker on a queue."""

    def __init__(
        self,
        connect: Callable[[], Any],
        queue: Any,
        see_to: Callable[[Envelope], Awaitable[bool]],
        *,
        concurrency: int,
        log: EngineLog,
        name: str,
    ) -> None:
        self._connect = connect
        self._queue = queue
        self._see_to = see_to
        self._concurrency = concurrency
        self._places = asyncio.Semaphore(concurrency)
        self._log = log
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._stopping = Event()
        self._cut = Event()
        self._tasks: set[asyncio.Task[bool]] = set()
        self._taken = 0
        """How many calls are not over; the thread's."""
        self._over: SimpleQueue[tuple[Any, Any, bool]] = SimpleQueue()

    async def serve(self, stop: Awaitable[object]) -> None:
        """Until `stop` is done and what is under way is over. Raises `EngineError` where the broker
        refuses."""
        told = asyncio.ensure_future(stop)
        executor = ThreadPoolExecutor(1, "afterwork-celery")
        consuming = self._loop.run_in_executor(executor, self._consume)
        try:
            either: set[asyncio.Future[Any]] = {told, consuming}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            await asyncio.shield(consuming)
        finally:
            told.cancel()
            self._stopping.set()
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            self._cut.set()
            # The thread ends within one look; nothing is left behind that uses the connection.
            await asyncio.wait({consuming})
            executor.shutdown(wait=False)

    # -- in the thread

    def _consume(self) -> None:
        pause = FIRST_PAUSE
        while not self._finished():
            connection = self._connect()
            begun = False
            try:
                with connection, self._consumer(connection) as consumer:
                    begun, pause = True, FIRST_PAUSE
                    self._drain(connection, consumer)
            except ERRORS as error:
                if isinstance(error, WRONG) and not begun:
                    raise EngineError(
                        self._name, "take calls out", str(error), hint(error)
                    ) from error
                self._log.say_each_minute(
                    logging.WARNING, "engine.connection_lost", error=str(error) or repr(error)
                )
                if self._stopping.wait(pause):
                    self._wait_out()
                pause = min(2 * pause, LONGEST_PAUSE)

    def _consumer(self, connection: Any) -> Any:
        connection.ensure_connection(
            max_retries=1, interval_start=0, reraise_as_library_errors=False
        )
        return Consumer(
            connection.channel(),
            [self._queue],
            on_message=lambda message: self._take(connection, message),
            accept=["json"],
            prefetch_count=self._concurrency,
        )

    def _drain(self, connection: Any, consumer: Any) -> None:
        taking = True
        while not self._finished():
            if taking and self._stopping.is_set():
                taking = False
                consumer.cancel()
            self._acknowledge(connection)
            connection.heartbeat_check()
            try:
                connection.drain_events(timeout=BUSY if self._taken else IDLE)
            except TimeoutError:
                pass
        if not self._cut.is_set():
            self._acknowledge(connection)

    def _wait_out(self) -> None:
        """Until what is under way is over, where there is no connection to acknowledge it on."""
        while not self._finished():
            self._acknowledge(None)
            self._cut.wait(BUSY)

    def _finished(self) -> bool:
        return self._cut.is_set() or (self._stopping.is_set() and not self._taken)

    def _take(self, connection: Any, message: Any) -> None:
        """Begins a call, or sees to it that what is none does not come again."""
        if self._stopping.is_set():
            message.requeue()
            return
        try:
            if message.headers.get("task") != NAME:
                raise PayloadError("the message", "a task named afterwork", "something else")
            envelope = envelope_of(_body(message))
        except PayloadError as error:
            self._log.say(logging.ERROR, "engine.bad_message", error=str(error))
            message.ack()
            return
        self._taken += 1
        self._loop.call_soon_threadsafe(self._begin, connection, message, envelope)

    def _acknowledge(self, connection: Any) -> None:
        while True:
            try:
                taken_by, message, over = self._over.get_nowait()
            except Empty:
                return
            self._taken -= 1
            if taken_by is connection:  # else it went back with its connection
                if over:
                    message.ack()
                else:
                    message.requeue()

    # -- on the loop

    def _begin(self, connection: Any, message: Any, envelope: Envelope) -> None:
        task = self._loop.create_task(self._run(envelope))
        self._tasks.add(task)

        def note(task: asyncio.Task[bool]) -> None:
            self._tasks.discard(task)
            self._over.put((connection, message, not task.cancelled() and task.result()))

        task.add_done_callback(note)

    async def _run(self, envelope: Envelope) -> bool:
        # More than that many only where a lost connection's calls come again.
        async with self._places:
            return not self._stopping.is_set() and await self._see_to(envelope)


def _body(message: Any) -> Any:
    try:
        return message.decode()
    except (KombuError, ValueError, LookupError) as error:
        raise PayloadError("the message", "JSON", type(error).__name__) from None
