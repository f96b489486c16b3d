"""Celery as the engine, with a real RabbitMQ and a real Redis, and no worker process."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from afterwork_integrations.celery import CeleryEngine, _engine
from afterwork_integrations.celery._consumer import Consuming
from afterwork_integrations.celery._task import envelope_of
from celery import Celery, signals
from celery.exceptions import Reject

from afterwork import Afterwork, MemoryStore, after
from afterwork.engines import Engine, Envelope
from afterwork.errors import EngineError, InvalidOptionError, UnsupportedError
from tests.contracts.engine import EngineContract
from tests.engines.celery_queues import drop_queues
from tests.services import Proxy, rabbitmq_url, redis_url

CLOSED = "127.0.0.1:9"
ID = "01890000-0000-7000-8000-000000000000"
NOTHING = Envelope(id=ID, job="note")


class TestCeleryOnRabbitMQ(EngineContract):
    """The rules of every engine, served without Celery's worker."""

    def make_engine(self) -> CeleryEngine:
        return new_engine()

    async def put_garbage(self, engine: Any, text: str) -> bool:
        put(engine, [[text], {}, {}])
        return True

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        assert isinstance(engine, CeleryEngine)
        drop_queues(engine)


def new_engine(url: str = "", **options: Any) -> CeleryEngine:
    return CeleryEngine(url or rabbitmq_url(), f"test-{uuid4().hex}", **options)


@asynccontextmanager
async def using(engine: CeleryEngine) -> AsyncIterator[CeleryEngine]:
    """Its queues are deleted afterwards."""
    try:
        yield engine
    finally:
        await engine.close()
        drop_queues(engine)


@pytest.fixture
async def engine() -> AsyncIterator[CeleryEngine]:
    async with using(new_engine()) as new:
        yield new


@pytest.fixture(params=[rabbitmq_url, redis_url])
async def any_engine(request: Any) -> AsyncIterator[CeleryEngine]:
    async with using(new_engine(request.param())) as new:
        yield new


def put(engine: CeleryEngine, body: Any, task: str = "afterwork", serializer: str = "json") -> None:
    """Puts any message into the queue."""
    (name,) = engine.app.amqp.queues.consume_from
    with engine.app.connection_for_write() as connection:
        connection.Producer(auto_declare=False).publish(
            body,
            exchange="",
            routing_key=name,
            serializer=serializer,
            headers={"task": task, "id": "x"},
            declare=[engine.app.amqp.queues[name]],
        )


def waiting(engine: CeleryEngine) -> int:
    """How many messages are in the queue."""
    (name,) = engine.app.amqp.queues.consume_from
    with engine.app.connection_for_write() as connection:
        return int(connection.channel().queue_declare(name, passive=True).message_count)


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(engine: CeleryEngine, concurrency: int = 2) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(engine.serve(concurrency=concurrency, stop=stop.wait()))
    try:
        yield task
        stop.set()
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})


def binding(engine: CeleryEngine) -> list[str]:
    """Has the engine run nothing but note the names of the jobs."""
    ran: list[str] = []

    async def run(envelope: Envelope) -> None:
        ran.append(envelope.job)

    engine.bind(run)
    return ran


# -- what it is made of


def test_without_celery_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if "afterwork_integrations.celery" in each]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def refuse(name: str, *args: Any) -> Any:
        if name == "celery":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[celery\]'"):
        importlib.import_module("afterwork_integrations.celery")


def test_no_password_is_shown() -> None:
    engine = CeleryEngine("amqp://ada:hunter2@rabbit:5672/shop;amqp://ada:hunter2@other//")
    assert engine.name == "celery (amqp://rabbit:5672/shop, queue afterwork)"
    assert "hunter2" not in repr(engine)


