"""The parts of `afterwork_integrations.aws_lambda`, in this process."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from afterwork_integrations import aws_lambda
from afterwork_integrations.aws_lambda import (
    Handler,
    JobEventError,
    LambdaHost,
    WebAdapter,
    _extension,
    _handler,
    _job_events,
    _queue_events,
    _register,
    _sigterm,
)
from afterwork_integrations.aws_lambda._ledger import Ledger
from afterwork_integrations.aws_lambda._request import Request

from afterwork import AfterMiddleware, Afterwork, Host, MemoryStore, after
from afterwork.errors import InvalidOptionError
from afterwork.testing import MemoryEngine
from tests.contracts.host import HostContract
from tests.support import Wire, answering, call, http_scope, respond

from .lambda_platform import Platform, http_event, until

LOGGER = "afterwork.aws_lambda"


class Context:
    """What Lambda gives a handler beside the event."""

    def __init__(self, request_id: str = "one", seconds: float = 3.0) -> None:
        self.aws_request_id = request_id
        self._ends = time.time() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - time.time()) * 1000)


@pytest.fixture(autouse=True)
def _loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mangum makes a loop where there is none, and leaves it open."""
    monkeypatch.setattr(_register, "_extension", None)
    try:
        asyncio.get_running_loop()
        yield  # an async test
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        yield
        asyncio.set_event_loop(None)
        loop.close()


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """Lambda's APIs, for this process."""
    with Platform("unused", tmp_path) as made:
        monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", made.api)
        yield made
        extension = _register._extension
        if extension is not None:
            extension.stop()
    if extension is not None:
        until(lambda: not extension.alive)


def tell(platform: Platform, request_id: str, seconds: float = 3.0) -> None:
    """An invocation, as the extension is told of it."""
    until(lambda: parked(platform))
    with platform.changed:
        platform.state.event = request_id, b"", time.time() + seconds
        platform.state.parked = set()
        platform.changed.notify_all()


def parked(platform: Platform) -> bool:
    """The extension has asked for the next event: Lambda may freeze the process."""
    return platform.state.extensions.keys() <= platform.state.parked


class TestHost(HostContract):
    """`LambdaHost` keeps the rules of every host."""

    def make_host(self) -> Host:
        self.ledger = Ledger()
        return LambdaHost(self.ledger, "one", time.time() + 60)

    async def settle(self, host: Host) -> None:
        self.ledger.enter("one")
        self.ledger.leave("one")
        assert await asyncio.to_thread(self.ledger.wait, "one", time.time() + 5)


# -- the ledger


def test_an_invocation_is_over_once_all_that_entered_have_left() -> None:
    ledger = Ledger()
    assert not ledger.wait("one", time.time()), "nobody has entered yet"
    ledger.enter("one")
    ledger.enter("one")
    ledger.leave("one")
    assert not ledger.wait("one", time.time())
    ledger.leave("one")  # too late: it was given up, and forgotten
    assert len(ledger) == 0


def test_a_new_invocation_makes_the_others_forgotten() -> None:
    ledger = Ledger()
    ledger.enter("old")
    ledger.enter("new")
    ledger.leave("new")
    assert ledger.wait("new", time.time())
    assert len(ledger) == 0


# -- the handler


def test_the_extension_holds_until_the_work_is_done(platform: Platform) -> None:
    release = threading.Event()
    handler = Handler(AfterMiddleware(answering(lambda: after(release.wait, 5))))
    try:
        tell(platform, "one")
        response = handler(http_event("/"), Context())
        assert response["statusCode"] == 200
        assert not parked(platform)
        release.set()
        until(lambda: parked(platform))
    finally:
        release.set()
        handler.close()


def test_many_invocations_leave_nothing(platform: Platform) -> None:
    ran: list[int] = []
    handler = Handler(AfterMiddleware(answering(lambda: after(ran.append, len(ran)))))
    try:
        before = threading.active_count()
        for number in range(1000):
            tell(platform, str(number))
            handler(http_event("/"), Context(str(number)))
            if number == 10:
                before = threading.active_count()
        until(lambda: parked(platform) and not handler._ledger)
        assert ran == list(range(1000))
        assert threading.active_count() <= before + 1
        assert not handler._ledger._tasks
    finally:
        handler.close()


