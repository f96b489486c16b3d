"""Registering jobs: what is checked, where it is said, and what a job is afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from afterwork import Afterwork, Cron, Every, Retry, after, current_run
from afterwork.errors import (
    CronSyntaxError,
    DurationSyntaxError,
    InvalidJobError,
    InvalidOptionError,
    QueueClosedError,
    UnknownJobError,
    UnknownOptionError,
    UnknownTimezoneError,
)
from afterwork.testing import capture, immediate
from tests.jobs.support import caller, new_work, until
from tests.support import answering
from tests.support import call as serve


def task(account: int = 0) -> int:
    """Tidies up.

    More words.
    """
    return account + 1


def test_a_job_is_its_function_with_a_name_and_a_policy() -> None:
    work = new_work()
    job = work.job(tags=("nightly", "db"))(task)

    assert job(4) == 5
    assert (job.name, job.description, job.schedule) == (
        "task",
        "Tidies up.\n\n    More words.",
        None,
    )
    assert job.tags == ("nightly", "db")
    assert job.__wrapped__ is task
    assert repr(job) == "<Job task>"
    assert work.jobs == [job]
    assert "task" in work.dispatch.jobs
    assert repr(work).startswith("<Afterwork on ")


def test_schedules_may_be_given_ready_made() -> None:
    work = new_work()
    cron, every = Cron("0 3 * * *", timezone="Europe/Paris"), Every("10m")

    assert work.cron(cron, name="a")(task).schedule is cron
    assert work.every(every, name="b")(task).schedule is every
    assert work.every(timedelta(hours=1), name="c")(task).schedule == Every("1h")
    assert repr(work.jobs[1]) == "<Job b 10m>"


def test_one_function_may_have_two_schedules() -> None:
    """Under two names, since a record says only the name."""
    work = new_work()
    first = work.cron("0 3 * * *")(task)

    second = work.every("1h", name="often")(first)

    assert second.fn is task
    with pytest.raises(InvalidJobError, match=r"two jobs 'task'.*test_registration\.py.*'task-2'"):
        work.every("1h")(first)


def test_without_code_a_job_is_named_as_it_is() -> None:
    work = new_work()
    work.job(name="x")(print)
    with pytest.raises(InvalidJobError, match="built-in function print"):
        work.job(name="x")(print)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "needs a name"),
        (5, "needs a name"),
        ("<lambda>", "needs a name"),
        ("a" * 101, "at most 100"),
        ("a/b", r"'/' at position 1"),
        ("-a", r"'-' at position 0"),
        ("é", r"'é' at position 0"),
        ("tick", "name='tick-job'"),
    ],
)
def test_a_name_is_part_of_an_address(name: Any, words: str) -> None:
    with pytest.raises(InvalidJobError, match=words):
        new_work().job(name=name)(task)


def test_a_lambda_has_no_name() -> None:
    with pytest.raises(InvalidJobError, match="needs a name"):
        new_work().job(lambda: None)


@pytest.mark.parametrize("thing", [5, None, "task"])
def test_a_job_is_a_function(thing: Any) -> None:
    with pytest.raises(InvalidJobError, match="a job is a function"):
        new_work().job(name="x")(thing)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": "nightly"}, "tags must be a list of texts"),
        ({"tags": [""]}, "tags must be a list of texts"),
        ({"environments": [1]}, "environments must be"),
        ({"overlap": "wait"}, "overlap must be one of 'skip'"),
        ({"mode": "later"}, "mode must be one of 'wait'"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": True}, "timeout must be"),
        ({"retry": 3}, "retry must be a Retry"),
        ({"when": 5}, "when must be"),
        ({"between": "08:00"}, "two times of day"),
        ({"between": ("08:00",)}, "two times of day"),
        ({"between": ("08:00", "08:00")}, "which differ"),
        ({"between": ("8:00", "09:00")}, "two times of day"),
        ({"between": ("08:60", "09:00")}, "two times of day"),
        ({"between": ("24:00", "09:00")}, "two times of day"),
        ({"between": ("ab:cd", "09:00")}, "two times of day"),
        ({"between": (8, "09:00")}, "two times of day"),
    ],
)
def test_wrong_options_are_said_at_the_decorator(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        new_work().job(**options)


async def _condition() -> bool:
    return True


def test_a_condition_is_a_plain_function() -> None:
    """What an async one returns would be true always."""
    with pytest.raises(InvalidOptionError, match="plain"):
        new_work().job(when=_condition)


@pytest.mark.parametrize("name", ["grace", "jitter", "misfire"])
def test_without_a_schedule_some_options_say_nothing(name: str) -> None:
    with pytest.raises(InvalidJobError, match=rf"{name}= says nothing .* cron\(...\)"):
        new_work().job(**{name: 5})  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("register", "error", "words"),
    [
        (lambda work: work.cron("61 * * * *"), CronSyntaxError, "61"),
        (lambda work: work.cron("0 3 * * *", timezone="Paris"), UnknownTimezoneError, "Paris"),
        (lambda work: work.cron("0 3 * * *", dst="never"), InvalidOptionError, "dst"),
        (lambda work: work.cron("0 3 * * *", overlaps="x"), UnknownOptionError, "overlap"),
        (lambda work: work.cron("0 3 * * *", misfire="x"), InvalidOptionError, "misfire"),
        (lambda work: work.cron("0 3 * * *", grace="soon"), DurationSyntaxError, "soon"),
        (lambda work: work.cron("0 3 * * *", jitter=-1), InvalidOptionError, "jitter"),
        (lambda work: work.every("10 minutes"), DurationSyntaxError, "10 minutes"),
        (lambda work: work.every(0.5), InvalidOptionError, "interval"),
    ],
)
def test_wrong_schedules_are_said_at_the_decorator(
    register: Callable[[Any], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        register(new_work())


def test_durations_may_be_texts() -> None:
    job = new_work().every("1h", grace="5m", jitter="30s", timeout="10m")(task)

    assert (job.policy.grace, job.policy.jitter, job.options.timeout) == (300.0, 30.0, 600.0)
    assert new_work().job(timeout=None)(task).options.timeout is None


def test_a_schedule_sets_the_default_of_overlap() -> None:
    """Without one each call has its own arguments, and none is a repetition of another."""
    work = new_work()

    assert work.job(name="a")(task).policy.overlap == "allow"
    assert work.every("1h", name="b", overlap="queue")(task).policy.overlap == "queue"
    tags: Any = {"b", "a"}
    assert work.every("1h", name="c", tags=tags)(task).tags == ("a", "b")


async def test_an_unknown_job_is_said_with_the_nearest_name() -> None:
    work = new_work()
    work.job(task)

    with pytest.raises(UnknownJobError, match="'task'"):
        await work.run("tusk")


@pytest.mark.parametrize(
    ("between", "hour", "runs"),
    [
        (("08:00", "18:30"), 12, True),
        (("13:00", "18:30"), 12, False),
        (("22:00", "06:00"), 23, True),
        (("22:00", "06:00"), 5, True),
        (("22:00", "06:00"), 12, False),
    ],
)
async def test_a_part_of_the_day(between: tuple[str, str], hour: int, runs: bool) -> None:
    """The end is not included; an end before the start is on the next day."""
    work = new_work(datetime(2026, 3, 10, hour, 0, 5, tzinfo=UTC))
    work.every("1h", name="job", between=between)(lambda: None)

    status, answer = await caller(work)("/job")

    assert (status, answer["status"]) == (200, "ok" if runs else "skipped")
    if not runs:
        assert answer["reason"] == f"only between {between[0]}-{between[1]} UTC"


async def test_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By setting or by variable; without a name a job that wants one does not run."""
    for variable in ("AFTERWORK_ENV", "VERCEL_ENV"):
        monkeypatch.delenv(variable, raising=False)
    seen: list[tuple[str, str]] = []
    for environment in (None, "staging", "production"):
        work = new_work(environment=environment)
        work.every("1h", name="job", environments=["production"])(lambda: None)
        _, answer = await caller(work)("/job")
        seen.append((answer["status"], answer.get("reason", "")))
    monkeypatch.setenv("VERCEL_ENV", "production")
    work = new_work()
    work.every("1h", name="job", environments=["production"])(lambda: None)

    assert seen[0] == (
        "skipped",
        "only in production; this environment is not named (set AFTERWORK_ENV)",
    )
    assert seen[1] == ("skipped", "only in production; this environment is staging")
    assert seen[2] == ("ok", "")
    assert (await caller(work)("/job"))[1]["status"] == "ok"


