"""Modal: its own `asgi_app_wrapper`, with a stand-in for what feeds it requests.

An input ends when the wrapper's generator does; what is left on the loop then is not tracked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from afterwork_integrations.modal import JobFailedError, Schedules

from afterwork import AfterMiddleware, Afterwork, MemoryStore, after
from afterwork._detect import MODAL, detect
from afterwork.testing import FakeClock
from tests.contracts.host import HostContract
from tests.support import PATIENCE, respond

from .modal_container import Container

if TYPE_CHECKING:
    from afterwork import Host
    from afterwork._asgi import Receive, Scope, Send

ENVIRON = {"MODAL_IS_REMOTE": "1", "MODAL_TASK_ID": "ta-1"}


@pytest.fixture(autouse=True)
def _modal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)


class Shop:
    """An app with a callback that waits until it is let go. It writes down what happens."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.go = asyncio.Event()
        self.app = AfterMiddleware(self._serve)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                self.log.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["path"] == "/work":
            after(self._work)
        await respond(send, body=b"thank you")
        self.log.append("answered")

    async def _work(self) -> None:
        await self.go.wait()
        self.log.append("done")
        after(self.log.append, "nested")


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def container(shop: Shop) -> AsyncIterator[Container]:
    async with asyncio.timeout(PATIENCE), Container(shop.app) as container:
        yield container


async def test_the_bytes_go_first_and_the_input_ends_when_the_work_is_done(
    shop: Shop, container: Container
) -> None:
    outputs = container.call("/work")
    start = await anext(outputs)
    body = await anext(outputs)
    assert (start["status"], body["body"]) == (200, b"thank you")
    end = asyncio.ensure_future(anext(outputs, None))
    await asyncio.sleep(0)
    assert not end.done()
    assert "done" not in shop.log
    shop.go.set()
    assert await end is None
    assert shop.log == ["startup", "answered", "done", "nested"]


async def test_an_input_without_work_ends_with_its_response(
    shop: Shop, container: Container
) -> None:
    assert [each["type"] async for each in container.call("/")] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_inputs_at_once_do_not_wait_for_each_others_work(
    shop: Shop, container: Container
) -> None:
    held = container.call("/work")
    await anext(held)
    await anext(held)
    assert len([each async for each in container.call("/")]) == 2
    shop.go.set()
    assert await anext(held, None) is None


async def test_an_input_that_is_cancelled_does_not_take_the_work_with_it(
    shop: Shop, container: Container
) -> None:
    """Modal gives a cancelled call a second; the work is a task of its own and goes on."""
    outputs = container.call("/work")

    async def take() -> None:
        async for _ in outputs:
            pass

    taking = asyncio.ensure_future(take())
    while "answered" not in shop.log:
        await asyncio.sleep(0)
    taking.cancel()
    shop.go.set()
    await asyncio.wait([taking])
    assert shop.log[-2:] == ["done", "nested"]


async def test_a_container_that_ends_runs_the_apps_shutdown(shop: Shop) -> None:
    async with asyncio.timeout(PATIENCE), Container(shop.app):
        pass
    assert shop.log == ["startup", "shutdown"]


class TestModal(HostContract):
    def make_host(self) -> Host:
        host = detect(ENVIRON)
        assert host.info is MODAL
        return host


class TestModalUnderItsWrapper(HostContract):
    """The same rules, with Modal's wrapper as the server."""

    def make_host(self) -> Host:
        return detect(ENVIRON)

    async def request(self, host: Host, handler: Any) -> list[str]:
        log = self.log = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            handler()
            await respond(send)

        before = asyncio.all_tasks()
        container = Container(AfterMiddleware(app, host=host))
        log += [each["type"] async for each in container.call("/")]
        while left := asyncio.all_tasks() - before:  # what the wrapper itself has cancelled
            await asyncio.wait(left)
        return log

    async def test_the_response_is_out_first_unless_the_host_says_otherwise(self) -> None:
        """The generator passes messages on as they come, which the list above hides."""
        order: list[str] = []
        gate = asyncio.Event()

        async def work() -> None:
            await gate.wait()
            order.append("work")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            after(work)
            await respond(send)

        async for message in Container(AfterMiddleware(app, host=self.make_host())).call("/"):
            order.append(message["type"])
            if len(order) == 2:
                gate.set()
        assert order == ["http.response.start", "http.response.body", "work"]


# -- schedules


@dataclass
class Jobs:
    work: Afterwork
    clock: FakeClock
    ran: list[str]


@pytest.fixture
def jobs() -> Jobs:
    clock = FakeClock()
    ran: list[str] = []
    work = Afterwork(clock=clock, store=MemoryStore(clock=clock))

    @work.cron("0 * * * *")
    async def tidy_up() -> None:
        ran.append("tidied")
        after(ran.append, "and told")

    @work.job
    async def broken() -> None:
        raise RuntimeError("paper jam")

    return Jobs(work, clock, ran)


async def test_a_scheduled_function_runs_a_job_once_per_slot(jobs: Jobs) -> None:
    schedules = Schedules(jobs.work)
    answers = [await schedules.run("tidy_up") for _ in range(2)]
    assert [each["status"] for each in answers] == ["ok", "duplicate"]
    assert jobs.ran == ["tidied", "and told"]


@pytest.mark.parametrize("mode", ["wait", "accept"])
@pytest.mark.parametrize("host", ["detached", "before_end"])
async def test_the_function_ends_when_all_is_done_whatever_the_host_and_the_mode(
    mode: Literal["wait", "accept"], host: Literal["detached", "before_end"]
) -> None:
    """Also where the app's lifespan runs, beside the function on its loop."""
    ran: list[str] = []
    work = Afterwork(store=MemoryStore(), host=host)

    @work.job(mode=mode)
    async def slow() -> None:
        await asyncio.sleep(0.01)
        ran.append("slow")
        after(nested)

    async def nested() -> None:
        await asyncio.sleep(0.01)
        ran.append("nested")

    async with asyncio.timeout(PATIENCE), Container(work.wrap(Shop().app)):
        await Schedules(work).run("slow")
        assert ran == ["slow", "nested"]


async def test_a_failed_job_fails_the_function(jobs: Jobs) -> None:
    with pytest.raises(JobFailedError, match="'broken' was answered with 500"):
        await Schedules(jobs.work).run("broken")


async def test_one_function_for_all_runs_what_is_due(jobs: Jobs) -> None:
    schedules = Schedules(jobs.work)
    assert (await schedules.due())["runs"] == []
    jobs.clock.advance(3600)
    assert [each["status"] for each in (await schedules.due())["runs"]] == ["ok"]
    assert (await schedules.due())["runs"] == []
    assert jobs.ran == ["tidied", "and told"]


async def test_one_function_for_all_fails_after_all_have_run(jobs: Jobs) -> None:
    @jobs.work.cron("0 * * * *")
    async def also_broken() -> None:
        raise RuntimeError("paper jam")

    schedules = Schedules(jobs.work)
    await schedules.due()
    jobs.clock.advance(3600)
    with pytest.raises(JobFailedError, match="also_broken"):
        await schedules.due()
    assert jobs.ran == ["tidied", "and told"]
