"""Vercel Queues as an engine, with the queue that Vercel's SDK brings for tests."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from afterwork_integrations import vercel_queue
from afterwork_integrations.vercel_queue import VercelQueueEngine
from vercel.queue import ALL_DEPLOYMENTS, QueueClient, RetryAfter, get_subscriptions
from vercel.queue.embedded import create_embedded_queue_app, embedded_queue_service

from afterwork import Afterwork, Engine
from afterwork.engines import Envelope
from afterwork.errors import EngineError, InvalidOptionError
from tests.contracts.engine import PushEngineContract
from tests.integrations.signing import NOW, ManualClock


def new_topic() -> str:
    return f"test-{uuid.uuid4().hex}"


def client_of(app: Any, **options: Any) -> QueueClient:
    """Sends to the SDK's own queue, without a network."""
    settings = {
        "token": "token",
        "region": "iad1",
        "base_url": "http://queue.test",
        "deployment": ALL_DEPLOYMENTS,
        "http_client_factory": app.create_async_client_factory(),
    }
    return QueueClient(**{**settings, **options})


@pytest.fixture
def app() -> Iterator[Any]:
    app = create_embedded_queue_app()
    yield app
    app.state.close()


def envelope(**more: Any) -> Envelope:
    return Envelope(id=str(uuid.uuid4()), job="invoice", payload="[[1], {}]", **more)


@pytest.mark.parametrize(
    ("wait", "seconds"), [(None, 0), (-5.0, 0), (0.001, 1), (59.5, 60), (9e6, 518_400)]
)
async def test_a_call_is_a_message_that_is_kept_for_a_week(
    app: Any, wait: float | None, seconds: int
) -> None:
    """Its delay is never short, and leaves a day for deliveries."""
    topic = new_topic()
    engine = VercelQueueEngine(topic, client=client_of(app), clock=ManualClock())
    call = envelope(run_at=None if wait is None else NOW + wait)
    assert await engine.enqueue([call]) == [call.id]
    (message,) = app.state.by_topic[topic]
    assert Envelope.from_json(message.payload.read()) == call
    assert (message.delay_seconds, message.retention_seconds) == (seconds, 604_800)


async def test_many_calls_are_sent_side_by_side(app: Any) -> None:
    topic = new_topic()
    engine = VercelQueueEngine(topic, client=client_of(app))
    calls = [envelope() for _ in range(25)]
    assert await engine.enqueue(calls) == [call.id for call in calls]
    await engine.enqueue([])
    assert len(app.state.by_topic[topic]) == 25


def answering(status: int, body: Any = None) -> Any:
    """Clients whose server answers so; None hangs."""

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if status == 0:
            await asyncio.Event().wait()
        if status == 1:
            raise httpx2.ConnectError("no route")
        return httpx2.Response(status, json=body)

    return lambda **_: httpx2.AsyncClient(transport=httpx2.MockTransport(answer))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "BadRequestError"),
        (401, "UnauthorizedError: Missing or invalid authentication token. Off Vercel, run"),
        (403, "ForbiddenError"),
        (429, "ThrottledError"),
        (500, "InternalServerError"),
        (1, "CommunicationError: no route"),
        (0, r"no answer within 0\.2 seconds"),
    ],
)
async def test_what_vercel_does_not_take_is_an_error(app: Any, status: int, text: str) -> None:
    client = client_of(app, http_client_factory=answering(status))
    engine = VercelQueueEngine(new_topic(), client=client, timeout=0.2)
    with pytest.raises(EngineError, match=text):
        await engine.enqueue([envelope()])


