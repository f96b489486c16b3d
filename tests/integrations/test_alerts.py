"""Alerts on the change: their state in the store, and hooks. Through the whole pipeline."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations.alerts import Alert, Alerts

from afterwork import MemoryStore, Outcome, SQLiteStore, after
from afterwork.errors import InvalidOptionError
from afterwork.testing import FakeClock
from tests.jobs.support import NOON, Broken, caller, new_work
from tests.support import answering, call, lifespan

if TYPE_CHECKING:
    from pathlib import Path

    from afterwork import Afterwork


class Pager:
    """Hooks that keep what they are told; and an app whose job does as it is told."""

    def __init__(self, store: Any = None, **options: Any) -> None:
        self.store = MemoryStore() if store is None else store
        self.told: list[Alert] = []
        self.threads: set[int] = set()
        self.alerts = Alerts(self.store, on_failure=self.tell, on_recovery=self.tell, **options)
        self.work: Afterwork = new_work(store=self.store, reporters=[self.alerts])
        self.work.job(name="job")(self.job)
        self.fails = False

    def tell(self, alert: Alert) -> None:
        self.threads.add(threading.get_ident())
        self.told.append(alert)

    def job(self) -> None:
        if self.fails:
            raise ValueError("password=hunter2")

    async def run(self, *runs: str) -> list[str]:
        """Runs the job: "-" fails, "+" succeeds. Returns what was told of these."""
        before = len(self.told)
        for fails in runs:
            self.fails = fails == "-"
            await self.work.run("job")
        self.alerts.flush(10)
        return [alert.event for alert in self.told[before:]]


async def test_an_alert_comes_on_the_change_and_not_on_every_run() -> None:
    pager = Pager()
    assert await pager.run("+", "+") == []
    assert await pager.run("-", "-", "-") == ["failing"]
    assert await pager.run("+", "+") == ["recovered"]
    assert await pager.run("-") == ["failing"]
    assert pager.threads & {threading.get_ident()} == set()


async def test_what_an_alert_says() -> None:
    pager = Pager()
    await pager.run("-", "+")
    failing, recovered = pager.told

    _, failed = sorted(pager.store.runs(), key=lambda run: run.state == "failed")
    assert (failing.run_id, failing.name, failing.is_job) == (failed.id, "job", True)
    assert (failing.outcome, failing.error, failing.error_text) == ("failed", "ValueError", None)
    assert (failing.trigger, failing.attempt, failing.scheduled_for) == ("manual", 1, None)
    assert failing.duration is not None
    assert not failing.recovered
    assert failing.since == failing.at == recovered.since
    assert recovered.at >= recovered.since
    assert recovered.recovered
    assert "hunter2" not in repr(pager.told)


async def test_the_text_of_errors_is_told_when_asked_for() -> None:
    pager = Pager(include_error=True)
    await pager.run("-")
    assert pager.told[0].error_text == "password=hunter2"


async def test_the_threshold_counts_failures_in_a_row() -> None:
    pager = Pager(after=3)
    assert await pager.run("-", "-", "+", "-", "-") == []
    assert await pager.run("-", "-", "-") == ["failing"]
    assert pager.told[0].since < pager.told[0].at
    assert await pager.run("+") == ["recovered"]
    assert pager.told[1].since == pager.told[0].since
    assert await pager.run("-", "-", "+") == []
    assert pager.store.notes("alerts:") == {}


@pytest.mark.parametrize("repeat", [60.0, timedelta(minutes=1)])
async def test_a_reminder_comes_when_it_was_asked_for(repeat: Any) -> None:
    clock = FakeClock(NOON)
    pager = Pager(store=MemoryStore(clock=clock), repeat=repeat)
    assert await pager.run("-", "-") == ["failing"]
    clock.advance(61)
    assert await pager.run("-", "-") == ["still_failing"]
    assert await pager.run("+") == ["recovered"]
    assert pager.store.notes("alerts:") == {}


async def test_replicas_and_restarts_tell_once(tmp_path: Path) -> None:
    url = str(tmp_path / "afterwork.db")
    pagers = [Pager(store=SQLiteStore(url)) for _ in range(3)]
    for fails in ("-", "-", "+"):
        for pager in pagers:
            await pager.run(fails)
    again = Pager(store=SQLiteStore(url))
    assert await again.run("+") == []
    assert [alert.event for pager in pagers for alert in pager.told] == ["failing", "recovered"]


async def test_failures_at_the_same_moment_are_told_once() -> None:
    store = MemoryStore()
    pagers = [Pager(store=store) for _ in range(8)]
    for pager in pagers:
        pager.fails = True
    await asyncio.gather(*(pager.work.run("job") for pager in pagers for _ in range(5)))
    for pager in pagers:
        pager.alerts.flush(10)
    assert sum(len(pager.told) for pager in pagers) == 1


async def test_missed_and_abandoned_runs_are_failures_and_others_change_nothing() -> None:
    pager = Pager()
    await pager.run("+")
    job, record = pager.work.jobs[0], pager.store.runs()[0]

    def tell(outcome: Outcome, **changes: Any) -> list[str]:
        pager.told.clear()
        pager.work.dispatch.tell(job, replace(record, **changes), outcome)
        pager.alerts.flush(10)
        return [alert.event for alert in pager.told]

    assert tell(Outcome.CANCELLED) == []
    assert tell(Outcome.MISSED, slot=int(NOON.timestamp())) == ["failing"]
    assert pager.told[0].scheduled_for == NOON
    assert tell(Outcome.CANCELLED) == []
    assert tell(Outcome.SUCCEEDED) == ["recovered"]
    assert tell(Outcome.ABANDONED, reason="not renewed in time") == ["failing"]
    assert pager.told[0].reason == "not renewed in time"


async def test_a_run_that_is_skipped_changes_nothing() -> None:
    pager = Pager()
    pager.work.cron("0 * * * *", name="never", when=lambda: False)(pager.job)
    assert (await caller(pager.work)("/never"))[1]["status"] == "skipped"
    assert await pager.run("-") == ["failing"]
    assert pager.store.notes("alerts:").keys() == {"alerts:hooks:job:job:1"}


@pytest.mark.parametrize(("options", "told"), [({}, []), ({"callbacks": True}, ["receipt"])])
async def test_callbacks_are_watched_when_asked(options: Any, told: list[str]) -> None:
    pager = Pager(**options)
    pager.fails = True
    app = pager.work.wrap(answering(lambda: after.options(name="receipt")(pager.job)))
    async with lifespan(app):
        await call(app)
    assert [alert.name for alert in pager.told if not alert.is_job] == told


async def test_only_named_jobs_are_watched() -> None:
    assert await Pager(jobs=["job"]).run("-") == ["failing"]
    assert await Pager(jobs=["other"]).run("-") == []


async def test_two_alerts_in_one_store_have_their_own_state() -> None:
    first = Pager(name="first")
    second = Pager(store=first.store, name="second", after=2)
    assert await first.run("-") == ["failing"]
    assert await second.run("-", "-") == ["failing"]


async def test_what_could_not_be_told_is_told_next_time(caplog: Any) -> None:
    clock = FakeClock(NOON)
    pager = Pager(store=MemoryStore(clock=clock), repeat=60, after=2)
    working = pager.tell

    def broken(alert: Alert) -> None:
        raise OSError("a-secret")

    async def down(*runs: str) -> None:
        pager.alerts._on_failure = pager.alerts._on_recovery = broken
        assert await pager.run(*runs) == []
        pager.alerts._on_failure = pager.alerts._on_recovery = working

    await down("-", "-")
    assert await pager.run("-") == ["failing"]
    clock.advance(61)
    await down("-")
    assert await pager.run("-") == ["still_failing"]
    await down("+")
    assert await pager.run("+") == ["recovered"]
    assert await pager.run("+") == []
    warnings = [r.getMessage() for r in caplog.records if r.name == "afterwork.alerts"]
    assert warnings == ["alerts.failed problem='OSError' lost=1"]
    assert "a-secret" not in "".join(warnings)


async def test_without_a_hook_the_change_is_kept_all_the_same() -> None:
    store = MemoryStore()
    silent = Alerts(store)
    work = new_work(store=store, reporters=[silent])

    @work.job
    def job() -> None:
        raise ValueError

    await work.run(job)
    silent.flush(10)
    assert len(store.notes("alerts:")) == 1


async def test_l6_a_hook_or_a_store_that_hangs_does_not_touch_the_job() -> None:
    """L6, for alerts."""
    pager = Pager()
    go = threading.Event()
    pager.alerts._on_failure = lambda alert: go.wait(10)
    began = time.monotonic()
    for _ in range(3):
        pager.fails = True
        assert (await pager.work.run("job")).outcome == "failed"
    assert time.monotonic() - began < 2
    assert len(pager.store.runs(state="failed")) == 3
    go.set()
    pager.alerts.flush(10)


async def test_a_store_that_is_down_is_warned_of(caplog: Any) -> None:
    store = Broken()
    told: list[Alert] = []
    alerts = Alerts(store, on_failure=told.append)
    work = new_work(reporters=[alerts])
    work.job(name="job")(lambda: None)
    assert (await work.run("job")).outcome == "succeeded"
    alerts.flush(10)
    warnings = [r.getMessage() for r in caplog.records if r.name == "afterwork.alerts"]
    assert warnings == ["alerts.failed problem='StoreError' lost=1"]
    assert told == []


async def test_a_success_at_the_moment_of_a_failure_leaves_nothing_stuck() -> None:
    """A last mark without a first is taken away by the next success, which tells."""
    pager = Pager(after=2)
    pager.store.put("alerts:hooks:job:job:2", NOON.isoformat())
    assert await pager.run("+") == ["recovered"]
    assert pager.told[0].since == pager.told[0].at
    assert await pager.run("-", "-") == ["failing"]


async def _async_hook(alert: Alert) -> None: ...


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"after": 0}, "after must be a whole number"),
        ({"after": True}, "after must be"),
        ({"after": 1.5}, "after must be"),
        ({"repeat": 0}, "repeat must be seconds"),
        ({"repeat": True}, "repeat must be"),
        ({"repeat": "6h"}, "repeat must be"),
        ({"repeat": timedelta(0)}, "repeat must be"),
        ({"jobs": "nightly"}, "jobs must be a list"),
        ({"name": ""}, "name must be"),
        ({"name": 5}, "name must be"),
        ({"on_failure": 5}, "on_failure must be a plain function"),
        ({"on_recovery": _async_hook}, "on_recovery must be a plain function"),
        ({"store": "sqlite:///afterwork.db"}, "store must be the app's store"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Alerts(**{"store": MemoryStore(), **options})


def test_without_the_library_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for name in [name for name in sys.modules if name.startswith("afterwork_integrations.")]:
        if name.endswith("_letters") or ".alerts" in name:
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[alerts\]'"):
        import afterwork_integrations.alerts  # noqa: F401
