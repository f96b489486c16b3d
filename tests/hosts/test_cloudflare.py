"""The host for Cloudflare Workers and its Cron Triggers, by themselves: the platform is played."""

from __future__ import annotations

import asyncio
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations.cloudflare import Cloudflare, CronEventError, scheduled

from afterwork import AfterMiddleware, Afterwork, after, current_run
from afterwork._detect import CLOUDFLARE, detect
from afterwork.errors import InvalidHostError, InvalidOptionError
from tests.contracts.host import HostContract

if TYPE_CHECKING:
    from afterwork import Host
    from afterwork._asgi import Message, Receive, Scope, Send

SLOT = 1_793_415_600
"""2026-10-31 03:00 UTC, a Saturday."""


class Proxy:
    """What Pyodide makes of a Python object that goes to JavaScript."""

    def __init__(self, target: asyncio.Future[Any]) -> None:
        self.target = target
        self.destroyed = False

    def destroy(self) -> None:
        self.destroyed = True


class Platform:
    """What was given to `waitUntil`."""

    def __init__(self) -> None:
        self.given: list[Proxy] = []

    def waitUntil(self, proxy: Proxy) -> None:
        self.given.append(proxy)

    async def settle(self) -> None:
        await asyncio.gather(*(proxy.target for proxy in self.given))


def install(monkeypatch: pytest.MonkeyPatch, **names: object) -> None:
    """Puts the SDK and Pyodide in place."""
    sdk, ffi = ModuleType("workers"), ModuleType("pyodide.ffi")
    for name, value in names.items():
        setattr(sdk, name, value)
    ffi.create_proxy = Proxy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "workers", sdk)
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)


