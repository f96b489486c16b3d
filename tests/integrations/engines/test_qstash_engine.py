"""QStash as an engine, against a stand-in that takes what QStash documents."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from afterwork_integrations.qstash import QStashEngine, QStashSignature
from qstash import AsyncQStash

from afterwork import Afterwork, Engine
from afterwork.engines import Envelope
from afterwork.errors import EngineError, InvalidOptionError
from tests.contracts.engine import PushEngineContract
from tests.integrations.receiver import receiving
from tests.integrations.signing import ManualClock
from tests.integrations.test_qstash import CURRENT, NEXT

from .qstash_server import TOKEN, QStashServer
from .vendor import Door

URL = "https://app.example/cron/work"
ID = "01890000-0000-7000-8000-00000000000{}"


@pytest.fixture
def server() -> Iterator[QStashServer]:
    with QStashServer() as server:
        yield server


def envelope(number: int = 0, **more: Any) -> Envelope:
    return Envelope(id=ID.format(number), job="invoice", payload="[[1], {}]", **more)


def engine_of(api: str, **options: Any) -> QStashEngine:
    return QStashEngine(TOKEN, url=URL, api=api, **options)


def sent(server: QStashServer, request: int = -1) -> list[dict[str, Any]]:
    """The messages of a request."""
    messages: list[dict[str, Any]] = json.loads(server.requests[request][3])
    return messages


async def test_a_call_is_a_message_to_the_page_for_deliveries(server: QStashServer) -> None:
    """Its body is the envelope, byte for byte."""
    engine = engine_of(server.url)
    assert await engine.enqueue([envelope()]) == [ID.format(0)]
    await engine.close()

    assert sent(server) == [
        {
            "destination": URL,
            "headers": {
                "Content-Type": "application/json",
                "Upstash-Method": "POST",
                "Upstash-Retries": "3",
            },
            "body": envelope().to_json(),
        }
    ]
    (message,) = server.messages.values()
    assert Envelope.from_json(message.body) == envelope()


async def test_what_the_vendors_sdk_sends_is_the_same(server: QStashServer) -> None:
    """For the same wishes."""
    moment = int(time.time()) + 60
    engine = engine_of(server.url, delivery_timeout=90, parallelism=5)
    await engine.enqueue([envelope(run_at=float(moment), key="k")])
    await engine.close()
    (ours,) = sent(server)

    sdk = AsyncQStash(TOKEN, base_url=server.url, retry=False)
    headers = ours["headers"]
    await sdk.message.batch(
        [
            {
                "url": URL,
                "body": envelope(run_at=float(moment), key="k").to_json(),
                "content_type": "application/json",
                "method": "POST",
                "retries": 3,
                "not_before": moment,
                "timeout": 90,
                "deduplication_id": headers["Upstash-Deduplication-Id"],
                "flow_control": {"key": headers["Upstash-Flow-Control-Key"], "parallelism": 5},
            }
        ]
    )
    await sdk.http._client.aclose()
    (theirs,) = sent(server)
    assert theirs.pop("queue", None) is None
    assert ours == theirs
    assert len(server.messages) == 1, "the second was taken for the first"


async def test_many_calls_go_in_one_request(server: QStashServer) -> None:
    """Up to a hundred."""
    engine = engine_of(server.url)
    ids = await engine.enqueue([envelope(number) for number in range(10)])
    await engine.enqueue([])
    assert len(server.requests) == 1
    await engine.enqueue([envelope(number % 10) for number in range(101)])
    await engine.close()

    assert ids == [ID.format(number) for number in range(10)]
    assert [len(sent(server, place)) for place in range(3)] == [10, 100, 1]


@pytest.mark.parametrize(
    ("run_at", "sent_as"),
    [
        (None, None),
        (999.0, None),
        (1000.0, None),
        (1000.001, "0000001001"),
        (1001.0, "0000001001"),
        (1059.5, "0000001060"),
        (4600.0, "0000001060"),
    ],
)
async def test_a_delay_is_never_short_and_never_longer_than_the_plan_allows(
    server: QStashServer, run_at: float | None, sent_as: str | None
) -> None:
    """QStash knows whole seconds. What is longer goes on when it comes back."""
    base = 1_790_000_000
    engine = engine_of(server.url, max_delay=60, clock=ManualClock(base + 1000.0))
    await engine.enqueue([envelope(run_at=None if run_at is None else base + run_at)])
    await engine.close()

    expected = None if sent_as is None else str(base + int(sent_as))
    assert sent(server)[0]["headers"].get("Upstash-Not-Before") == expected


async def test_a_key_is_of_its_job_and_of_this_app(server: QStashServer) -> None:
    """A QStash account has one space of keys for all its apps."""
    here, there = engine_of(server.url), QStashEngine(TOKEN, url=URL + "2", api=server.url)
    await here.enqueue([envelope(0, key="k"), envelope(1, key="l")])
    await here.enqueue([Envelope(id=ID.format(2), job="other", key="k")])
    await there.enqueue([envelope(3, key="k")])
    for engine in (here, there):
        await engine.close()

    assert len(server.messages) == 4
    assert all(key != "k" for key in server.keys)


async def test_whom_a_key_kept_out_learns_the_first_ones_id(server: QStashServer) -> None:
    """As long as QStash has it: after that, its own."""
    engine = engine_of(server.url)
    await engine.enqueue([envelope(0, key="k")])
    assert await engine.enqueue([envelope(1, key="k"), envelope(2)]) == [ID.format(0), ID.format(2)]
    server.messages.clear()
    assert await engine.enqueue([envelope(3, key="k")]) == [ID.format(3)]
    await engine.close()

    assert server.messages == {}


@pytest.mark.parametrize("answer", [b"[]", b"null", b'{"body": "{}"}', b"<html>", b"{}"])
async def test_what_is_no_call_has_no_id(server: QStashServer, answer: bytes) -> None:
    """Another app's message under the same key, for example."""
    engine = engine_of(server.url)
    await engine.enqueue([envelope(0, key="k")])
    (message,) = server.messages.values()
    message.body = answer
    assert await engine.enqueue([envelope(1, key="k")]) == [ID.format(1)]
    await engine.close()


