"""Taskiq's engine, against RabbitMQ."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aio_pika
import pytest
from afterwork_integrations.taskiq import TaskiqEngine, _engine, _sender
from taskiq import InMemoryBroker, SimpleRetryMiddleware, SmartRetryMiddleware, TaskiqMiddleware
from taskiq import TaskiqMessage as Message
from taskiq.api import run_receiver_task
from taskiq.serializers import PickleSerializer
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType
from taskiq_redis import ListQueueBroker, PubSubBroker, RedisStreamBroker

from afterwork import Engine
from afterwork.engines import Envelope
from afterwork.errors import EngineError, InvalidOptionError, UnsupportedError
from tests.contracts.engine import EngineContract
from tests.integrations.engines.rabbitmq import channel, forget, new_queue, waiting
from tests.services import Proxy, rabbitmq_url

PATIENCE = 20.0


class TestTaskiqEngine(EngineContract):
    def make_engine(self) -> Engine:
        self.queue = new_queue()
        return TaskiqEngine(rabbitmq_url(), queue=self.queue)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        await put(self.queue, text.encode())
        return True

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        await forget(self.queue)


class TestTaskiqEngineWithABrokerOfTheUsers(TestTaskiqEngine):
    def make_engine(self) -> Engine:
        self.queue = new_queue()
        queue = Queue(name=self.queue, type=QueueType.CLASSIC)
        return TaskiqEngine(
            AioPikaBroker(
                rabbitmq_url(),
                exchange=Exchange(name=self.queue),
                dead_letter_queue=Queue(name=f"{self.queue}.rejected"),
            ).with_queues(queue)
        )


async def put(queue: str, body: bytes) -> None:
    async with channel() as here:
        await here.default_exchange.publish(aio_pika.Message(body), queue)


def envelope(number: int = 1, **fields: Any) -> Envelope:
    return Envelope(id=f"id-{number}", job="note", **fields)


async def until(condition: Callable[[], object]) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE
        await asyncio.sleep(0.005)


class Seen:
    """What a worker was given. `answer` says what follows from it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.at: list[float] = []

    async def __call__(self, envelope: Envelope) -> Envelope | None:
        self.ids.append(envelope.id)
        self.at.append(time.time())
        return None


@pytest.fixture
async def queue() -> AsyncIterator[str]:
    name = new_queue()
    yield name
    await forget(name)


@contextlib.asynccontextmanager
async def opened(engine: TaskiqEngine) -> AsyncIterator[TaskiqEngine]:
    try:
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def serving(engine: TaskiqEngine, concurrency: int = 5) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(engine.serve(concurrency=concurrency, stop=stop.wait()))
    try:
        yield
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task
    finally:
        task.cancel()


# -- what is sent


async def test_a_message_is_persistent_and_its_queue_durable(queue: str) -> None:
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        await engine.enqueue([envelope()])
        async with channel() as here:
            found = await here.get_queue(queue)
            message = await found.get()
            assert message is not None
            assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
            assert message.headers["ack_type"] == "manual"
            assert json.loads(message.body)["args"] == [envelope().to_json()]
            await message.ack()
        async with channel() as here:  # other settings would be refused
            arguments: dict[str, Any] = {
                "x-queue-type": "quorum",
                "x-delivery-limit": 1_000_000,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": f"{queue}.rejected",
            }
            await here.declare_queue(queue, durable=True, arguments=arguments)


async def test_a_message_that_no_queue_takes_is_an_error_and_the_queue_is_made_again(
    queue: str,
) -> None:
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        await engine.enqueue([envelope()])
        async with channel() as here:
            await here.queue_delete(queue)
        with pytest.raises(EngineError, match="could not take in 2 calls"):
            await engine.enqueue([envelope(2), envelope(3)])
        await engine.enqueue([envelope(4)])
        await until_ready(queue, 1)


async def until_ready(queue: str, count: int) -> None:
    start = time.monotonic()
    while await waiting(queue) != count:
        assert time.monotonic() - start < PATIENCE


