"""Health: whether everything is on time. L5, but for `stalled`."""

from __future__ import annotations

from typing import Any

from tests.jobs.support import Broken, at, caller, new_work

HOUR = "0 * * * *"
STRANGER = {"authorization": "Bearer no"}


async def test_health_says_next_due_last_success_and_late() -> None:
    """L5: 200 while on time, 503 when a job is later than its grace."""
    work = new_work(at("2026-03-10 11:45"))

    @work.cron(HOUR, timezone="Europe/Paris", tags=["nightly"])
    def job() -> None:
        """Tidies up.

        More words.
        """

    call = caller(work)
    status, answer = await call("/health", "GET")
    (entry,) = answer["jobs"]
    assert (status, answer["status"]) == (200, "ok")
    assert entry == {
        "job": "job",
        "description": "Tidies up.",
        "tags": ["nightly"],
        "schedule": "0 * * * *",
        "timezone": "Europe/Paris",
        "words": entry["words"],
        "next": "2026-03-10T12:00:00Z",
        "late": False,
        "paused": False,
        "failures_in_a_row": 0,
    }

    work.pipeline.clock.advance(45 * 60)  # type: ignore[attr-defined]
    assert (await call("/health", "GET"))[0] == 200
    work.pipeline.clock.advance(60)  # type: ignore[attr-defined]
    status, answer = await call("/health", "GET")
    assert (status, answer["status"], answer["jobs"][0]["late"]) == (503, "late", True)

    _, run = await call("/job?slot=2026-03-10T12:00:00Z")
    status, answer = await call("/health", "GET")
    (entry,) = answer["jobs"]
    assert (status, entry["late"], entry["last_run"]) == (200, False, run["run_id"])
    assert entry["last_outcome"] == "succeeded"
    assert entry["last_success"] == entry["last_ended"] == "2026-03-10T12:31:00Z"
    assert entry["next"] == "2026-03-10T13:00:00Z"


async def test_strangers_see_only_the_verdict() -> None:
    """L5: and are not refused, so that a load balancer can ask."""
    work = new_work(at("2026-03-10 11:45"))
    work.cron(HOUR, name="job")(lambda: None)
    call = caller(work)

    assert await call("/health", "GET", headers=STRANGER) == (200, {"status": "ok"})
    work.pipeline.clock.advance(3 * 3600)  # type: ignore[attr-defined]
    assert await call("/health", "GET", headers=STRANGER) == (503, {"status": "late"})


async def test_a_paused_job_is_not_late() -> None:
    """L5"""
    work = new_work(at("2026-03-10 11:45"))
    work.cron(HOUR, name="job")(lambda: None)
    call = caller(work)
    await call("/health", "GET")
    work.store.pause("job")
    work.pipeline.clock.advance(3 * 3600)  # type: ignore[attr-defined]

    status, answer = await call("/health", "GET")

    assert (status, answer["jobs"][0]["paused"], answer["jobs"][0]["late"]) == (200, True, False)
    assert (await call("/job"))[1]["status"] == "paused"


async def test_a_job_without_a_schedule_is_never_late() -> None:
    """L5: its failures are told all the same."""
    work = new_work()

    @work.job
    def job() -> None:
        raise RuntimeError

    call = caller(work)
    assert (await call("/job"))[0] == 500
    _, answer = await call("/health", "GET")
    (entry,) = answer["jobs"]

    assert "late" not in entry
    assert "next" not in entry
    assert (entry["last_outcome"], entry["failures_in_a_row"]) == ("failed", 1)


async def test_a_store_that_is_down_is_no_good_health() -> None:
    """L5, O11"""
    work = new_work(store=Broken())
    work.cron(HOUR, name="job")(lambda: None)

    status, answer = await caller(work)("/health", "GET", headers=STRANGER)

    assert (status, answer) == (503, {"status": "unavailable"})


async def test_a_state_that_the_store_has_lost_is_no_failure_of_ours(monkeypatch: Any) -> None:
    """A job that the store does not know yet is neither late nor unknown."""
    work = new_work()
    work.cron(HOUR, name="job")(lambda: None)
    monkeypatch.setattr(work.store, "jobs", dict)
    call = caller(work)

    status, answer = await call("/health", "GET")
    assert (status, "late" in answer["jobs"][0]) == (200, False)
    assert (await call("/tick"))[1]["runs"] == []


async def test_a_tick_records_what_was_missed_and_says_what_it_dropped(caplog: Any) -> None:
    """F2, F3: `once` runs the newest slot; the others are `missed`, once over all replicas."""
    from tests.support import events, fields

    work = new_work(at("2026-03-10 12:00"))
    work.cron(HOUR, name="job")(lambda: None)
    call = caller(work)
    await call("/tick")
    work.pipeline.clock.advance(3 * 3600)  # type: ignore[attr-defined]
    assert work.store.claim(
        _missed(work), ("slot:1773147600",), keep=1e6, ttl=0
    ).mine  # another replica has just taken it down

    _, answer = await call("/tick")

    assert [run["slot"] for run in answer["runs"]] == ["2026-03-10T15:00:00Z"]
    assert sorted(run.state for run in work.store.runs()) == ["missed", "missed", "succeeded"]
    assert events(caplog).count("run.missed") == 1
    work.pipeline.clock.advance(150 * 3600)  # type: ignore[attr-defined]
    await call("/tick")
    assert fields(caplog, "schedule.dropped")["slots"] == 50


def _missed(work: Any) -> Any:
    from afterwork._ids import run_id
    from afterwork.stores import RunRecord

    return RunRecord(id=run_id(), job="job", trigger="schedule", state="missed")


async def test_a_job_of_another_environment_is_not_missed_here() -> None:
    """L5"""
    work = new_work(at("2026-03-10 09:30"), environment="staging")
    work.cron("0 * * * *", name="job", environments=["production"])(lambda: None)
    call = caller(work)
    await call("/health", "GET")
    work.pipeline.clock.advance(5 * 3600)  # type: ignore[attr-defined]

    assert (await call("/health", "GET"))[0] == 200