@pytest.mark.parametrize(
    ("broker", "options", "problem"),
    [
        ("sqs://", {}, "RabbitMQ"),
        ("memory://", {}, "RabbitMQ"),
        ("amqp://one;redis://two", {}, "rabbitmq, redis"),
        ("amqp://", {"queue": "a b"}, "queue must be"),
        ("amqp://", {"timeout": 0}, "timeout must be"),
        ("amqp://", {"heartbeat": -1}, "heartbeat must be"),
        ("amqp://", {"grace": 0}, "grace must be"),
        ("amqp://", {"visibility_timeout": 60}, "RabbitMQ has none"),
        ("redis://", {"visibility_timeout": -1}, "visibility_timeout must be"),
        ("redis://", {"quorum": True}, "Redis has no quorum queues"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(
    broker: str, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidOptionError, match=problem):
        CeleryEngine(broker, **options)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"worker_prefetch_multiplier": 4}, "prefetch_multiplier must be 1"),
        ({"accept_content": ["json", "pickle"]}, "no message can run code"),
        ({"task_protocol": 1}, "task_protocol must be 2"),
        ({"task_always_eager": True}, "nothing is durable"),
    ],
)
def test_settings_that_lose_work_are_refused(settings: dict[str, Any], problem: str) -> None:
    app = Celery(broker="amqp://")
    app.conf.update(settings)
    with pytest.raises(InvalidOptionError, match=problem):
        CeleryEngine(app)


def test_what_an_app_leaves_open_is_set() -> None:
    app = Celery(broker="amqp://")
    CeleryEngine(app, heartbeat=7)
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.broker_connection_max_retries is None
    assert app.conf.broker_channel_error_retry
    assert app.conf.broker_heartbeat == 7


def test_what_an_app_has_chosen_stays() -> None:
    app = Celery(broker="amqp://")
    app.conf.update(broker_connection_max_retries=3, broker_heartbeat=11)
    CeleryEngine(app)
    assert app.conf.broker_connection_max_retries == 3
    assert app.conf.broker_heartbeat == 11


def test_the_task_keeps_its_message_until_its_call_is_over() -> None:
    """Whatever the app's own defaults are."""
    app = Celery(broker="amqp://", backend="cache+memory://")
    app.conf.update(task_acks_late=False, task_time_limit=5, task_default_rate_limit="1/h")
    CeleryEngine(app)
    task = app.tasks["afterwork"]
    assert task.acks_late
    assert task.reject_on_worker_lost
    assert not task.acks_on_timeout
    assert task.ignore_result
    assert not task.store_errors_even_if_ignored
    assert task.time_limit > 10 * 365 * 86_400
    assert task.rate_limit == 0


def test_an_app_has_one_engine() -> None:
    app = Celery(broker="amqp://")
    CeleryEngine(app)
    with pytest.raises(InvalidOptionError, match="without another CeleryEngine"):
        CeleryEngine(app, "another")


def test_an_app_has_no_other_task_of_that_name() -> None:
    app = Celery(broker="amqp://")
    app.task(name="afterwork", lazy=False, shared=False)(binding)
    with warnings.catch_warnings(), pytest.raises(InvalidOptionError, match="named 'afterwork'"):
        warnings.simplefilter("ignore")  # Celery says it too, once in a process
        CeleryEngine(app)


def test_what_rabbitmq_can_do() -> None:
    can = CeleryEngine("amqp://", heartbeat=10).capabilities
    assert (can.max_delay, can.delay_resolution, can.survives) == (None, 0.25, "power")
    assert can.recovery_seconds == 25
    assert CeleryEngine("amqp://", heartbeat=600).capabilities.recovery_seconds == 125
    app = Celery(broker="amqp://")
    app.conf.broker_heartbeat = 0
    assert CeleryEngine(app).capabilities.recovery_seconds is None


def test_what_redis_can_do() -> None:
    can = CeleryEngine("redis://", visibility_timeout=400).capabilities
    assert (can.max_delay, can.survives) == (100, "machine")
    assert can.recovery_seconds == 410
    assert CeleryEngine("redis://").capabilities.recovery_seconds == 3610


def test_redis_has_to_look_for_what_dead_workers_had() -> None:
    """By default it does so every 100 seconds, ten times ten."""
    app = Celery(broker="redis://")
    app.conf.broker_transport_options = {"unacked_restore_throttle": 100}
    with pytest.raises(InvalidOptionError, match="a dead worker's calls wait so long"):
        CeleryEngine(app)