async def test_conditions_do_not_hold_for_those_who_ask_for_the_job_itself() -> None:
    """`after(job)` and a run by hand go, whatever `when` says."""
    work = new_work()
    ran: list[int] = []
    job = work.every("1h", name="job", when=lambda: False)(lambda: ran.append(1))

    assert (await work.run(job)).outcome == "succeeded"
    await serve(work.wrap(answering(lambda: after(job))))

    await until(lambda: not work.pipeline.queues)
    assert ran == [1, 1]


async def test_after_takes_a_jobs_own_options_unless_it_is_given_others() -> None:
    work = new_work(timeout=50)
    seen: list[tuple[str, int, float | None]] = []

    @work.job(retry=Retry(2, delay=0), timeout=20)
    async def flaky(last: int) -> None:
        run = current_run()
        seen.append((run.name, run.attempt, run.remaining()))
        if run.attempt < last:
            raise RuntimeError

    def handler() -> None:
        after(flaky, 2)
        after.options(name="other", timeout=10, retry=None)(flaky, 2)

    await serve(work.wrap(answering(handler)))
    await until(lambda: not work.pipeline.queues)

    assert sorted(seen) == [("flaky", 1, 20.0), ("flaky", 2, 20.0), ("other", 1, 10.0)]
    runs = work.store.runs(job="flaky")
    assert sorted((run.state, run.attempt, run.trigger) for run in runs) == [
        ("failed", 1, "after"),
        ("succeeded", 2, "after"),
    ]


