"""Pings for Healthchecks, against real servers and through the whole pipeline."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations import _letters, _pings
from afterwork_integrations.healthchecks import Healthchecks

from afterwork import Afterwork, Retry, after
from afterwork.errors import InvalidOptionError
from tests.integrations.receiver import Receiver, receiving
from tests.jobs.support import NOON, Broken, caller, new_work
from tests.support import answering, call, lifespan

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "fqOOd6-F4MMNuCEnzTU01w"
UUID = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(_letters, "PAUSES", ())
    with receiving(200) as found:
        yield found


def pinged(pings: Healthchecks, **settings: Any) -> Afterwork:
    return new_work(around=[pings.around], reporters=[pings], **settings)


def warned(caplog: Any) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "afterwork.healthchecks"]


async def test_a_run_is_told_when_it_starts_and_when_it_has_succeeded(receiver: Receiver) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url, create=True)
    work = pinged(pings)

    @work.cron("0 * * * *")
    async def Nightly_2() -> None:
        pings.flush(5)
        assert receiver.paths == [f"/{KEY}/nightly_2/start"]

    status, answer = await caller(work)("/Nightly_2")
    assert (status, answer["status"]) == (200, "ok")
    pings.flush(5)

    start, end = receiver.got
    assert end.path == f"/{KEY}/nightly_2"
    (run,) = work.store.runs()
    assert start.query == end.query == {"rid": run.id, "create": "1"}
    assert {start.method, end.method} == {"POST"}
    assert start.body.decode().splitlines()[:2] == ["Nightly_2 started", "attempt: 1"]
    first, *rest = end.body.decode().splitlines()
    assert first == "Nightly_2 succeeded"
    assert rest[1].startswith("duration: 0.0")
    assert rest[2] == "scheduled for: 2026-03-10T12:00:00+00:00"


async def test_a_failure_tells_the_class_of_its_error_alone(receiver: Receiver) -> None:
    pings = Healthchecks(KEY, base_url=f"{receiver.url}/ping/")
    work = pinged(pings)

    @work.job(name="sync.all")
    async def sync() -> None:
        raise ValueError("password=hunter2")

    await work.run(sync)
    pings.flush(5)

    assert receiver.paths == [f"/ping/{KEY}/sync-all/start", f"/ping/{KEY}/sync-all/fail"]
    body = receiver.got[1].body.decode()
    assert body.startswith("sync.all failed: ValueError\nattempt: 1\nduration: ")
    assert "hunter2" not in body
    assert list(receiver.got[1].query) == ["rid"]


async def test_all_attempts_are_one_run(receiver: Receiver) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url)
    work = pinged(pings)
    tries: list[int] = []

    @work.job(retry=Retry(3, delay=0.001))
    def flaky() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError

    await work.run(flaky)
    pings.flush(5)

    assert receiver.paths == [f"/{KEY}/flaky/start", f"/{KEY}/flaky"]
    assert "attempt: 3" in receiver.got[1].body.decode()


@pytest.mark.parametrize(
    ("options", "endpoint", "headline"),
    [
        ({"timeout": 0.01}, "/fail", "timed_out: CallbackTimeoutError"),
        ({}, "/log", "cancelled: replaced by run"),
    ],
)
async def test_what_did_not_succeed_has_its_own_endpoint(
    options: Any, endpoint: str, headline: str, receiver: Receiver
) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url)
    work = pinged(pings)
    begun: list[int] = []

    @work.job(overlap="replace", **options)
    async def slow() -> None:
        begun.append(1)
        if len(begun) == 1:
            await asyncio.Event().wait()

    running = asyncio.create_task(work.run(slow))
    if not options:
        while not begun:
            await asyncio.sleep(0.001)
        await work.run(slow)
    await running
    pings.flush(5)

    ends = [request for request in receiver.got if request.path.endswith(endpoint)]
    assert f"slow {headline}" in ends[0].body.decode()


async def test_a_run_whose_process_died_has_failed_and_a_missed_one_is_logged(
    receiver: Receiver,
) -> None:
    from dataclasses import replace

    from afterwork import Outcome

    pings = Healthchecks(KEY, base_url=receiver.url)
    work = pinged(pings)
    job = work.cron("0 * * * *", name="nightly")(lambda: None)
    await work.run("nightly")
    pings.flush(5)
    receiver.got.clear()
    record = replace(work.store.runs()[0], slot=int(NOON.timestamp()), reason="not renewed in time")

    work.dispatch.tell(job, record, Outcome.ABANDONED)
    work.dispatch.tell(job, replace(record, reason=None), Outcome.MISSED)
    pings.flush(5)

    assert receiver.paths == [f"/{KEY}/nightly/fail", f"/{KEY}/nightly/log"]
    abandoned, missed = (request.body.decode().splitlines() for request in receiver.got)
    assert abandoned[0] == "nightly abandoned: not renewed in time"
    assert missed[0] == "nightly missed"


async def test_checks_are_urls_uuids_or_slugs(receiver: Receiver) -> None:
    pings = Healthchecks(
        KEY,
        base_url=f"{receiver.url}/ping",
        checks={
            "by-url": f"{receiver.url}/other/{UUID}?create=1",
            "by-uuid": UUID,
            "by-slug": "slug",
            "not": None,
        },
    )
    work = pinged(pings)
    for name in ("by-url", "by-uuid", "by-slug", "not", "plain"):
        work.job(name=name)(lambda: None)
        await work.run(name)
    pings.flush(5)

    assert receiver.paths[1::2] == [
        f"/other/{UUID}",
        f"/ping/{UUID}",
        f"/ping/{KEY}/slug",
        f"/ping/{KEY}/plain",
    ]
    assert receiver.got[0].query["create"] == "1"


async def test_without_a_ping_key_only_named_checks_are_pinged(receiver: Receiver) -> None:
    pings = Healthchecks(checks={"one": UUID}, base_url=receiver.url)
    work = pinged(pings)
    for name in ("one", "two"):
        work.job(name=name)(lambda: None)
        await work.run(name)
    pings.flush(5)
    assert receiver.paths == [f"/{UUID}/start", f"/{UUID}"]


@pytest.mark.parametrize(("callbacks", "expected"), [(False, 0), (True, 2)])
async def test_callbacks_are_pinged_for_when_asked(
    callbacks: bool, expected: int, receiver: Receiver
) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url, callbacks=callbacks)
    work = pinged(pings)

    async with lifespan(work.wrap(answering(lambda: after(print, "hello")))) as life:
        await call(life.app)

    assert len(receiver.got) == expected


async def test_housekeeping_is_nobodys_check(receiver: Receiver) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url)
    work = pinged(pings)
    work.cron("0 * * * *", name="job")(lambda: None)
    from afterwork.testing import drain

    async with lifespan(work.wrap(answering(lambda: None))):
        clock: Any = work.pipeline.clock
        while not clock._sleepers:
            await asyncio.sleep(0.001)
        await clock.elapse(3600)
        await drain()
    assert work.store.runs(job="afterwork.housekeeping")
    assert receiver.paths == [f"/{KEY}/job/start", f"/{KEY}/job"]


@pytest.mark.parametrize("answer", [500, 404, 302, "close", "hang"])
async def test_l6_a_ping_that_fails_or_hangs_does_not_touch_the_job(
    answer: Any, receiver: Receiver, caplog: Any
) -> None:
    """L6: the job is unaffected, and there is one warning without the secret."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = [answer]
    pings = Healthchecks(KEY, base_url=receiver.url, timeout=0.2)
    work = pinged(pings)
    work.job(name="job")(lambda: "done")
    call = caller(work)

    began = time.monotonic()
    answers = [await call("/job") for _ in range(3)]
    took = time.monotonic() - began

    assert [(status, told["status"]) for status, told in answers] == [(200, "ok")] * 3
    assert took < 1  # and not six time-outs
    assert {run.state for run in work.store.runs()} == {"succeeded"}
    pings.flush(10)
    (warning,) = warned(caplog)
    assert warning.startswith("healthchecks.failed host='127.0.0.1' problem=")
    assert KEY not in caplog.text