def test_the_visibility_timeout_is_said_once() -> None:
    app = Celery(broker="redis://")
    app.conf.broker_transport_options = {"visibility_timeout": 100}
    with pytest.raises(InvalidOptionError, match="that of the app's"):
        CeleryEngine(app, visibility_timeout=200)
    assert CeleryEngine(app, "another").capabilities.max_delay == 25


# -- taking calls in


async def test_a_broker_that_is_down_is_an_error_in_good_time(any_engine: CeleryEngine) -> None:
    scheme = any_engine.app.conf.broker_write_url.partition(":")[0]
    down = new_engine(f"{scheme}://ada:hunter2@{CLOSED}", timeout=2)
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"take a call in.*Is the broker up") as caught:
        await down.enqueue([NOTHING])
    assert time.monotonic() - start < 8
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("url", "port"), [(rabbitmq_url, 5672), (redis_url, 6379)])
async def test_a_broker_that_does_not_answer_is_one_too(url: Callable[[], str], port: int) -> None:
    with Proxy(url(), port) as proxy:
        engine = new_engine(proxy.url, timeout=1)
        await engine.enqueue([NOTHING])
        proxy.go_dead()
        start = time.monotonic()
        with pytest.raises(EngineError):
            await engine.enqueue([NOTHING])
        assert time.monotonic() - start < 8
        await engine.close()
    (name,) = engine.app.amqp.queues.consume_from
    async with using(CeleryEngine(url(), name)):
        pass


@pytest.mark.parametrize(("url", "port"), [(rabbitmq_url, 5672), (redis_url, 6379)])
async def test_a_connection_that_was_closed_is_replaced(url: Callable[[], str], port: int) -> None:
    with Proxy(url(), port) as proxy:
        engine = new_engine(proxy.url)
        await engine.enqueue([NOTHING])
        proxy.cut()
        await engine.enqueue([NOTHING])
        await engine.close()
    (name,) = engine.app.amqp.queues.consume_from
    async with using(CeleryEngine(url(), name)):
        pass


async def test_a_wrong_password_is_said(engine: CeleryEngine) -> None:
    """Where calls are made, and where they are taken out: waiting does not help."""
    wrong = new_engine("amqp://guest:wrong@127.0.0.1:5672//", timeout=2)
    with pytest.raises(EngineError, match="user, password and virtual host"):
        await wrong.enqueue([NOTHING])
    with pytest.raises(EngineError, match="take calls out.*user, password and virtual host"):
        await wrong.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_queue_that_is_another_is_said(engine: CeleryEngine) -> None:
    """Also where it is served."""
    await engine.enqueue([NOTHING])
    (name,) = engine.app.amqp.queues.consume_from
    other = CeleryEngine(rabbitmq_url(), name, quorum=True)
    with pytest.raises(EngineError, match="exists with other arguments"):
        await other.enqueue([NOTHING])
    with pytest.raises(EngineError, match="exists with other arguments"):
        await other.serve(concurrency=1, stop=asyncio.Event().wait())
    await other.close()


async def test_a_queue_that_was_deleted_loses_no_call_in_silence(engine: CeleryEngine) -> None:
    await engine.enqueue([NOTHING])
    drop_queues(engine)
    with pytest.raises(EngineError, match="NO_ROUTE"):
        await engine.enqueue([NOTHING])
    await engine.enqueue([NOTHING])
    assert waiting(engine) == 1


