"""Gives messages to the broker, and returns when it has them. Every wait has an end.

Its connections are its own and not those of the Celery app's pool, because they need confirms and
time limits that the app's other tasks may not want.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from kombu.exceptions import KombuError

from afterwork.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kombu.connection import Connection
    from kombu.entity import Queue

CONNECTIONS = 4
"""Threads and connections of one process; more give no more calls a second."""
RETRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""A connection that the broker closed meanwhile is replaced once."""
PERSISTENT = 2

_limiter: RunVar[CapacityLimiter] = RunVar("afterwork_celery_publishers")


class Message:
    """One message on its way to a queue."""

    def __init__(self, content: Any, queue: Queue) -> None:
        self.content = content
        self.queue = queue


class Publisher:
    """Publishes to the broker of one Celery app."""

    def __init__(self, app: Any, broker: Any, name: str, timeout: float) -> None:
        self._app = app
        self._broker = broker
        self._name = name
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pool: Any = None
        self._pid = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        """Raises `EngineError`; nothing is known then of what the broker has."""
        await to_thread.run_sync(self.publish_here, messages, limiter=_threads())

    async def close(self) -> None:
        """Closes the connections. What is published after that connects again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            await to_thread.run_sync(pool.force_close_all)

    def publish_here(self, messages: Sequence[Message]) -> None:
        """The same without a loop."""
        pool = self._connections()
        with pool.acquire(block=True, timeout=self._timeout) as connection:
            errors = (*connection.connection_errors, *connection.channel_errors)
            try:
                producer = connection.Producer(auto_declare=False)
                for message in messages:
                    self._publish_one(producer, message)
            except (*errors, KombuError, AMQPError, OSError) as error:
                connection.collect()  # what it still expects an answer to is not known
                raise self._error(error) from error

    def _publish_one(self, producer: Any, message: Message) -> None:
        content = message.content
        producer.publish(
            content.body,
            # The default exchange reaches a queue by its name, whatever else is bound to it.
            exchange="",
            routing_key=message.queue.name,
            headers=content.headers,
            serializer="json",
            delivery_mode=PERSISTENT,
            # The first is where the broker moves what has waited in the second.
            declare=[self._broker.queue, message.queue],
            mandatory=self._broker.mandatory,
            retry=True,
            retry_policy=RETRIES,
            timeout=self._timeout,
            confirm_timeout=self._timeout,
            **content.properties,
        )

    def _connections(self) -> Any:
        with self._lock:
            if self._pool is None or self._pid != os.getpid():  # a fork's connections are shared
                self._pool, self._pid = self._connection().Pool(CONNECTIONS), os.getpid()
            return self._pool

    def _connection(self) -> Connection:
        return self._app.connection_for_write(
            connect_timeout=self._timeout,
            heartbeat=0,  # nobody would send them between two calls
            transport_options={**RETRIES, **self._broker.publishing(self._timeout)},
        )

    def _error(self, error: BaseException) -> EngineError:
        problem = " ".join(str(error).split()) or type(error).__name__
        return EngineError(self._name, "take a call in", problem, hint(error))


def hint(error: BaseException) -> str:
    """What to do about an error of the broker's."""
    text = str(error)
    if "PRECONDITION_FAILED" in text:
        return "A queue of that name exists with other arguments: delete it, or use another name."
    if "ACCESS_REFUSED" in text:
        return "Look at user, password and virtual host in the broker's URL."
    return "Is the broker up, and its address right?"


def _threads() -> CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(CONNECTIONS)
        _limiter.set(limiter)
        return limiter
