"""Telemetry for Cronitor, against real servers and through the whole pipeline."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations import _letters
from afterwork_integrations.cronitor import Cronitor

from afterwork import Outcome, after
from afterwork.errors import InvalidOptionError
from tests.integrations.receiver import Receiver, receiving
from tests.jobs.support import caller, new_work
from tests.support import answering, call, lifespan

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "4f2b9c0d1e"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(_letters, "PAUSES", ())
    with receiving(200) as found:
        yield found


async def test_a_run_is_told_when_it_starts_and_when_it_is_complete(receiver: Receiver) -> None:
    pings = Cronitor(KEY, base_url=f"{receiver.url}/p/", environment="production")
    work = new_work(around=[pings.around], reporters=[pings])
    work.cron("0 * * * *", name="nightly")(lambda: None)
    await caller(work)("/nightly")
    pings.flush(5)

    start, end = receiver.got
    (run,) = work.store.runs()
    assert {start.path, end.path} == {f"/p/{KEY}/nightly"}
    assert {start.method, end.method} == {"GET"}
    assert start.query == {"state": "run", "series": run.id, "env": "production"}
    metric = end.query.pop("metric")
    assert end.query | {"metric": ""} == {
        "state": "complete",
        "series": run.id,
        "env": "production",
        "message": "succeeded",
        "metric": "",
    }
    assert metric.startswith("duration:0.0")


async def test_a_failure_tells_the_class_of_its_error_alone(receiver: Receiver) -> None:
    pings = Cronitor(KEY, base_url=receiver.url, monitors={"job": "other-key", "quiet": None})
    work = new_work(reporters=[pings])

    def fail() -> None:
        raise ValueError("password=hunter2")

    work.job(name="job")(fail)
    work.job(name="quiet")(fail)
    await work.run("quiet")
    await work.run("job")
    pings.flush(5)

    (event,) = receiver.got
    assert event.path == f"/{KEY}/other-key"
    assert event.query["state"] == "fail"
    assert event.query["message"] == "failed: ValueError"
    assert "env" not in event.query


async def test_what_died_has_failed_and_of_a_missed_run_nothing_is_told(receiver: Receiver) -> None:
    pings = Cronitor(KEY, base_url=receiver.url)
    work = new_work(reporters=[pings])
    job = work.cron("0 * * * *", name="nightly")(lambda: None)
    await work.run("nightly")
    record = work.store.runs()[0]
    for outcome in (Outcome.MISSED, Outcome.CANCELLED, Outcome.ABANDONED):
        work.dispatch.tell(job, record, outcome)
    pings.flush(5)

    assert [request.query["state"] for request in receiver.got] == ["complete", "fail"]
    assert "metric" not in receiver.got[1].query


async def test_the_name_of_a_callback_is_made_a_key(receiver: Receiver) -> None:
    pings = Cronitor(KEY, base_url=receiver.url, callbacks=True)
    work = new_work(reporters=[pings])

    def queue() -> None:
        after.options(name="send a/receipt?")(print, "hello")

    async with lifespan(work.wrap(answering(queue))) as life:
        await call(life.app)
    assert receiver.paths == [f"/{KEY}/send-a-receipt-"]


async def test_l6_an_event_that_fails_does_not_touch_the_job(
    receiver: Receiver, caplog: Any
) -> None:
    """L6: one warning, without the key."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = [500]
    pings = Cronitor(KEY, base_url=receiver.url)
    work = new_work(around=[pings.around], reporters=[pings])
    work.job(name="job")(lambda: None)
    assert (await work.run("job")).outcome == "succeeded"
    assert (await work.run("job")).outcome == "succeeded"
    pings.flush(5)

    warnings = [r.getMessage() for r in caplog.records if r.name == "afterwork.cronitor"]
    assert warnings == [
        "cronitor.failed host='127.0.0.1' problem='it answered 500' lost=1",
    ]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": ""},
        {"api_key": "a/secret"},
        {"api_key": None},
        {"api_key": KEY, "monitors": {"job": "a/b"}},
        {"api_key": KEY, "monitors": {"job": 5}},
        {"api_key": KEY, "base_url": "cronitor.link"},
        {"api_key": KEY, "timeout": 10},
    ],
)
def test_what_cannot_be_told_is_refused(options: Any) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        Cronitor(**options)
    assert "a/secret" not in str(refused.value)


def test_the_repr_shows_the_host_alone() -> None:
    assert repr(Cronitor(KEY)) == "<Cronitor cronitor.link>"


def test_without_the_library_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for name in ("cronitor", "_pings", "_letters"):
        monkeypatch.delitem(sys.modules, f"afterwork_integrations.{name}", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[cronitor\]'"):
        import afterwork_integrations.cronitor  # noqa: F401
