"""Check-ins and errors, with the real SDK and a server that receives its envelopes."""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sentry_sdk
from afterwork_integrations.sentry import Sentry
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration

from afterwork import Afterwork, Outcome, Retry, after
from afterwork.errors import InvalidOptionError
from tests.integrations.receiver import Receiver, receiving
from tests.jobs.support import caller, new_work, until
from tests.support import answering, call, lifespan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentry_sdk.integrations import Integration


class Project:
    """What Sentry was sent."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def start(self, *integrations: Integration) -> None:
        sentry_sdk.init(
            dsn=self.receiver.url.replace("http://", "http://public@") + "/1",
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=integrations,
            environment="test",
        )

    def items(self, kind: str) -> list[dict[str, Any]]:
        found = []
        for request in self.receiver.got:
            body = request.body
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            lines = [json.loads(line) for line in body.splitlines() if line.strip()]
            for header, payload in zip(lines[1::2], lines[2::2], strict=True):
                if header["type"] == kind:
                    found.append(payload)
        return found

    @property
    def check_ins(self) -> list[dict[str, Any]]:
        return self.items("check_in")

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self.items("event")


@pytest.fixture
def project() -> Iterator[Project]:
    with receiving(200) as receiver:
        found = Project(receiver)
        found.start()
        yield found
        sentry_sdk.get_client().close(timeout=2)
        sentry_sdk.get_global_scope().set_client(None)


def watched(sentry: Sentry, **settings: Any) -> Afterwork:
    return new_work(around=[sentry.around], reporters=[sentry], **settings)


async def test_a_job_with_a_schedule_checks_in_at_its_start_and_end(project: Project) -> None:
    sentry = Sentry()
    work = watched(sentry)

    @work.cron("30 2 * * *", timezone="America/New_York", timeout=90, grace="5m", jitter="1m")
    async def nightly() -> None:
        sentry.flush(5)
        assert [each["status"] for each in project.check_ins] == ["in_progress"]

    await caller(work)("/nightly")
    sentry.flush(5)

    start, end = project.check_ins
    (run,) = work.store.runs()
    assert start["check_in_id"] == end["check_in_id"] == run.id.replace("-", "")
    assert start["monitor_slug"] == end["monitor_slug"] == "nightly"
    assert (start["status"], end["status"]) == ("in_progress", "ok")
    assert start.get("duration") is None
    assert end["duration"] >= 0
    assert start["environment"] == "test"
    assert (
        start["monitor_config"]
        == end["monitor_config"]
        == {
            "schedule": {"type": "crontab", "value": "30 2 * * *"},
            "timezone": "America/New_York",
            "checkin_margin": 6,
            "max_runtime": 2,
        }
    )


async def test_an_interval_of_minutes_has_a_monitor_and_others_have_none(project: Project) -> None:
    sentry = Sentry()
    work = watched(sentry)
    work.every("90m", name="A.job_" + "x" * 60)(lambda: None)
    work.every("90s", name="odd")(lambda: None)
    work.job(name="by-hand")(lambda: None)
    for job in work.jobs:
        await work.run(job)
    sentry.flush(5)

    assert len(project.check_ins) == 2
    check_in = project.check_ins[0]
    assert check_in["monitor_slug"] == "A-job_" + "x" * 44
    assert check_in["monitor_config"] == {
        "schedule": {"type": "interval", "value": 90, "unit": "minute"},
        "checkin_margin": 1,
    }


async def test_only_named_jobs_check_in_and_housekeeping_never_does(project: Project) -> None:
    sentry = Sentry(jobs=["one"])
    work = watched(sentry)
    for name in ("one", "two"):
        work.cron("0 * * * *", name=name)(lambda: None)
        await work.run(name)
    everything = Sentry()
    housekeeper = watched(everything)
    housekeeper.job(name="x")(lambda: None)
    job = housekeeper.jobs[0]
    await housekeeper.run("x")
    record = housekeeper.store.runs()[0]
    job.name = "afterwork.housekeeping"
    job.policy.schedule = work.jobs[0].schedule
    housekeeper.dispatch.tell(job, record, Outcome.ABANDONED)
    silent = Sentry(check_ins=False)
    quiet = watched(silent)
    quiet.cron("0 * * * *", name="three")(lambda: None)
    await quiet.run("three")
    sentry.flush(5)
    assert {each["monitor_slug"] for each in project.check_ins} == {"one"}


async def test_all_attempts_are_one_check_in_and_one_error(project: Project) -> None:
    sentry = Sentry()
    work = watched(sentry)

    @work.cron("0 * * * *", retry=Retry(2, delay=0.001))
    def job() -> None:
        raise ValueError("no")

    await work.run(job)
    sentry.flush(5)

    assert len({each["check_in_id"] for each in project.check_ins}) == 1
    assert [each["status"] for each in project.check_ins] == ["in_progress", "in_progress", "error"]
    (error,) = project.errors
    assert error["tags"]["attempt"] == "2"


async def test_what_is_missed_is_left_to_sentry_and_what_died_is_an_error(project: Project) -> None:
    sentry = Sentry()
    work = watched(sentry)
    job = work.cron("0 * * * *", name="nightly")(lambda: None)
    await work.run("nightly")
    record = work.store.runs()[0]
    for outcome in (Outcome.MISSED, Outcome.CANCELLED, Outcome.ABANDONED):
        work.dispatch.tell(job, replace(record, id=f"{outcome:a<36}"), outcome)
    sentry.flush(5)

    statuses = [(each["check_in_id"][:4], each["status"]) for each in project.check_ins[2:]]
    assert statuses == [("canc", "error"), ("aban", "error")]
    assert project.errors == []


@pytest.mark.parametrize("logging", [False, True])
@pytest.mark.parametrize("dedupe", [False, True])
async def test_an_error_comes_once_and_with_its_run(
    logging: bool, dedupe: bool, project: Project
) -> None:
    project.start(
        *([LoggingIntegration()] if logging else []), *([DedupeIntegration()] if dedupe else [])
    )
    sentry = Sentry()
    work = watched(sentry)

    @work.cron("0 * * * *")
    async def nightly() -> None:
        raise ValueError("no")

    await work.run(nightly)
    await caller(work)("/nightly")
    sentry.flush(5)

    runs = {run.id: run for run in work.store.runs()}
    await until(lambda: len(project.errors) >= 2)  # a busy machine takes longer than a flush may
    assert len(project.errors) == len(runs) == 2
    for error in project.errors:
        run = runs.pop(error["tags"]["run_id"])
        assert error["tags"] == {
            "job": "nightly",
            "run_id": run.id,
            "attempt": "1",
            "trigger": run.trigger,
        }
        (exception,) = error["exception"]["values"]
        assert (exception["type"], exception["value"]) == ("ValueError", "no")


@pytest.mark.parametrize("logging", [False, True])
async def test_the_error_of_a_callback_has_its_name(logging: bool, project: Project) -> None:
    project.start(*([LoggingIntegration()] if logging else []))
    sentry = Sentry()

    def fail() -> None:
        raise ValueError

    app = Afterwork(reporters=[sentry]).wrap(answering(lambda: after.options(name="receipt")(fail)))
    async with lifespan(app):
        await call(app)

    await until(lambda: project.errors)
    (error,) = project.errors
    assert error["tags"]["callback"] == "receipt"
    assert error["tags"]["trigger"] == "after"
    assert "job" not in error["tags"]


async def test_errors_are_left_to_others_when_asked(project: Project) -> None:
    sentry = Sentry(errors=False)
    work = watched(sentry)

    @work.job
    def job() -> None:
        raise ValueError

    await work.run(job)
    sentry.flush(5)
    assert project.errors == []


async def test_other_lines_of_the_log_stay_as_they_are(project: Project) -> None:
    import logging

    project.start(LoggingIntegration())
    logging.getLogger("afterwork").error("reporter.failed", extra={"event": "reporter.failed"})
    logging.getLogger("elsewhere").error("run.failed", extra={"event": "run.failed"})
    sentry_sdk.flush(5)
    assert [error.get("tags") for error in project.errors] == [None, None]


async def test_a_shutdown_sends_what_is_left(project: Project) -> None:
    work = watched(Sentry())
    work.cron("0 * * * *", name="nightly")(lambda: None)
    async with lifespan(work.wrap(answering(lambda: None))):
        await work.run("nightly")
    assert len(project.check_ins) == 2


async def test_l6_a_sentry_that_is_not_there_does_not_touch_the_job() -> None:
    """L6: nor does one that was never set up."""
    work = watched(Sentry())
    work.cron("0 * * * *", name="nightly")(lambda: None)
    assert (await work.run("nightly")).outcome == "succeeded"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="jobs must be a list"):
        Sentry(jobs="nightly")


def test_without_the_library_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    monkeypatch.delitem(sys.modules, "afterwork_integrations.sentry")
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[sentry\]'"):
        import afterwork_integrations.sentry  # noqa: F401