def test_two_handlers_share_one_extension(platform: Platform) -> None:
    first, second = Handler(answering(bool)), WebAdapter(answering(bool))
    try:
        assert first._extension is second._extension is not None
        assert len(platform.state.extensions) == 1
    finally:
        first.close()


def test_on_lambda_the_app_is_not_warned_of_the_freeze(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler's host goes before the detected one, at start-up too."""
    handler = Handler(AfterMiddleware(answering(bool)))
    handler.close()
    assert "host.limited" not in caplog.text


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_LAMBDA_MAX_CONCURRENCY": "4"},
        {"VERCEL": "1"},
        {"AWS_LAMBDA_INITIALIZATION_TYPE": "native-http"},
    ],
    ids=["elsewhere", "managed-instances", "vercel", "native-http"],
)
def test_where_nothing_freezes_nothing_is_registered(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if environ:
        environ["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:1"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ran: list[str] = []
    app = AfterMiddleware(answering(lambda: after(ran.append, "ran")), host="detached")
    handler = Handler(app)
    try:
        assert handler._extension is None
        assert handler(http_event("/"), Context())["statusCode"] == 200
        until(lambda: ran == ["ran"])
        assert not handler._ledger
    finally:
        handler.close()


def test_a_handler_that_is_made_too_late_lets_the_client_wait(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.state.ready = True
    ran: list[str] = []
    handler = Handler(AfterMiddleware(answering(lambda: after(ran.append, "ran"))))
    try:
        assert "RegistrationClosed" in caplog.text
        assert "Make the Handler while its module is imported" in caplog.text
        assert handler(http_event("/"), Context())["statusCode"] == 200
        assert ran == ["ran"]
    finally:
        handler.close()


def test_a_start_up_that_fails_is_raised() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="start-up failed.*no database"):
        Handler(failing)


def test_an_app_without_a_lifespan_is_served_and_state_is_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise AssertionError("no lifespan here")
        assert scope["state"] == {}
        await respond(send)

    handler = Handler(app)
    assert handler(http_event("/"), Context())["body"] == "ok"
    handler.close()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TypeError, match="wraps an ASGI app"):
        Handler(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="wraps an ASGI app"):
        WebAdapter(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="runs the lifespan itself"):
        Handler(answering(bool), lifespan="auto")
    for margin in (0.1, 601, True, "1"):
        with pytest.raises(InvalidOptionError, match="margin"):
            Handler(answering(bool), margin=margin)  # type: ignore[arg-type]


def test_without_mangum_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mangum", None)
    monkeypatch.delitem(sys.modules, _handler.__name__)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[aws-lambda\]'"):
        importlib.reload(aws_lambda)


def test_sigterm_cuts_and_ends_the_lifespan(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits: list[int] = []
    log: list[str] = []

    async def slow() -> None:
        log.append("begin")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    monkeypatch.setattr(os, "_exit", exits.append)
    handler = Handler(AfterMiddleware(answering(lambda: after(slow))))
    try:
        tell(platform, "one")
        handler(http_event("/"), Context(seconds=100))
        until(lambda: log == ["begin"])
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: exits == [0])
        assert log == ["begin", "cancelled"]
    finally:
        handler.close()


def test_a_shutdown_that_takes_too_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exits: list[int] = []
    stuck = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(stuck.wait, 5)

    monkeypatch.setattr(os, "_exit", exits.append)
    monkeypatch.setattr(_handler, "LAST_WORDS_SECONDS", 0.01)
    handler = Handler(app)
    handler._end()
    stuck.set()
    assert exits == [0]
    handler.close()


# -- jobs


@pytest.fixture
def jobs() -> Iterator[tuple[Handler, list[str]]]:
    ran: list[str] = []
    work = Afterwork(store=MemoryStore(), host="detached")

    @work.job
    def good(what: str = "nothing") -> None:
        ran.append(what)

    @work.job
    def bad() -> None:
        raise RuntimeError("this job fails on purpose")

    handler = Handler(work.wrap(answering(bool)), work)
    yield handler, ran
    handler.close()


def test_an_event_runs_a_job(jobs: tuple[Handler, list[str]]) -> None:
    handler, ran = jobs
    event = {"afterwork": {"job": "good", "payload": {"what": "this"}}}
    assert handler(event, Context())["status"] == "ok"
    assert ran == ["this"]


def test_a_rule_names_the_job_and_its_slot(jobs: tuple[Handler, list[str]]) -> None:
    handler, ran = jobs
    event = {
        "source": "aws.events",
        "detail-type": "Scheduled Event",
        "time": "2026-03-08T07:00:00Z",
        "id": "one",
        "resources": ["arn:aws:events:eu-central-1:1:rule/good"],
    }
    assert handler(event, Context())["status"] == "ok"
    assert handler(event, Context())["status"] == "duplicate"
    assert ran == ["nothing"]


def test_a_failed_job_is_raised_and_runs_again_when_lambda_tries_again(
    jobs: tuple[Handler, list[str]],
) -> None:
    handler, _ = jobs
    event = {"afterwork": {"job": "bad", "slot": "2026-03-08T07:00:00Z", "delivery": "one"}}
    for _ in range(2):
        with pytest.raises(JobEventError, match=r"'bad' was answered with 500: .*failed"):
            handler(event, Context())


def test_an_unknown_job_is_raised(jobs: tuple[Handler, list[str]]) -> None:
    with pytest.raises(JobEventError, match="404"):
        jobs[0]({"afterwork": {"job": "none"}}, Context())


def test_events_that_name_no_job_are_refused(jobs: tuple[Handler, list[str]]) -> None:
    for wrong in ("good", {}, {"job": ""}):
        with pytest.raises(ValueError, match="has to name its job"):
            jobs[0]({"afterwork": wrong}, Context())
    assert _job_events.read(["a list"]) is None


def test_jobs_on_lambda_have_the_invocation_s_deadline(platform: Platform) -> None:
    work = Afterwork(store=MemoryStore())

    @work.job
    async def long() -> None:
        await asyncio.sleep(60)

    handler = Handler(work.wrap(answering(bool)), work)
    try:
        tell(platform, "one", 0.9)
        with pytest.raises(JobEventError, match="long"):
            handler({"afterwork": {"job": "long"}}, Context(seconds=0.9))
        until(lambda: parked(platform))
    finally:
        handler.close()


class QueueEngine(MemoryEngine):
    """One that takes what a queue hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[Any, float]] = []

    async def handle(self, event: Any, *, seconds: float) -> Any:
        self.handed.append((event, seconds))
        return {"batchItemFailures": []}


def test_what_a_queue_hands_over_goes_to_the_engine() -> None:
    """With the time that is left, less the margin."""
    engine = QueueEngine()
    work = Afterwork(engine=engine, store=MemoryStore())
    handler = Handler(work.wrap(answering(bool)), work)
    event = {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}
    try:
        assert handler(event, Context()) == {"batchItemFailures": []}
        ((handed, seconds),) = engine.handed
        assert handed == event
        assert 1 < seconds <= 2.5
        until(lambda: not handler._ledger)
    finally:
        handler.close()


@pytest.mark.parametrize(
    "work",
    [
        None,
        Afterwork(engine=MemoryEngine(), store=MemoryStore()),
    ],
)
def test_a_queue_that_no_engine_takes_is_refused_and_keeps_its_messages(
    work: Afterwork | None,
) -> None:
    handler = Handler(answering(bool), work)
    event = {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}
    try:
        with pytest.raises(ValueError, match="this handler has no engine that takes them"):
            handler(event, Context())
    finally:
        handler.close()


@pytest.mark.parametrize(
    "event",
    [None, [], {}, {"Records": []}, {"Records": "x"}, {"Records": [{"eventSource": "aws:s3"}]}],
)
def test_other_events_are_no_batches_of_a_queue(event: Any) -> None:
    assert not _queue_events.is_one(event)


def test_a_handler_without_jobs_says_so() -> None:
    handler = Handler(answering(bool))
    try:
        with pytest.raises(ValueError, match=r"Handler\(app, work\)"):
            handler({"afterwork": {"job": "good"}}, Context())
    finally:
        handler.close()


# -- one request


async def run(app: Any, ends: float | None = None) -> dict[str, Any]:
    request = Request({**http_scope()}, b"body", ends)
    async with asyncio.timeout(5):
        await asyncio.create_task(request.run(app))
    return request.answer.result()


async def test_the_app_has_the_body_and_then_the_disconnect() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b"2"})
        seen.append(await receive())

    assert await run(app) == {"status": 201, "headers": [(b"a", b"b")], "body": b"12"}
    assert seen == [
        {"type": "http.request", "body": b"body", "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_an_app_without_an_answer_gives_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert (await run(app))["status"] == 500
    assert "without a whole response" in caplog.text


async def test_messages_out_of_order_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body"})

    async def too_many(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await send({"type": "http.response.body"})

    assert (await run(wrong))["status"] == 500
    assert "'http.response.start' was expected" in caplog.text
    assert (await run(too_many))["status"] == 200
    assert "'nothing more' was expected" in caplog.text


async def test_an_app_that_goes_on_for_too_long_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await asyncio.sleep(60)

    assert (await run(app, time.time()))["status"] == 200
    assert "until the function's time was over" in caplog.text
    assert "the app failed" not in caplog.text


# -- the extension


def test_an_extension_survives_what_goes_wrong(
    platform: Platform, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_extension, "FAILED_SECONDS", 0.001)
    extension = _register.register()
    assert extension is not None
    known, platform.state.extensions = platform.state.extensions, {}
    extension.begin()
    extension.begin()  # once is enough
    until(lambda: "the extension failed and goes on" in caplog.text)
    assert "UnknownExtensionIdentifier" in caplog.text
    platform.state.extensions = known
    until(lambda: bool(known) and parked(platform))

    tell(platform, "one", 0.2)  # nobody enters it
    until(lambda: "was let go at its deadline" in caplog.text)
    until(lambda: parked(platform))
    assert extension.alive


def test_events_of_another_kind_are_passed_over(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = _register.register()
    assert extension is not None
    events: list[dict[str, Any]] = [{"eventType": "OTHER"}]

    def next_event() -> dict[str, Any]:
        if not events:
            extension.stop()
            return {}
        return events.pop()

    monkeypatch.setattr(extension, "_next", next_event)
    extension.begin()
    until(lambda: not extension.alive)


def test_lambda_that_does_not_answer_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
    assert _register.register() is None
    assert "could not be registered" in caplog.text


# -- SIGTERM


def test_a_signal_that_somebody_else_handles_is_left_alone() -> None:
    undo: list[Any] = ["unset"]
    thread = threading.Thread(target=lambda: undo.append(_sigterm.on_sigterm(lambda: None)))
    thread.start()
    thread.join()
    assert undo[-1] is None, "not the main thread"

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert _sigterm.on_sigterm(lambda: None) is None
    finally:
        signal.signal(signal.SIGTERM, before)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    try:
        assert _sigterm.on_sigterm(lambda: None) is None
    finally:
        assert signal.set_wakeup_fd(-1) == writer
        os.close(reader)
        os.close(writer)


def test_other_signals_are_none_of_its_business() -> None:
    told: list[str] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: told.append("other"))
    undo = _sigterm.on_sigterm(lambda: told.append("term"))
    assert undo is not None
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: told == ["other"])
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: told == ["other", "term"])
    finally:
        undo()
        signal.signal(signal.SIGUSR1, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# -- the Lambda Web Adapter


def adapted(request_id: str, seconds: float = 3.0) -> list[tuple[bytes, bytes]]:
    told = {"request_id": request_id, "deadline": int((time.time() + seconds) * 1000)}
    return [(b"host", b"x"), (b"x-amzn-lambda-context", json.dumps(told).encode())]


async def test_the_adapter_s_requests_hold_their_invocation(platform: Platform) -> None:
    ran = asyncio.Event()
    app = WebAdapter(AfterMiddleware(answering(lambda: after(ran.wait()))))
    assert app._extension is not None
    await asyncio.to_thread(tell, platform, "one")
    await call(app, scope={**http_scope(), "headers": adapted("one")})
    assert not parked(platform)
    ran.set()
    await asyncio.to_thread(until, lambda: parked(platform))
    app._extension.stop()


async def test_readiness_checks_belong_to_no_invocation(platform: Platform) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], type(scope.get("afterwork"))))

    adapter = WebAdapter(app)
    for headers in ([], [(b"x-amzn-lambda-context", b"no json")]):
        scope = {**http_scope(), "headers": headers}
        await adapter(scope, Wire(scope).receive, Wire(scope).send)
    for kind in ("websocket", "lifespan"):
        scope = {"type": kind}
        await adapter(scope, Wire(scope).receive, Wire(scope).send)

    nothing = type(None)
    assert seen == [
        ("http", nothing),
        ("http", nothing),
        ("websocket", nothing),
        ("lifespan", LambdaHost),
    ]


async def test_without_lambda_the_adapter_passes_everything_on() -> None:
    wire = await call(WebAdapter(answering(bool)))
    assert wire.status == 200
