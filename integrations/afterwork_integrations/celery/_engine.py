"""The engine: what `Afterwork(engine=...)` is given."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import re
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery import Celery, signals
from celery.exceptions import Reject

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError, UnsupportedError

from .._engine_log import EngineLog
from .._urls import without_password
from . import _settings, _task
from ._consumer import Consuming
from ._process import ProcessLoop, StartFailed
from ._publisher import Message, Publisher
from ._rabbitmq import RabbitMQ
from ._redis import Redis

if TYPE_CHECKING:
    from afterwork import Afterwork
    from afterwork.engines import RunEnvelope

HEARTBEAT = 30
START_AGAIN = 5.0
"""Seconds after which a call is tried again where the app did not start in a worker process."""
GREEN_POOLS = ("gevent", "eventlet")
"""They put greenlets in the place of threads, in which an event loop does not run."""
BROKER_PAUSE = 1.0
"""Seconds before a message goes back whose next attempt the broker did not take."""


class CeleryEngine:
    """Durable calls over Celery's queue and workers: `Afterwork(engine=CeleryEngine(...))`.

    `app_or_broker_url`
        The broker's URL, `amqp://...` or `redis://...`; or your Celery app, whose settings are
        checked. What is not set there is set: a prefetch multiplier of 1, reconnecting for ever.
    `queue`
        The queue's name, default `"afterwork"`. One app has one engine.
    `quorum`
        True: the queue is replicated over RabbitMQ's cluster. Default False. A queue that exists
        cannot be changed.
    `timeout`
        Seconds for each connection and each answer of the broker while a call is taken in; default
        5. One that was closed is replaced once, so the caller waits twice that at most.
    `heartbeat`
        Seconds between heartbeats of workers. RabbitMQ takes a worker that is silent for two of
        them for dead. Default None: 30, or your app's `broker_heartbeat`.
    `visibility_timeout`
        Redis only: seconds after which calls are delivered again that a worker took and did not
        finish. Default None: your app's, or 3600. At least twice the longest job's `timeout`.
    `grace`
        Seconds that calls under way get when a worker's process ends; default 25.

    Workers are Celery's own, `celery -A main:celery worker`, where `celery = engine.worker(work)`,
    with the pool `prefork` or `threads`. `solo` sends no heartbeats while a job runs: not for jobs
    of more than a minute. `gevent` and `eventlet` are refused. With RabbitMQ `afterwork worker`
    does it too, in one process with an event loop.

    The Celery task is acknowledged when its call is over and never retried by Celery. With RabbitMQ
    a call comes back at once when its worker's connection ends, and waits for its time in the
    broker. Redis costs more: see `visibility_timeout`. Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        app_or_broker_url: Celery | str,
        queue: str = "afterwork",
        *,
        quorum: bool = False,
        timeout: float = 5.0,
        heartbeat: int | None = None,
        visibility_timeout: float | None = None,
        grace: float = 25.0,
    ) -> None:
        if not re.fullmatch(r"[\w.:-]{1,200}", queue):
            raise InvalidOptionError(
                "queue", "1 to 200 letters, digits and the characters . : _ -", queue
            )
        _seconds("timeout", timeout, 60)
        _seconds("visibility_timeout", visibility_timeout, 366 * 86_400)
        _seconds("grace", grace, 86_400)
        _seconds("heartbeat", heartbeat, 3600)
        app: Any = app_or_broker_url
        if isinstance(app, str):
            app = Celery("afterwork", broker=app, set_as_current=False)
            app.conf.update(_settings.of_its_own(queue, heartbeat or HEARTBEAT))
        elif heartbeat is not None:
            app.conf.broker_heartbeat = heartbeat
        _settings.force(app)
        self.app: Any = app
        """The Celery app."""
        self._broker = self._broker_of(queue, quorum, visibility_timeout)
        app.conf.broker_transport_options = self._broker.transport_options(
            app.conf.broker_transport_options
        )
        app.amqp.queues.select_add(self._broker.queue)
        self._run: RunEnvelope | None = None
        self._work: Afterwork | None = None
        self._timeout = timeout
        self._log = EngineLog(self.name)
        self._publisher = Publisher(app, self._broker, self.name, timeout)
        self._loop = ProcessLoop(grace)
        _task.register(app, self._deliver)
        signals.worker_init.connect(self._check_worker)

    @property
    def name(self) -> str:
        url = _settings.addresses(self.app.conf.broker_write_url)[0]
        return f"celery ({without_password(url)}, queue {self._broker.queue.name})"

    def __repr__(self) -> str:
        return f"<CeleryEngine {self.name}>"

    @property
    def capabilities(self) -> Capabilities:
        conf = self.app.conf
        options, heartbeat = conf.broker_transport_options, conf.broker_heartbeat
        can: Capabilities = self._broker.capabilities(options, heartbeat or 0)
        return can

    def worker(self, work: Afterwork, *, lifespan: Any = None) -> Celery:
        """The Celery app for `celery -A main:celery worker`:

        ```
        celery = engine.worker(work, lifespan=app)
        ```

        `lifespan` is an ASGI app whose start-up runs in each worker process before its first call,
        and whose shutdown after the last, so that jobs have its database pool. Give the app without
        `AfterMiddleware`, or one whose `Afterwork` has `scheduler=False`: each worker process would
        run a scheduler. Raises `InvalidOptionError` for a `work` with another engine.
        """
        if work.engine is not self:
            raise InvalidOptionError("work", "the Afterwork that has this engine", work)
        self._work = work
        self._loop.lifespan = lifespan
        return self.app

    def bind(self, run: RunEnvelope) -> None:
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        if connection is not None:
            hint = (
                "Use commit= instead: then the call is enqueued once the transaction is committed."
            )
            raise UnsupportedError(self.name, "way into your transaction (connection=)", hint)
        problem = self._problem()
        if problem is not None:
            raise EngineError(self.name, "take a call in", problem)
        await self._publisher.publish(self._messages(envelopes))
        return [envelope.id for envelope in envelopes]

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        if not self._broker.served:
            asyncio.ensure_future(stop).cancel()
            raise EngineError(
                self.name,
                "be served here",
                "with Redis the workers are Celery's own",
                "In the module `main` write `celery = engine.worker(work)`, and start: "
                f"celery -A main:celery worker -Q {self._broker.queue.name} -c {concurrency}",
            )
        consuming = Consuming(
            self._connection,
            self._broker.queue,
            self._see_to,
            concurrency=concurrency,
            log=self._log,
            name=self.name,
        )
        await consuming.serve(stop)

    async def status(self, run_id: str) -> str | None:
        return None

    async def cancel(self, run_id: str) -> bool:
        return False

    async def close(self) -> None:
        await self._publisher.close()

    # -- a call that was delivered

    async def _see_to(self, envelope: Envelope) -> bool:
        """Runs a call, and has the broker take in what follows. Returns whether it is over here."""
        assert self._run is not None, "who makes runs binds it first"
        try:
            following = await self._run(envelope)
            if following is not None:
                await self.enqueue([following])
        except Exception as error:  # whatever it is: its message is not acknowledged
            self._log.say_each_minute(logging.ERROR, "engine.error", error=str(error))
            await asyncio.sleep(BROKER_PAUSE)
            return False
        return True

    def _deliver(self, body: Any) -> None:
        """What the Celery task does, in a thread or process of Celery's worker."""
        try:
            envelope = _task.envelope_of(body)
        except PayloadError as error:
            self._log.say(logging.ERROR, "engine.bad_message", error=str(error))
            return
        over = False
        try:
            over = self._loop.run(lambda: self._see_to(envelope))
        except concurrent.futures.CancelledError:
            pass  # the process ends
        except StartFailed as error:
            self._log.say_each_minute(logging.ERROR, "engine.lifespan_failed", error=str(error))
            over = self._postpone(envelope)
        if not over:
            raise Reject("given back", requeue=True)

    def _postpone(self, envelope: Envelope) -> bool:
        """Has a call come again a little later, to any worker."""
        later = max(envelope.run_at or 0.0, time.time() + START_AGAIN)
        try:
            self._publisher.publish_here(self._messages([replace(envelope, run_at=later)]))
        except EngineError as error:
            self._log.say_each_minute(logging.ERROR, "engine.error", error=str(error))
            time.sleep(BROKER_PAUSE)
            return False
        return True

    def _messages(self, envelopes: Sequence[Envelope]) -> list[Message]:
        now = time.time()
        messages = []
        for envelope in envelopes:
            queue, countdown = self._broker.place((envelope.run_at or 0.0) - now)
            # Unlike a run's, a message's id is never used again: Celery keeps lists of them.
            message_id = f"{envelope.id}.{uuid4().hex[:8]}"
            content = _task.message_of(self.app, envelope, message_id, countdown)
            messages.append(Message(content, queue))
        return messages

    def _check_worker(self, sender: Any, **_: object) -> None:
        """A worker that could not run a call ends here, before it takes one."""
        if sender.app is not self.app:
            return
        problem = self._problem()
        if self._run is None:
            problem = (
                "this worker does not know the jobs. In the module that `celery -A` names, write: "
                "celery = engine.worker(work)"
            )
        if any(pool in str(sender.pool_cls) for pool in GREEN_POOLS):
            problem = "an event loop does not run in that pool. Take --pool prefork or threads"
        try:
            _settings.force(self.app)
        except InvalidOptionError as error:
            problem = str(error)
        if problem is not None:
            raise SystemExit(f"afterwork: {problem}")

    def _problem(self) -> str | None:
        """What stands in the way of the jobs that are registered."""
        if self._work is None:
            return None
        default = self._work.pipeline.settings.timeout
        timeouts = [
            _timeout(job.options.timeout, default) for job in self._work.jobs if job.policy.durable
        ]
        longest = max((each for each in timeouts if each is not None), default=0.0)
        problem: str | None = self._broker.refusal(longest)
        return problem

    def _connection(self) -> Any:
        seconds = self._timeout
        return self.app.connection_for_read(
            connect_timeout=seconds,
            heartbeat=self.app.conf.broker_heartbeat,
            transport_options={"read_timeout": seconds, "write_timeout": seconds},
        )

    def _broker_of(self, queue: str, quorum: bool, visibility_timeout: float | None) -> Any:
        if _settings.kind_of_broker(self.app) == RabbitMQ.kind:
            if visibility_timeout is not None:
                raise InvalidOptionError(
                    "visibility_timeout", "left out: RabbitMQ has none", visibility_timeout
                )
            return RabbitMQ(queue, quorum=quorum)
        if quorum:
            raise InvalidOptionError("quorum", "False: Redis has no quorum queues", quorum)
        return Redis(queue, visibility_timeout)


def _timeout(own: object, default: float | None) -> float | None:
    """A job's timeout; what is no number means that it has none of its own."""
    return own if own is None or isinstance(own, (int, float)) else default


def _seconds(name: str, value: float | None, most: float) -> None:
    if value is not None and not 0 < value <= most:
        raise InvalidOptionError(name, f"seconds, more than 0 and at most {most:g}", value)