@pytest.fixture(params=["wait_until", "waitUntil"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A Worker, with the SDK's name of today and the former one."""
    found = Platform()
    install(monkeypatch, **{request.param: found.waitUntil})
    return found


class TestWithSdk(HostContract):
    @pytest.fixture(autouse=True)
    def _platform(self, platform: Platform) -> None:
        self.platform = platform

    def make_host(self) -> Host:
        return Cloudflare()

    async def settle(self, host: Host) -> None:
        await self.platform.settle()


class TestWithContext(HostContract):
    @pytest.fixture(autouse=True)
    def _platform(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch)
        self.platform = Platform()

    def make_host(self) -> Host:
        return Cloudflare(self.platform)

    async def settle(self, host: Host) -> None:
        await self.platform.settle()


class TestElsewhere(HostContract):
    def make_host(self) -> Host:
        return Cloudflare()


class TestWithOldSdk(HostContract):
    @pytest.fixture(autouse=True)
    def _platform(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch)
        monkeypatch.setattr(sys, "platform", "emscripten")

    def make_host(self) -> Host:
        return Cloudflare()


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    after(asyncio.sleep, 0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def call(app: Any) -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None: ...

    await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)


def test_it_is_found_where_there_is_a_worker(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its SDK alone, which a developer's machine may have too."""
    assert detect({}).info.name == "plain"
    monkeypatch.setattr(sys, "platform", "emscripten")
    host = detect({})

    assert repr(host) == "<Cloudflare, handover>"
    assert host.info.max_seconds == 25
    assert host.info.note is None
    assert not host.info.lifespan_is_process


def test_without_a_wait_until_it_has_the_info_that_the_table_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch)
    monkeypatch.setattr(sys, "platform", "emscripten")
    host = detect({})

    assert isinstance(host, Cloudflare)
    for name in type(CLOUDFLARE).__slots__:
        assert getattr(host.info, name) == getattr(CLOUDFLARE, name)


def test_elsewhere_it_is_an_ordinary_server() -> None:
    info = Cloudflare().info
    assert (info.mode, info.note, info.max_seconds) == ("detached", None, None)


async def test_the_proxy_is_destroyed_once_the_work_is_over(platform: Platform) -> None:
    await call(AfterMiddleware(inner, host=Cloudflare()))
    (proxy,) = platform.given
    assert not proxy.destroyed

    await platform.settle()
    await asyncio.sleep(0)
    assert proxy.destroyed


async def test_a_request_may_bring_its_own_context(platform: Platform) -> None:
    ctx = Platform()
    app = AfterMiddleware(inner, host="detached")
    await call(Cloudflare(ctx).around(app))
    await ctx.settle()

    assert (len(ctx.given), len(platform.given)) == (1, 0)


def test_a_context_has_to_be_one() -> None:
    with pytest.raises(InvalidHostError, match="ctx without waitUntil: 7"):
        Cloudflare(7)


def test_seconds_that_make_no_sense_are_refused(platform: Platform) -> None:
    with pytest.raises(InvalidOptionError, match="max_seconds"):
        Cloudflare(max_seconds=-1)
    assert Cloudflare(max_seconds=None).info.max_seconds is None


async def test_work_that_is_not_done_in_time_is_cut(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        after(asyncio.sleep, 60)
        await inner(scope, receive, send)

    started = time.monotonic()
    await call(AfterMiddleware(endless, host=Cloudflare(max_seconds=0.05)))
    await platform.settle()

    assert time.monotonic() - started < 30
    assert "after.dropped" in caplog.text


# -- Cron Triggers


def trigger(cron: str = "0 3 * * *", slot: float = SLOT) -> Any:
    return SimpleNamespace(cron=cron, scheduledTime=slot * 1000)


def worker() -> tuple[Afterwork, list[Any]]:
    work = Afterwork(store="memory:", host="detached")
    ran: list[Any] = []

    @work.cron("0 3 * * *")
    async def nightly() -> None:
        run = current_run()
        ran.append((run.name, run.scheduled_for, run.remaining()))
        after(ran.append, "queued by it")

    @work.cron("0 3 * * 1")
    def weekly() -> None:
        ran.append("weekly")

    @work.every("1d", name="daily")
    async def daily() -> None:
        ran.append("daily")

    @work.cron("0 3 * * *", timezone="America/New_York")
    async def abroad() -> None:
        ran.append("abroad")

    @work.job
    async def by_hand() -> None:
        ran.append("by hand")

    return work, ran


async def test_a_trigger_runs_the_jobs_of_its_expression_once(platform: Platform) -> None:
    work, ran = worker()
    answers = await scheduled(work, trigger())
    again = await scheduled(work, trigger(slot=SLOT + 59))

    (name, slot, remaining), queued = ran
    assert (name, slot.timestamp(), queued) == ("nightly", SLOT, "queued by it")
    assert 860 < remaining <= 870
    assert [(each["job"], each["status"]) for each in answers] == [("nightly", "ok")]
    assert [each["status"] for each in again] == ["duplicate"]


async def test_the_worker_waits_for_the_jobs(platform: Platform) -> None:
    work, ran = worker()
    running = asyncio.create_task(scheduled(work, trigger()))
    while not platform.given:
        await asyncio.sleep(0)
    (proxy,) = platform.given
    await proxy.target

    assert "queued by it" in ran
    await running
    assert proxy.destroyed


@pytest.mark.parametrize(
    ("cron", "job"), [("0 3 * * MON", "weekly"), ("0  3 * * mon", "weekly"), ("0 0 * * *", "daily")]
)
async def test_a_trigger_is_known_by_the_text_of_the_export(
    platform: Platform, cron: str, job: str
) -> None:
    """Which says the same as the job's schedule, in words that Cloudflare reads alike."""
    work, ran = worker()
    await scheduled(work, trigger(cron))
    assert ran == [job]


@pytest.mark.parametrize("cron", ["0 3 * * 1", "0 8 * * *", "nonsense"])
async def test_a_trigger_that_means_no_job_says_how_to_write_one(
    platform: Platform, cron: str
) -> None:
    """Cloudflare's 1 is Sunday; and a job of another zone has no trigger that is always right."""
    work, ran = worker()
    with pytest.raises(CronEventError, match="afterwork export cloudflare --shape json") as caught:
        await scheduled(work, trigger(cron))
    assert cron in str(caught.value)
    assert ran == []


async def test_a_failure_is_raised_once_all_jobs_are_over(platform: Platform) -> None:
    work = Afterwork(store="memory:")
    ran: list[str] = []

    @work.cron("0 3 * * *")
    async def failing() -> None:
        raise RuntimeError("this failure belongs to the test of triggers")

    @work.cron("0 3 * * *", mode="accept")
    async def slow() -> None:
        await asyncio.sleep(0.05)
        ran.append("slow")

    with pytest.raises(CronEventError) as caught:
        await scheduled(work, trigger())
    with pytest.raises(CronEventError):
        await platform.settle()

    assert ran == ["slow"]
    assert "the job 'failing' was answered with 500" in str(caught.value)
    assert "slow" not in str(caught.value)


async def test_without_a_wait_until_the_handler_waits_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch)
    work, ran = worker()
    await scheduled(work, trigger())
    assert "queued by it" in ran


async def test_the_handlers_context_is_used_where_it_is_given(platform: Platform) -> None:
    work, _ = worker()
    ctx = Platform()
    await scheduled(work, trigger(), ctx)
    assert (len(ctx.given), len(platform.given)) == (1, 0)


async def test_jobs_that_take_too_long_are_cut(platform: Platform) -> None:
    work = Afterwork(store="memory:")
    work.cron("0 3 * * *", name="endless")(lambda: asyncio.sleep(60))
    with pytest.raises(CronEventError, match="endless"):
        await scheduled(work, trigger(), max_seconds=0.05)


async def test_a_trigger_has_no_wait_until_of_its_own() -> None:
    from afterwork_integrations.cloudflare._scheduled import Invocation

    task = asyncio.ensure_future(asyncio.sleep(0))
    with pytest.raises(InvalidHostError, match="handover"):
        Invocation(1.0).wait_until({}, task)
    await task


async def test_nothing_is_handed_over_where_there_is_nothing_to_hand_it_to() -> None:
    task = asyncio.ensure_future(asyncio.sleep(0))
    with pytest.raises(InvalidHostError, match="give it the request's ctx"):
        Cloudflare().wait_until({}, task)
    await task