async def test_a_message_that_qstash_refuses_is_an_error(server: QStashServer) -> None:
    """One of several is enough."""
    engine = engine_of(server.url)
    server.refused = {1}
    with pytest.raises(EngineError, match="it said 'quota maxDelay exceeded' of a message"):
        await engine.enqueue([envelope(0), envelope(1)])
    server.refused = {0}
    with pytest.raises(EngineError, match="take calls in"):
        await engine.enqueue([envelope(0)])
    await engine.close()


async def test_a_wrong_token_is_an_error_that_does_not_show_it(server: QStashServer) -> None:
    """And says what to look at."""
    engine = QStashEngine("wrong-token-0123456789", url=URL, api=server.url)
    with pytest.raises(EngineError) as caught:
        await engine.enqueue([envelope()])
    await engine.close()
    assert str(caught.value) == (
        "the engine qstash could not take calls in: it answered 401, 'unauthorized'. "
        "Check the token, and that `api` is the address of its region."
    )


async def test_what_the_plan_does_not_allow_is_an_error(server: QStashServer) -> None:
    engine = engine_of(server.url, retries=5)
    with pytest.raises(EngineError, match="it answered 400, 'quota maxRetries exceeded'"):
        await engine.enqueue([envelope()])
    await engine.close()


async def test_the_daily_limit_says_so() -> None:
    with receiving(429) as limited:
        engine = engine_of(limited.url, timeout=0.3)
        with pytest.raises(EngineError, match=r"it answered 429\. The plan's limit"):
            await engine.enqueue([envelope()])
        await engine.close()