async def test_a_fork_has_connections_of_its_own(
    engine: CeleryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.enqueue([NOTHING])
    mine = engine._publisher._pool
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        await engine.enqueue([NOTHING])
        its = engine._publisher._pool
    assert its is not mine
    await engine.close()  # as the parent, which leaves the fork's alone
    its.force_close_all()
    mine.force_close_all()


async def test_no_transaction_is_written_in(engine: CeleryEngine) -> None:
    with pytest.raises(UnsupportedError, match="commit="):
        await engine.enqueue([NOTHING], connection=object())


async def test_the_arguments_are_not_in_what_celery_logs(
    engine: CeleryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    async def note(messages: Any) -> None:
        sent.extend(messages)

    monkeypatch.setattr(engine._publisher, "publish", note)
    await engine.enqueue([Envelope(id=ID, job="note", payload='[["secret"],{}]')])
    assert "secret" not in repr(sent[0].content.headers)


async def test_a_long_delay_waits_in_the_broker(engine: CeleryEngine) -> None:
    """Not in the memory of a worker, where it would be delivered."""
    ran = binding(engine)
    await engine.enqueue([Envelope(id=ID, job="late", run_at=time.time() + 90 * 86_400), NOTHING])
    async with serving(engine):
        await until(lambda: ran)
    assert ran == ["note"]
    assert waiting(engine) == 0


# -- serving


@pytest.mark.parametrize(
    ("body", "task", "serializer"),
    [
        ([["no envelope"], {}, {}], "afterwork", "json"),
        ([[1], {}, {}], "afterwork", "json"),
        ([[NOTHING.to_json()], {"more": 1}, {}], "afterwork", "json"),
        ("text", "afterwork", "json"),
        ([[NOTHING.to_json()], {}, {}], "os.system", "json"),
        ([[NOTHING.to_json()], {}, {}], "afterwork", "pickle"),
    ],
)
async def test_what_is_no_call_is_said_once_and_dropped(
    engine: CeleryEngine, caplog: Any, body: Any, task: str, serializer: str
) -> None:
    ran = binding(engine)
    put(engine, body, task, serializer)
    await engine.enqueue([Envelope(id=ID, job="good")])
    async with serving(engine):
        await until(lambda: ran)
    assert ran == ["good"]
    assert waiting(engine) == 0
    said = [record for record in caplog.records if "engine.bad_message" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.ERROR]


async def test_it_connects_again_and_no_call_is_lost(
    engine: CeleryEngine, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is under way goes on; its message comes again."""
    monkeypatch.setattr("afterwork_integrations.celery._consumer.FIRST_PAUSE", 0.05)
    (name,) = engine.app.amqp.queues.consume_from
    begun: list[str] = []
    go = asyncio.Event()

    async def run(envelope: Envelope) -> None:
        begun.append(envelope.job)
        await go.wait()

    with Proxy(rabbitmq_url(), 5672) as proxy:
        near = CeleryEngine(proxy.url, name)
        near.bind(run)
        await engine.enqueue([NOTHING])
        async with serving(near):
            await until(lambda: begun)
            proxy.cut()
            await until(lambda: len(begun) == 2)
            go.set()
            await engine.enqueue([NOTHING])
            await until(lambda: len(begun) == 3)
    assert waiting(engine) == 0
    assert "engine.connection_lost" in caplog.text


async def test_it_waits_for_a_broker_that_is_down_and_can_be_stopped(caplog: Any) -> None:
    down = new_engine(f"amqp://{CLOSED}")
    binding(down)
    async with serving(down):
        await until(lambda: "engine.connection_lost" in caplog.text)


async def test_it_stops_while_the_broker_is_away_when_what_is_under_way_is_over(
    engine: CeleryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message could not be acknowledged, so it comes again."""
    monkeypatch.setattr("afterwork_integrations.celery._consumer.FIRST_PAUSE", 60)
    (name,) = engine.app.amqp.queues.consume_from
    begun, stop, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(envelope: Envelope) -> None:
        begun.set()
        await go.wait()

    await engine.enqueue([NOTHING])
    with Proxy(rabbitmq_url(), 5672) as proxy:
        near = CeleryEngine(proxy.url, name)
        near.bind(run)
        serving = asyncio.create_task(near.serve(concurrency=1, stop=stop.wait()))
        await begun.wait()
        proxy.cut()
        await until(lambda: waiting(engine) == 1)
        stop.set()
        await asyncio.sleep(0.1)
        assert not serving.done()
        go.set()
        await asyncio.wait_for(serving, 10)
    assert waiting(engine) == 1


async def test_what_it_took_and_did_not_begin_goes_back(
    engine: CeleryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as there is any: a message that comes in while it stops."""
    ran = binding(engine)
    stop = asyncio.Event()

    def stopped(body: Any) -> Envelope:
        consuming._stopping.set()
        return envelope_of(body)

    monkeypatch.setattr("afterwork_integrations.celery._consumer.envelope_of", stopped)
    consuming = Consuming(
        engine._connection,
        engine._broker.queue,
        engine._see_to,
        concurrency=1,
        log=engine._log,
        name=engine.name,
    )
    await engine.enqueue([NOTHING, NOTHING])
    await consuming.serve(stop.wait())
    assert ran == []
    await until(lambda: waiting(engine) == 2)


async def test_a_next_attempt_that_the_broker_does_not_take_costs_nothing(
    engine: CeleryEngine, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """The message goes back, after a while, and the run is asked again what follows."""
    monkeypatch.setattr(_engine, "BROKER_PAUSE", 0.01)
    asked: list[int] = []
    real = engine._publisher.publish

    async def refuse(messages: Any) -> None:
        if len(asked) == 1:
            raise EngineError("x", "take a call in", "it is full")
        await real(messages)

    async def run(envelope: Envelope) -> Envelope | None:
        asked.append(envelope.attempt)
        return envelope.again(None) if envelope.attempt == 1 else None

    engine.bind(run)
    await engine.enqueue([NOTHING])
    monkeypatch.setattr(engine._publisher, "publish", refuse)
    async with serving(engine):
        await until(lambda: 2 in asked)
    assert asked == [1, 1, 2]
    assert "it is full" in caplog.text


async def test_on_redis_the_workers_are_celerys() -> None:
    engine = CeleryEngine("redis://", "orders")
    with pytest.raises(EngineError, match="celery -A main:celery worker -Q orders -c 3"):
        await engine.serve(concurrency=3, stop=asyncio.Event().wait())


# -- in a process of Celery's worker


@pytest.fixture
def inside(any_engine: CeleryEngine) -> Iterator[Callable[[str], None]]:
    """Runs the Celery task as its worker does, in a thread without an event loop."""

    yield lambda text: any_engine.app.tasks["afterwork"](text)
    any_engine._loop.close()


async def test_the_task_runs_its_call_and_what_follows_comes_later(
    any_engine: CeleryEngine, inside: Callable[[str], None]
) -> None:
    seen: list[tuple[int, str]] = []

    async def run(envelope: Envelope) -> Envelope | None:
        seen.append((envelope.attempt, threading.current_thread().name))
        return envelope.again(time.time() + 1)

    any_engine.bind(run)
    await asyncio.to_thread(inside, NOTHING.to_json())
    await asyncio.to_thread(inside, NOTHING.to_json())
    assert seen == [(1, "afterwork-celery")] * 2


async def test_garbage_is_no_failure_of_the_task(
    any_engine: CeleryEngine, inside: Callable[[str], None], caplog: Any
) -> None:
    binding(any_engine)
    await asyncio.to_thread(inside, "no envelope")
    assert "engine.bad_message" in caplog.text


async def test_the_app_lives_from_the_first_call_to_the_end_of_the_process(
    engine: CeleryEngine,
) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            told.append((await receive())["type"])
            await send({"type": told[-1] + ".complete"})

    work = Afterwork(engine=engine, store=MemoryStore())
    assert engine.worker(work, lifespan=app) is engine.app

    async def run(envelope: Envelope) -> None:
        told.append(envelope.job)

    engine.bind(run)
    task = engine.app.tasks["afterwork"]
    assert told == []
    for _ in range(2):
        await asyncio.to_thread(task, NOTHING.to_json())
    await asyncio.to_thread(signals.worker_process_shutdown.send, None)
    assert told == ["lifespan.startup", "note", "note", "lifespan.shutdown"]


async def test_an_app_that_does_not_start_costs_no_call(
    engine: CeleryEngine, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes again later. Where the broker does not take that, its message goes back."""
    monkeypatch.setattr(_engine, "BROKER_PAUSE", 0.01)
    monkeypatch.setattr(_engine, "START_AGAIN", 0.1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    work = Afterwork(engine=engine, store=MemoryStore())
    task = engine.worker(work, lifespan=app).tasks["afterwork"]
    await asyncio.to_thread(task, NOTHING.to_json())
    assert "no database" in caplog.text
    ran = binding(engine)
    async with serving(engine):
        await until(lambda: ran)

    def refuse(messages: Any) -> None:
        raise EngineError("x", "take a call in", "it is down")

    monkeypatch.setattr(engine._publisher, "publish_here", refuse)
    with pytest.raises(Reject) as rejected:
        await asyncio.to_thread(task, NOTHING.to_json())
    assert rejected.value.requeue


async def test_what_is_under_way_when_the_process_ends_has_its_grace_and_goes_back() -> None:
    async with using(new_engine(grace=0.2)) as engine:
        begun: list[float] = []

        async def run(envelope: Envelope) -> None:
            begun.append(time.monotonic())
            await asyncio.Event().wait()

        engine.bind(run)
        task = engine.app.tasks["afterwork"]
        running = asyncio.create_task(asyncio.to_thread(task, NOTHING.to_json()))
        await until(lambda: begun)
        await asyncio.to_thread(engine._loop.close)
        with pytest.raises(Reject) as rejected:
            await running
        assert rejected.value.requeue
        assert time.monotonic() - begun[0] >= 0.2


async def test_a_fork_has_a_loop_of_its_own(
    engine: CeleryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int | None] = set()

    async def run(envelope: Envelope) -> None:
        threads.add(threading.current_thread().ident)

    engine.bind(run)
    task = engine.app.tasks["afterwork"]
    await asyncio.to_thread(task, NOTHING.to_json())
    parents: Any = engine._loop._running
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        engine._loop.close()  # a fork leaves its parent's alone
        await asyncio.to_thread(task, NOTHING.to_json())
        engine._loop.close()
    parents.close(1)
    assert len(threads) == 2


# -- when a worker of Celery's starts


def start(engine: CeleryEngine, app: Any = None, pool: str = "prefork") -> None:
    """What Celery tells at the start of a worker."""
    engine._check_worker(SimpleNamespace(app=app or engine.app, pool_cls=pool))


def test_a_worker_that_knows_no_jobs_does_not_start() -> None:
    engine = CeleryEngine("amqp://")
    start(engine, Celery())  # somebody else's
    with pytest.raises(SystemExit, match=r"celery = engine\.worker\(work\)"):
        start(engine)
    Afterwork(engine=engine, store=MemoryStore()).engine  # noqa: B018
    start(engine)


def test_a_worker_looks_at_settings_that_were_made_later() -> None:
    engine = CeleryEngine("amqp://")
    engine.worker(Afterwork(engine=engine, store=MemoryStore()))
    engine.app.conf.worker_prefetch_multiplier = 8
    with pytest.raises(SystemExit, match="prefetch_multiplier must be 1"):
        start(engine)


@pytest.mark.parametrize("pool", ["gevent", "celery.concurrency.eventlet:TaskPool"])
def test_a_worker_without_real_threads_does_not_start(pool: str) -> None:
    engine = CeleryEngine("amqp://")
    engine.worker(Afterwork(engine=engine, store=MemoryStore()))
    with pytest.raises(SystemExit, match="an event loop does not run in that pool"):
        start(engine, pool=pool)


def test_a_worker_is_for_the_work_of_its_engine() -> None:
    one, other = CeleryEngine("amqp://"), CeleryEngine("amqp://")
    with pytest.raises(InvalidOptionError, match="the Afterwork that has this engine"):
        one.worker(Afterwork(engine=other, store=MemoryStore()))


async def test_redis_refuses_jobs_that_it_would_deliver_twice() -> None:
    """Where calls are made, and where they are to run."""
    engine = CeleryEngine("redis://", visibility_timeout=100)
    work = Afterwork(engine=engine, store=MemoryStore(), timeout=50)
    engine.worker(work)

    @work.job(durable=True, timeout=None)
    async def without_end() -> None: ...

    @work.job(durable=True)
    async def by_default() -> None: ...

    @work.job(timeout=1000)
    async def not_durable() -> None: ...

    start(engine)

    @work.job(durable=True, timeout=51)
    async def longer() -> None: ...

    with pytest.raises(SystemExit, match="visibility_timeout=102"):
        start(engine)
    with pytest.raises(EngineError, match="visibility_timeout=102"):
        await after.enqueue(by_default)