async def test_off_vercel_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the call, not when the engine is made."""
    monkeypatch.delenv("VERCEL_REGION", raising=False)
    engine = VercelQueueEngine(new_topic())
    with pytest.raises(EngineError, match="ValueError: Queue region is required.*vercel link"):
        await engine.enqueue([envelope()])


async def test_what_is_no_call_is_said_and_over(caplog: pytest.LogCaptureFixture) -> None:
    engine = VercelQueueEngine(new_topic())

    async def run(envelope: Envelope, /, *, deadline: float | None = None) -> None:
        raise AssertionError("nothing to run")

    engine.bind(run)
    await engine.deliver(b"the-secret")
    assert "engine.bad_message" in caplog.text
    assert "the-secret" not in caplog.text


async def test_a_call_whose_next_attempt_cannot_be_sent_comes_again(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(app, http_client_factory=answering(500))
    engine = VercelQueueEngine(new_topic(), client=client, retry_after=30)

    async def run(envelope: Envelope, /, *, deadline: float | None = None) -> Envelope:
        return envelope.again(None)

    engine.bind(run)
    with pytest.raises(RetryAfter) as caught:
        await engine.deliver(envelope().to_json().encode())
    assert caught.value.timeout_seconds == 30
    assert "engine.lost" in caplog.text


def test_vercel_finds_its_subscriber_and_its_settings() -> None:
    """Which is all that a build looks at."""
    topic = new_topic()
    engine = VercelQueueEngine(topic, retry_after=5, max_concurrency=3)
    (found,) = [each for each in get_subscriptions() if each.topic == topic]
    assert found.func is engine.subscriber
    assert (found.consumer_group, found.retry_after_seconds) == ("afterwork", 5)
    assert (found.max_concurrency, found.max_attempts) == (3, None)
    with pytest.raises(InvalidOptionError, match="topic must be one that nothing else in this"):
        VercelQueueEngine(topic)


async def test_it_says_what_it_can_and_is_not_served() -> None:
    engine = VercelQueueEngine(topic := new_topic())
    can = engine.capabilities
    assert (can.mode, can.keys, can.max_delay, can.recovery_seconds) == (
        "push",
        "none",
        518_400,
        360,
    )
    assert repr(engine) == f"<VercelQueueEngine {topic}>"
    with pytest.raises(EngineError, match="Vercel invokes its subscriber"):
        await engine.serve(concurrency=1, stop=asyncio.get_running_loop().create_future())
    assert await engine.status("x") is None
    assert await engine.cancel("x") is False


@pytest.mark.parametrize(
    "options",
    [
        {"topic": "a b"},
        {"topic": ""},
        {"topic": None},
        {"retry_after": 0},
        {"retry_after": 86_401},
        {"max_concurrency": 0},
        {"client": object()},
        {"timeout": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InvalidOptionError, match=f"{name} must be"):
        VercelQueueEngine(**options)


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vercel.queue", None)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[vercel-queue\]'"):
        importlib.reload(vercel_queue)


class TestVercelQueueEngine(PushEngineContract):
    """The queue pushes to the subscriber as Vercel's own does: with its headers, through the SDK's
    `accept_and_handle`, which acknowledges and prolongs."""

    @asynccontextmanager
    async def site(self, **settings: Any) -> AsyncIterator[Any]:
        async with embedded_queue_service() as self.service, super().site(**settings) as site:
            yield site

    def make_engine(self) -> Engine:
        self.topic = new_topic()
        engine = VercelQueueEngine(
            self.topic, retry_after=1, client=self.service.get_async_client()
        )
        # Until somebody serves, nothing is pushed.
        self.registered = list(self.service.dispatcher._registrations)
        self.service.dispatcher._registrations.clear()
        return engine

    async def serve(self, work: Afterwork, *, concurrency: int, stop: Awaitable[object]) -> None:
        dispatcher = self.service.dispatcher
        dispatcher._registrations[:] = [
            each for each in self.registered if each.topic_pattern == self.topic
        ]
        dispatcher.wake()
        try:
            await stop
        finally:
            dispatcher._registrations.clear()
        while dispatcher._inflight:
            await asyncio.sleep(0.005)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        client = self.service.get_async_client()
        await client.send(self.topic, text)
        await client.send(self.topic, {"text": json.dumps(text)})
        return True