async def test_a_short_delay_does_not_wait_behind_a_long_one(queue: str) -> None:
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        seen = Seen()
        engine.bind(seen)
        now = time.time()
        await engine.enqueue([envelope(1, run_at=now + 30), envelope(2, run_at=now + 0.25)])
        async with serving(engine):
            await until(lambda: seen.ids)
        assert seen.ids == ["id-2"]
        assert now + 0.25 <= seen.at[0] < now + 5


async def test_a_way_into_a_transaction_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="transaction"):
        await TaskiqEngine(rabbitmq_url()).enqueue([envelope()], connection=object())


# -- where the server is not there


async def test_a_server_that_is_down_is_an_error_soon(unused_tcp_port: int) -> None:
    engine = TaskiqEngine(f"amqp://user:secret@127.0.0.1:{unused_tcp_port}/", timeout=2)
    start = time.monotonic()
    with pytest.raises(EngineError, match="Check that RabbitMQ runs") as caught:
        await engine.enqueue([envelope()])
    assert time.monotonic() - start < 5
    assert "secret" not in str(caught.value)
    await engine.close()


async def test_a_server_that_does_not_answer_is_an_error_in_time(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sender, "CLOSE_SECONDS", 0.1)
    with Proxy(rabbitmq_url(), 5672) as proxy:
        async with opened(TaskiqEngine(proxy.url, queue=queue, timeout=0.5)) as engine:
            await engine.enqueue([envelope()])
            proxy.go_dead()
            with pytest.raises(EngineError, match=r"no answer within 0\.5 s"):
                await engine.enqueue([envelope()])
            with pytest.raises(EngineError, match=r"no answer within 0\.5 s"):
                await engine.enqueue([envelope()])


async def test_a_connection_that_was_cut_is_made_again(queue: str) -> None:
    with Proxy(rabbitmq_url(), 5672) as proxy:
        async with opened(TaskiqEngine(proxy.url, queue=queue)) as engine:
            await engine.enqueue([envelope()])
            proxy.cut()
            with contextlib.suppress(EngineError):  # the first may find it cut
                await engine.enqueue([envelope()])
            await engine.enqueue([envelope()])


async def test_a_wrong_password_is_an_error_that_does_not_show_it(queue: str) -> None:
    url = rabbitmq_url().replace("guest:guest", "guest:wrong-secret")
    async with opened(TaskiqEngine(url, queue=queue)) as engine:
        with pytest.raises(EngineError, match="Check user, password") as caught:
            await engine.enqueue([envelope()])
        assert "wrong-secret" not in f"{caught.value}{engine!r}{engine.name}"
        with pytest.raises(EngineError, match="could not take calls out"):
            await engine.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_queue_that_is_there_with_other_settings_is_an_error(queue: str) -> None:
    async with channel() as here:
        await here.declare_queue(queue, durable=True)
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        with pytest.raises(EngineError, match="choose another name, or delete it"):
            await engine.enqueue([envelope()])


async def test_a_worker_tries_until_the_server_is_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so once a minute."""
    monkeypatch.setattr(_engine, "FIRST_PAUSE_SECONDS", 0.01)
    tries: list[object] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        engine = TaskiqEngine(f"amqp://user:secret@127.0.0.1:{port}/")
        async with opened(engine), serving(engine):
            await until(lambda: len(tries) >= 3)
    assert caplog.text.count("engine.lost") == 1
    assert "secret" not in caplog.text


async def test_a_worker_goes_on_after_its_connection_was_cut(
    queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it ran then is delivered again, to be seen as the same."""
    with Proxy(rabbitmq_url(), 5672) as proxy:
        async with (
            opened(TaskiqEngine(proxy.url, queue=queue)) as worker,
            opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as web,
        ):
            seen = Seen()
            go = asyncio.Event()

            async def run(envelope: Envelope) -> None:
                await seen(envelope)
                await go.wait()

            worker.bind(run)
            await web.enqueue([envelope(1)])
            async with serving(worker):
                await until(lambda: seen.ids == ["id-1"])
                proxy.cut()
                await until(lambda: seen.ids == ["id-1", "id-1"])
                go.set()
                await until(lambda: "engine.not_acknowledged" in caplog.text)
                await web.enqueue([envelope(2)])
                await until(lambda: "id-2" in seen.ids)
        assert await waiting(queue) == 0