@pytest.mark.parametrize("answer", ["[]", "{}", '[{"x": 1}]', "[1]", '[{"messageId": 5}]'])
async def test_an_answer_that_says_nothing_of_the_call_is_an_error(
    server: QStashServer, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Whoever believed it might lose the call."""
    monkeypatch.setattr(server, "answer", lambda *_: json.loads(answer))
    engine = engine_of(server.url)
    with pytest.raises(EngineError, match="no list of messages|refused a message"):
        await engine.enqueue([envelope()])
    await engine.close()


async def test_what_answers_may_not_be_qstash_at_all() -> None:
    """A proxy's page, for example."""
    with receiving(200) as proxy:
        engine = engine_of(proxy.url)
        with pytest.raises(EngineError, match="what it answered is no list of messages"):
            await engine.enqueue([envelope()])
        await engine.close()


async def test_nothing_is_served() -> None:
    """Nor known of single calls."""
    engine = QStashEngine(TOKEN, url=URL + "?bypass=1")
    stop = asyncio.get_running_loop().create_future()
    with pytest.raises(EngineError, match=r"posts calls to https://app.example/cron/work\. Start"):
        await engine.serve(concurrency=1, stop=stop)
    assert await engine.status(ID.format(0)) is None
    assert await engine.cancel(ID.format(0)) is False
    await engine.close()


def test_it_says_what_it_can() -> None:
    """As its settings are."""
    can = QStashEngine(TOKEN, url=URL).capabilities
    assert (can.mode, can.max_delay, can.keys, can.recovery_seconds) == (
        "push",
        604_800,
        "window",
        None,
    )
    year = QStashEngine(TOKEN, url=URL, max_delay=31_536_000, delivery_timeout=60).capabilities
    assert (year.max_delay, year.recovery_seconds) == (31_536_000, 73.0)
    assert math.exp(2.5) < 13


def test_neither_its_token_nor_a_query_is_shown() -> None:
    engine = QStashEngine(TOKEN, url=URL + "?bypass=secret")
    assert repr(engine) == "<QStashEngine to https://app.example/cron/work>"
    assert TOKEN not in repr(engine.__dict__["_api"])


def test_token_and_region_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By QStash's own names."""
    monkeypatch.setenv("QSTASH_TOKEN", TOKEN)
    monkeypatch.delenv("QSTASH_URL", raising=False)
    assert QStashEngine.from_env(url=URL)._api.base == "https://qstash.upstash.io"
    monkeypatch.setenv("QSTASH_URL", "https://qstash-us-east-1.upstash.io/")
    monkeypatch.setenv("OTHER", TOKEN)
    monkeypatch.delenv("QSTASH_TOKEN")
    engine = QStashEngine.from_env("OTHER", url=URL)
    assert engine._api.base == "https://qstash-us-east-1.upstash.io"
    named = QStashEngine.from_env("OTHER", url=URL, api="http://127.0.0.1:8080")
    assert named._api.base == "http://127.0.0.1:8080"
    with pytest.raises(InvalidOptionError, match="QSTASH_TOKEN must be a token, as QStash's"):
        QStashEngine.from_env(url=URL)


@pytest.mark.parametrize(
    "options",
    [
        {"token": ""},
        {"token": "short"},
        {"token": "with space in it"},
        {"token": "käse-käse-käse"},
        {"token": None},
        {"token": b"bytes-are-no-text"},
        {"url": "app.example/work"},
        {"url": "ftp://app.example/work"},
        {"url": "https://user:password@app.example/work"},
        {"url": "https://app.example/work#there"},
        {"url": "https://app.example/a b"},
        {"url": "https://app.example:port/"},
        {"url": "https://"},
        {"url": "https://käse.example"},
        {"url": None},
        {"api": "https://qstash.upstash.io/v2"},
        {"api": "https://qstash.upstash.io?x=1"},
        {"max_delay": 59},
        {"max_delay": True},
        {"max_delay": "7d"},
        {"retries": 0},
        {"retries": 1.5},
        {"retries": True},
        {"delivery_timeout": 0},
        {"delivery_timeout": 1.5},
        {"parallelism": 0},
        {"timeout": 0},
        {"timeout": 61},
        {"timeout": float("nan")},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """Without what may be secret."""
    (name,) = options
    with pytest.raises(InvalidOptionError, match=f"{name} must be") as caught:
        QStashEngine(**{"token": TOKEN, "url": URL, **options})
    assert "password" not in str(caught.value)
    assert "with space" not in str(caught.value)


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "afterwork_integrations._http_api", None)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[qstash\]'"):
        QStashEngine(TOKEN, url=URL)


class TestQStashEngine(PushEngineContract):
    """The whole circle, over HTTP: the engine, QStash's stand-in, the route with its verifier."""

    @pytest.fixture(autouse=True)
    def _circle(self, server: QStashServer) -> Iterator[None]:
        self.server = server
        self.door = Door()
        yield
        self.door.close()

    def make_engine(self) -> Engine:
        return QStashEngine(TOKEN, url=f"{self.door.url}/work", api=self.server.url)

    async def serve(self, work: Afterwork, *, concurrency: int, stop: Awaitable[object]) -> None:
        async with self.door.serving(work.routes(verify=QStashSignature(CURRENT, NEXT))):
            await self.server.deliver(stop=stop, concurrency=concurrency)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        self.server.put(f"{self.door.url}/work", text)
        return True
