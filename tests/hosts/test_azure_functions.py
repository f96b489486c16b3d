"""Azure Functions: Azure's own `azure-functions` package, with a stand-in for the worker around it.

The worker awaits async functions on its loop and runs sync ones in threads, and that is played here
(as `azure-functions-runtime` does it, in `handle_event.py`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import azure.functions as func
import pytest
from afterwork_integrations.azure_functions import JobFailedError, Timers

from afterwork import AfterMiddleware, Afterwork, HostInfo, MemoryStore, after
from afterwork._detect import AZURE, AZURE_DETACHED, chosen, detect
from afterwork._hosts import PlainHost, as_host
from afterwork.testing import drain
from tests.contracts.host import HostContract
from tests.support import respond

if TYPE_CHECKING:
    from afterwork import Host
    from afterwork._asgi import ASGIApp, Receive, Scope, Send

PATIENCE = 5.0
AsgiMiddleware: Any = func.AsgiMiddleware  # it has no types
ENVIRON = {"FUNCTIONS_WORKER_RUNTIME": "python"}


@pytest.fixture(autouse=True)
def _azure(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


def context(count: int = 0, most: int = 0) -> Any:
    """What the worker makes for an invocation. Without a retry policy there are zeros."""
    return SimpleNamespace(
        invocation_id="an-invocation",
        function_name="http_app_func",
        function_directory="/home/site/wwwroot",
        thread_local_storage=threading.local(),
        trace_context=None,
        retry_context=SimpleNamespace(retry_count=count, max_retry_count=most),
    )


class Shop:
    """An app whose callbacks and lifespan write down what happens. Its path says what to do."""

    def __init__(self, **settings: Any) -> None:
        self.log: list[str] = []
        self.scopes: list[Scope] = []
        self.app: ASGIApp = AfterMiddleware(self._serve, **settings)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                self.log.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["path"] == "/work":
            after(self._slow)
            after(self._sync)
        if scope["path"] == "/crash":
            after(self._sync)
            raise RuntimeError("paper jam")
        await respond(send, 201, b"thank you")

    async def _slow(self) -> None:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            self.log.append("cut")
            raise
        self.log.append("slow")
        after(self._nested)

    async def _nested(self) -> None:
        self.log.append("nested")

    def _sync(self) -> None:
        time.sleep(0.02)
        self.log.append("sync")


def request(path: str = "/work") -> func.HttpRequest:
    return func.HttpRequest("GET", f"https://shop.azurewebsites.net{path}", body=b"")


@asynccontextmanager
async def functions(app: ASGIApp) -> AsyncIterator[Callable[..., Any]]:
    """`AsgiFunctionApp`, as the worker indexes and calls it. Its own end of the lifespan, in
    `__del__` on a loop of its own, can never come to an end; so it is told here."""
    functions: Any = func.AsgiFunctionApp(app=app, http_auth_level=func.AuthLevel.ANONYMOUS)
    (function,) = functions.get_functions()
    yield function.get_user_function()
    if functions.startup_task_done:
        functions.startup_task_done = False
        async with asyncio.timeout(PATIENCE):
            await functions.middleware.notify_shutdown()


def notes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "host.limited" in each.getMessage()]


async def settled(shop: Shop, *events: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not set(events) <= set(shop.log):
            await asyncio.sleep(0.001)


async def test_the_function_app_answers_when_the_work_is_done_and_a_note_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The start-up is the first request's: there is no earlier moment. The note comes once."""
    shop = Shop()
    async with functions(shop.app) as function:
        for _ in range(2):
            answer = await function(request(), context())
            assert (answer.status_code, answer.get_body()) == (201, b"thank you")
        assert sorted(shop.log) == ["nested"] * 2 + ["slow"] * 2 + ["startup"] + ["sync"] * 2

    assert shop.log[-1] == "shutdown"
    (note,) = notes(caplog)
    assert 'host="before_end"' in note
    assert "queue" in note


async def test_the_scope_has_what_azure_gives_and_no_asgi() -> None:
    """Nothing in the middleware may count on `scope["asgi"]`."""
    shop = Shop()
    async with functions(shop.app) as function:
        await function(request(), context())
    life, scope = shop.scopes
    for each in (life, scope):
        assert "asgi" not in each
        assert each["asgi.version"] == "2.1"
    assert scope["azure_functions.invocation_id"] == "an-invocation"