# -- what is taken out


async def test_no_more_is_taken_from_the_server_than_runs(queue: str) -> None:
    """What a worker holds back, no other can run."""
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        seen = Seen()
        go = asyncio.Event()

        async def run(envelope: Envelope) -> None:
            await seen(envelope)
            await go.wait()

        engine.bind(run)
        await engine.enqueue([envelope(number) for number in range(6)])
        async with serving(engine, concurrency=2):
            await until(lambda: len(seen.ids) == 2)
            await until_ready(queue, 4)
            go.set()
            await until(lambda: len(seen.ids) == 6)


async def test_what_follows_is_kept_before_a_message_is_let_go(
    queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the server takes nothing at the moment, it is tried until it does."""
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        seen = Seen()

        async def run(envelope: Envelope) -> Envelope | None:
            await seen(envelope)
            return envelope.again(None) if envelope.attempt == 1 else None

        engine.bind(run)
        await engine.enqueue([envelope()])
        enqueue = engine.enqueue
        refused: list[object] = []

        async def refuse_once(envelopes: Any) -> Any:
            if not refused:
                refused.append(await waiting(queue))
                raise EngineError(engine.name, "take in 1 call", "the test says so")
            return await enqueue(envelopes)

        monkeypatch.setattr(engine, "enqueue", refuse_once)
        async with serving(engine):
            await until(lambda: len(seen.ids) == 2)
        assert refused == [0]
        assert "engine.lost" in caplog.text


def message(task: str, argument: str) -> bytes:
    fields = {"task_id": "1", "task_name": task, "labels": {}, "args": [argument], "kwargs": {}}
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\xffa secret", "no message of Taskiq's"),
        (message("os:system", "a secret"), "not known here"),
        (message("afterwork", "a secret"), "the envelope must be JSON"),
    ],
    ids=["no message", "another task", "no envelope"],
)
async def test_what_is_no_call_is_said_once_and_not_shown(
    queue: str, body: bytes, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        seen = Seen()
        engine.bind(seen)
        await engine.enqueue([])
        await engine.enqueue([envelope(1)])
        await put(queue, body)
        await engine.enqueue([envelope(2)])
        async with serving(engine, concurrency=1):
            await until(lambda: seen.ids == ["id-1", "id-2"])
        bad = [each for each in caplog.records if "engine.bad_message" in each.getMessage()]
        assert len(bad) == 1
        assert bad[0].levelno == logging.ERROR
        assert problem in bad[0].getMessage()
        assert "a secret" not in caplog.text
        await until_ready(queue, 0)


def test_each_loop_has_connections_of_its_own() -> None:
    queue = new_queue()
    broker = mine(queue)
    engine = TaskiqEngine(broker)
    with asyncio.Runner() as first:
        first.run(engine.enqueue([envelope(1)]))
        connection = broker.write_conn
        assert connection is not None
        with asyncio.Runner() as second:
            second.run(engine.close())  # what is another loop's is left alone
            assert broker.write_conn is connection
            second.run(engine.enqueue([envelope(2)]))
            assert broker.write_conn is not connection
            second.run(until_ready(queue, 2))
            second.run(engine.close())
            second.run(forget(queue))
        first.run(connection.close())


# -- a broker of the user's


def mine(queue: str, **settings: Any) -> AioPikaBroker:
    """A broker as it may be, but for these settings of its queue."""
    return AioPikaBroker(
        rabbitmq_url(),
        exchange=Exchange(name=queue),
        dead_letter_queue=Queue(name=f"{queue}.rejected"),
        task_queues=[Queue(name=queue, **settings)],
    )


async def test_its_middlewares_see_the_messages_and_its_other_tasks_run(queue: str) -> None:
    broker = mine(queue)
    told: list[str] = []

    class Telling(TaskiqMiddleware):
        def pre_send(self, message: Message) -> Message:
            told.append(f"pre_send {message.task_name}")
            return message

        async def post_send(self, message: Message) -> None:
            told.append(f"post_send {message.task_name}")

        def pre_execute(self, message: Message) -> Message:
            told.append(f"pre_execute {message.task_name}")
            return message

    broker.add_middlewares(Telling())

    @broker.task("mine")
    async def other() -> None:
        told.append("other ran")

    async with opened(TaskiqEngine(broker)) as engine:
        seen = Seen()
        engine.bind(seen)
        await engine.enqueue([envelope()])
        await other.kiq()
        async with serving(engine):
            await until(lambda: seen.ids and "other ran" in told)
    assert told[:2] == ["pre_send afterwork", "post_send afterwork"]
    assert "pre_execute afterwork" in told


async def test_a_worker_of_taskiqs_own_acknowledges_late_too(queue: str) -> None:
    """`taskiq worker` does the same as this."""
    broker = mine(queue)
    async with opened(TaskiqEngine(broker)) as engine:
        seen = Seen()
        go = asyncio.Event()

        async def run(envelope: Envelope) -> None:
            await seen(envelope)
            await go.wait()

        engine.bind(run)
        await engine.enqueue([envelope()])
        theirs = mine(queue)
        again = TaskiqEngine(theirs)
        again.bind(run)
        worker = asyncio.create_task(run_receiver_task(theirs, run_startup=True))
        await until(lambda: seen.ids)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await theirs.shutdown()
        await until_ready(queue, 1)  # it was not acknowledged when it was received
        go.set()


async def test_a_broker_that_was_started_is_used_as_it_is(queue: str) -> None:
    broker = mine(queue)
    await broker.startup()
    connection = broker.write_conn
    async with opened(TaskiqEngine(broker)) as engine:
        await engine.enqueue([envelope()])
        assert broker.write_conn is connection
        await until_ready(queue, 1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"durable": False}, "durable"),
        ({"auto_delete": True}, "auto_delete"),
        ({"exclusive": True}, "exclusive"),
        ({"declare": False}, "declared"),
        ({"type": QueueType.STREAM}, "stream"),
        ({"consumer_arguments": {"no_ack": True}}, "no_ack"),
        ({"arguments": {"x-message-ttl": 1000}}, "drops calls that wait too long"),
        ({"arguments": {"x-expires": 1000}}, "while no worker is there"),
        ({"arguments": {"x-max-length": 10}}, "x-overflow = reject-publish"),
        ({"arguments": {"x-max-length-bytes": 10, "x-overflow": "drop-head"}}, "x-overflow"),
    ],
)
def test_a_queue_that_loses_work_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOptionError, match=problem):
        TaskiqEngine(mine("q", **settings))


def test_a_full_queue_that_refuses_is_taken() -> None:
    arguments: dict[str, Any] = {"x-max-length": 10, "x-overflow": "reject-publish"}
    assert repr(TaskiqEngine(mine("q", arguments=arguments))).endswith("queue='q')")


@pytest.mark.parametrize(
    ("broker", "problem"),
    [
        (ListQueueBroker("redis://127.0.0.1"), "forgets what a dead worker had taken"),
        (RedisStreamBroker("redis://127.0.0.1"), "only when new calls come"),
        (PubSubBroker("redis://127.0.0.1"), "keeps nothing"),
        (InMemoryBroker(), "in this process alone"),
        (object(), "taskiq_aio_pika.AioPikaBroker"),
        (mine("q").with_serializer(PickleSerializer()), "unpickle"),
        (mine("q").with_middlewares(SimpleRetryMiddleware()), "retry middleware"),
        (mine("q").with_middlewares(SmartRetryMiddleware()), "retry middleware"),
        (AioPikaBroker("amqp://127.0.0.1"), "one queue"),
        (mine("q").with_queue(Queue(name="another")), "one queue"),
        (AioPikaBroker(task_queues=[Queue()], exchange=Exchange(durable=False)), "exchange"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_broker_that_loses_work_is_refused(broker: Any, problem: str) -> None:
    with pytest.raises(InvalidOptionError, match=problem):
        TaskiqEngine(broker)


# -- settings


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="timeout"):
        TaskiqEngine(rabbitmq_url(), timeout=0)
    with pytest.raises(InvalidOptionError, match="left out for a broker"):
        TaskiqEngine(mine("q"), queue="another")
    with pytest.raises(InvalidOptionError, match="URL of a RabbitMQ") as caught:
        TaskiqEngine("redis://user:secret@127.0.0.1/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("broker", "seconds"),
    [
        ("amqp://127.0.0.1/", 30),
        ("amqp://127.0.0.1/?heartbeat=4", 8),
        ("amqp://127.0.0.1/?heartbeat=0", None),
        (AioPikaBroker(task_queues=[Queue()]), 120),
        (AioPikaBroker(task_queues=[Queue()], heartbeat=10), 20),
    ],
    ids=["url", "4 s", "none", "a broker", "a broker with 10 s"],
)
def test_recovery_is_two_heartbeats(broker: Any, seconds: float | None) -> None:
    """A machine that is gone closes no connection."""
    assert TaskiqEngine(broker).capabilities.recovery_seconds == seconds


def test_its_name_has_no_password() -> None:
    engine = TaskiqEngine("amqp://user:secret@127.0.0.1:5672/shop", queue="q")
    assert engine.name == "taskiq on amqp://127.0.0.1:5672/shop"
    assert repr(engine) == "TaskiqEngine('amqp://127.0.0.1:5672/shop', queue='q')"


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "taskiq_aio_pika", None)
    for name in [name for name in sys.modules if name.startswith("afterwork_integrations.taskiq")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[taskiq\]'"):
        importlib.import_module("afterwork_integrations.taskiq")


async def test_a_worker_goes_on_after_the_server_closed_its_channel(queue: str) -> None:
    """As it does for a call that runs longer than its `consumer_timeout`."""
    broker = mine(queue)
    async with opened(TaskiqEngine(broker)) as engine:
        seen = Seen()
        go = asyncio.Event()

        async def run(envelope: Envelope) -> None:
            await seen(envelope)
            await go.wait()

        engine.bind(run)
        await engine.enqueue([envelope(1)])
        async with serving(engine):
            await until(lambda: seen.ids == ["id-1"])
            assert broker.read_channel is not None
            reading = await broker.read_channel.get_underlay_channel()
            await reading.basic_ack(4711)  # there is none: the server closes the channel
            await until(lambda: seen.ids == ["id-1", "id-1"])
            go.set()
            await engine.enqueue([envelope(2)])
            await until(lambda: "id-2" in seen.ids)
            await until_ready(queue, 0)


async def test_a_worker_goes_on_after_its_queue_was_deleted(queue: str) -> None:
    """What was in it is gone; what comes after is not."""
    async with opened(TaskiqEngine(rabbitmq_url(), queue=queue)) as engine:
        seen = Seen()
        engine.bind(seen)
        await engine.enqueue([envelope(1)])
        async with serving(engine):
            await until(lambda: seen.ids == ["id-1"])
            async with channel() as here:
                await here.queue_delete(queue)
            await until_there(queue)  # the worker makes it again
            await engine.enqueue([envelope(2)])
            await until(lambda: "id-2" in seen.ids)


async def until_there(queue: str) -> None:
    start = time.monotonic()
    while True:
        try:
            await waiting(queue)
            return
        except aio_pika.exceptions.ChannelNotFoundEntity:
            assert time.monotonic() - start < PATIENCE