async def test_a_job_has_no_response_that_callbacks_could_depend_on() -> None:
    """Said at the call. So is a call that comes when the run is over."""
    work = new_work()
    late: list[asyncio.Task[None]] = []

    async def too_late() -> None:
        await until(lambda: not work.pipeline.queues)
        with pytest.raises(QueueClosedError):
            after(task)

    @work.job
    async def job() -> None:
        with pytest.raises(InvalidOptionError, match="on must be 'always' inside a job"):
            after.options(on="error")(task)
        late.append(asyncio.create_task(too_late()))

    assert (await work.run(job)).outcome == "succeeded"
    await late[0]


async def test_after_keeps_to_the_jobs_overlap() -> None:
    work = new_work()
    ran: list[int] = []

    @work.job(overlap="skip")
    async def job() -> None:
        ran.append(1)
        after(job)  # beside itself: skipped
        await until(lambda: work.store.runs(state="skipped"))

    await serve(work.wrap(answering(lambda: after(job))))
    await until(lambda: not work.pipeline.queues)

    assert ran == [1]
    assert sorted(run.state for run in work.store.runs()) == ["skipped", "succeeded"]


async def test_after_on_a_job_may_be_taken_back() -> None:
    """Also while the store is asked: nothing runs and nothing is held."""
    work = new_work()
    job = work.job(overlap="skip", name="job")(pytest.fail)
    cancelled: list[bool] = []

    def handler() -> None:
        cancelled.append(after(job).cancel())

    await serve(work.wrap(answering(handler)))
    await until(lambda: not work.pipeline.queues)

    assert cancelled == [True]
    assert work.store.runs() == []


def test_the_test_kit_collects_jobs_and_runs_them_in_place() -> None:
    """Both know the job's name, and ask no store."""
    work = new_work()
    ran: list[int] = []
    job = work.job(name="job", timeout=5)(ran.append)

    with capture() as calls:
        after(job, 1)
    assert calls.names == ["job"]
    assert (calls[0].args, calls[0].options.timeout) == ((1,), 5.0)
    assert ran == []

    with immediate():
        after(job, 2)
    with capture(execute=True):
        after(job, 3)
    assert ran == [2, 3]
    assert work.store.runs() == []


def test_an_app_may_have_no_jobs() -> None:
    work = Afterwork()

    assert work.jobs == []
    assert len(work.dispatch.jobs) == 0


@pytest.mark.parametrize("jitter", ["1h", "2h", 3600])
def test_jitter_is_shorter_than_the_interval(jitter: Any) -> None:
    """Or the next slot would be due before this one has started."""
    with pytest.raises(InvalidOptionError, match="less than the 3600 s between slots"):
        new_work().cron("0 * * * *", jitter=jitter)
    new_work().cron("0 0 29 2 *", jitter="7d")