def test_l6_the_timeout_is_at_most_five_seconds() -> None:
    """L6"""
    assert Healthchecks(KEY)._pings._timeout == 5
    with pytest.raises(InvalidOptionError, match="at most 5"):
        Healthchecks(KEY, timeout=6)


async def test_a_shutdown_waits_for_what_is_queued(receiver: Receiver) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url)
    work = pinged(pings)
    work.job(name="job")(lambda: None)
    async with lifespan(work.wrap(answering(lambda: None))):
        for _ in range(5):
            await work.run("job")
    assert len(receiver.got) == 10


async def test_a_shutdown_gives_up_a_ping_that_hangs(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterwork._closing.FLUSH_SECONDS", 0.1)
    receiver.answers = ["hang"]
    pings = Healthchecks(KEY, base_url=receiver.url)
    work = pinged(pings)
    work.job(name="job")(lambda: None)
    began = time.monotonic()
    async with lifespan(work.wrap(answering(lambda: None))):
        await work.run("job")
    assert time.monotonic() - began < 3
    assert len(receiver.got) == 1


async def test_a_store_that_is_down_is_a_failure_without_a_start(receiver: Receiver) -> None:
    pings = Healthchecks(KEY, base_url=receiver.url)
    store = Broken()
    work = pinged(pings, store=store)
    work.cron("0 * * * *", name="job")(lambda: None)
    await work.run("job")
    pings.flush(5)
    assert receiver.paths == [f"/{KEY}/job/fail"]
    assert receiver.got[0].body.decode().splitlines() == ["job failed: StoreError", "attempt: 1"]


async def test_starts_whose_end_is_never_told_are_forgotten(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pings, "MAX_REMEMBERED", 2)
    pings = Healthchecks(KEY, base_url=receiver.url)
    work = new_work(around=[pings.around])
    work.job(name="job")(lambda: None)
    for _ in range(4):
        await work.run("job")
    pings.flush(5)
    assert receiver.paths == [f"/{KEY}/job/start"] * 4
    assert len(pings._pings._started) == 2


async def test_an_error_that_cannot_be_shown_is_a_failure_like_any(receiver: Receiver) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    pings = Healthchecks(KEY, base_url=receiver.url)
    work = new_work(reporters=[pings], record="none", on_store_error="run")

    async def job() -> None:
        raise Odd

    from afterwork_integrations._facts import facts_of

    seen: list[Any] = []
    app = Afterwork(reporters=[lambda run: seen.append(facts_of(run))]).wrap(
        answering(lambda: after(job))
    )
    async with lifespan(app):
        await call(app)
    assert [(facts.error, facts.error_text) for facts in seen] == [("Odd", "")]
    assert repr(work)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ping_key": ""},
        {"ping_key": "a/secret"},
        {"ping_key": 5},
        {"checks": {"job": "a-secret-slug"}},
        {"ping_key": KEY, "checks": {"job": "A Secret"}},
        {"ping_key": KEY, "checks": {"job": ""}},
        {"checks": {"job": "ftp://host/secret"}},
        {"checks": {"job": 5}},
        {"ping_key": KEY, "base_url": "hc-ping.com"},
    ],
)
def test_what_cannot_be_pinged_is_refused_without_being_shown(options: Any) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        Healthchecks(**options)
    assert "ecret" not in str(refused.value).replace("may be secret", "")


def test_the_repr_shows_the_host_alone() -> None:
    assert repr(Healthchecks(KEY)) == "<Healthchecks hc-ping.com>"


def test_without_the_library_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for name in ("healthchecks", "_pings", "_letters"):
        monkeypatch.delitem(sys.modules, f"afterwork_integrations.{name}")
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[healthchecks\]'"):
        import afterwork_integrations.healthchecks  # noqa: F401