@pytest.mark.parametrize("form", ["async", "sync"])
async def test_the_middleware_of_azure_works_in_both_forms(
    form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`handle_async` on the worker's loop; `main`, a loop per request in one of its threads."""
    shop = Shop()
    middleware = AsgiMiddleware(shop.app)
    if form == "async":
        answer = await middleware.handle_async(request(), context())
    else:
        answer = await asyncio.to_thread(middleware.main, request(), context())

    assert (answer.status_code, answer.get_body()) == (201, b"thank you")
    assert sorted(shop.log) == ["nested", "slow", "sync"]
    assert len(notes(caplog)) == 1


async def test_a_crash_is_azures_and_its_callbacks_run(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    async with functions(shop.app) as function:
        with pytest.raises(RuntimeError, match="paper jam"):
            await function(request("/crash"), context())
        assert shop.log == ["startup", "sync"]


async def test_detached_answers_first_and_says_that_nothing_protects_the_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It goes on, on the worker's loop, as long as the worker is there."""
    shop = Shop(host="detached")
    async with functions(shop.app) as function:
        answer = await function(request(), context())
        assert answer.get_body() == b"thank you"
        assert "slow" not in shop.log
        await settled(shop, "slow", "nested", "sync")

    (note,) = notes(caplog)
    assert "tracks nothing" in note
    assert 'host="before_end"' in note


async def test_detached_work_is_not_lost_with_a_loop_that_ends_with_its_request() -> None:
    """The sync form cancels what is left on its loop. So there the client waits, also where the
    app's lifespan runs, on the worker's loop, and would make tasks safe."""
    shop = Shop(host="detached")
    async with functions(shop.app) as function:
        await function(request("/"), context())
        sync = AsgiMiddleware(shop.app)
        answer = await asyncio.to_thread(sync.main, request(), context())

        assert answer.get_body() == b"thank you"
        assert sorted(shop.log) == ["nested", "slow", "startup", "sync"]


async def test_detached_work_without_a_lifespan_keeps_the_client_waiting() -> None:
    """On the worker's loop, behind `AsgiMiddleware`: nobody would tell of the process's end."""
    shop = Shop(host="detached")
    await AsgiMiddleware(shop.app).handle_async(request(), context())
    assert sorted(shop.log) == ["nested", "slow", "sync"]


def test_what_azure_does_to_bare_tasks_on_the_loop_of_a_request() -> None:
    """Why the above is needed. If this fails, Azure has mended it."""
    log: list[str] = []
    tasks = []

    async def work() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            log.append("cut")
            raise

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.create_task(work()))
        await asyncio.sleep(0)
        await respond(send)

    AsgiMiddleware(app).main(request(), context())
    assert log == ["cut"]
    assert tasks[0].cancelled()


def test_only_detached_on_azure_is_told_what_that_means() -> None:
    assert chosen(as_host("detached"), {}).info.note is None
    assert chosen(as_host("detached"), {"K_SERVICE": "shop"}).info.note is None
    assert chosen(as_host("before_end"), ENVIRON).info.note is None
    assert chosen(as_host("detached"), ENVIRON).info is AZURE_DETACHED
    assert AZURE_DETACHED.note is not None
    assert 'host="before_end"' in AZURE_DETACHED.note
    assert "queue" in AZURE_DETACHED.note
    own = PlainHost(HostInfo("mine", "inline"))
    assert chosen(own, ENVIRON) is own


class TestAzure(HostContract):
    def make_host(self) -> Host:
        host = detect(ENVIRON)
        assert host.info is AZURE
        return host


class TestAzureDetached(HostContract):
    def make_host(self) -> Host:
        return PlainHost(AZURE_DETACHED)

    async def settle(self, host: Host) -> None:
        await drain()


# -- timers


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def work(ran: list[str]) -> Iterator[Afterwork]:
    work = Afterwork(store=MemoryStore())

    @work.cron("0 * * * *", grace="1h")
    async def tidy_up() -> None:
        ran.append("tidied")
        after(ran.append, "and told")

    @work.job
    async def report(region: str = "eu") -> None:
        ran.append(region)

    @work.cron("0 * * * *", grace="1h")
    async def broken() -> None:
        ran.append("broken")
        raise RuntimeError("paper jam")

    yield work
    work.store.close()


def timer_request(body: str = '{"IsPastDue": true}') -> func.TimerRequest:
    """What the real converter makes of what the platform sends."""
    from azure.functions.meta import Datum
    from azure.functions.timer import TimerRequestConverter

    made: func.TimerRequest = TimerRequestConverter.decode(
        Datum(body, "json"), trigger_metadata=None
    )
    return made


async def fire(work: Afterwork, given: Any, job: str) -> dict[str, Any]:
    """A function with a timer trigger, as the README shows it, called by the worker."""
    timers = Timers(work)
    app = func.AsgiFunctionApp(app=work.wrap(_nothing), http_auth_level=func.AuthLevel.ANONYMOUS)
    answers = []

    @app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
    @app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:10")
    async def nightly(timer: func.TimerRequest, context: func.Context) -> None:
        answers.append(await timers.run(job, context))

    (function,) = [each for each in app.get_functions() if not each.is_http_function()]
    await function.get_user_function()(timer=timer_request(), context=given)
    return answers[0]


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


async def test_a_timer_runs_a_job_once_per_slot_with_what_it_queues(
    work: Afterwork, ran: list[str]
) -> None:
    first = await fire(work, context(), "tidy_up")
    again = await fire(work, context(), "tidy_up")

    assert (first["status"], again["status"]) == ("ok", "duplicate")
    assert ran == ["tidied", "and told"]


async def test_a_job_without_a_schedule_runs_each_time_and_takes_arguments(
    work: Afterwork, ran: list[str]
) -> None:
    timers = Timers(work)
    await timers.run("report")
    await timers.run("report", context(), {"region": "us"})
    assert ran == ["eu", "us"]


async def test_a_failed_job_fails_the_function_and_its_retry_policy_runs_the_slot_again(
    work: Afterwork, ran: list[str]
) -> None:
    for count in (0, 1):
        with pytest.raises(JobFailedError, match="'broken' was answered with 500") as caught:
            await fire(work, context(count, 3), "broken")
        assert (caught.value.job, caught.value.status) == ("broken", 500)
        assert "paper jam" not in str(caught.value)
    assert ran == ["broken"] * 2


async def test_without_a_retry_policy_a_failed_slot_is_over(
    work: Afterwork, ran: list[str]
) -> None:
    """The worker's context is there all the same, with zeros."""
    with pytest.raises(JobFailedError):
        await fire(work, context(), "broken")
    assert (await fire(work, context(), "broken"))["status"] == "duplicate"
    assert ran == ["broken"]


async def test_one_timer_for_all_runs_what_is_due(work: Afterwork) -> None:
    """Nothing, as it has been asked for the first time."""
    assert (await Timers(work).due())["status"] == "ok"


async def test_a_job_that_is_not_there_fails_the_function(work: Afterwork) -> None:
    with pytest.raises(JobFailedError, match="404"):
        await Timers(work).run("missing")
