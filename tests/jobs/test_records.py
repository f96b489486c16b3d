"""Records: of every run of a job, and of callbacks that failed or were slow."""

from __future__ import annotations

from typing import Any

import pytest

from afterwork import AfterMiddleware, MemoryStore, after, current_run
from afterwork._run_record import describe
from tests.jobs.support import Broken, new_work, until
from tests.support import answering, events
from tests.support import call as serve


async def states(handler: Any, **settings: Any) -> list[tuple[str, str]]:
    """The records after one request."""
    work = new_work(**settings)
    await serve(AfterMiddleware(answering(handler), work))
    await until(lambda: not work.pipeline.queues)
    return sorted((run.job, run.state) for run in work.store.runs())


def _fail() -> None:
    raise RuntimeError("broken")


def _fine() -> None: ...


def handler() -> None:
    after(_fail)
    after(_fine)
    after.options(on="error")(_fine)  # skipped, so it is no run


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [("after:_fail", "failed")]),
        ({"record": "all"}, [("after:_fail", "failed"), ("after:_fine", "succeeded")]),
        ({"record": "none"}, []),
        ({"slow": 0}, [("after:_fail", "failed"), ("after:_fine", "succeeded")]),
    ],
)
async def test_callbacks_are_recorded_when_they_fail_or_are_slow(
    settings: dict[str, Any], kept: list[tuple[str, str]]
) -> None:
    """Under a name that no job can have."""
    assert await states(handler, **settings) == kept


async def test_a_record_says_what_went_wrong() -> None:
    work = new_work()
    await serve(AfterMiddleware(answering(lambda: after(_fail)), work))
    await until(lambda: not work.pipeline.queues)

    (run,) = work.store.runs()

    assert (run.trigger, run.error, run.attempt) == ("after", "RuntimeError: broken", 1)
    assert run.worker == work.dispatch.worker
    assert run.ended_at is not None


async def test_without_its_store_a_callback_is_as_ever(caplog: Any) -> None:
    work = new_work(store=Broken())
    await serve(AfterMiddleware(answering(lambda: after(_fail)), work))
    await until(lambda: not work.pipeline.queues)

    assert {"store.error", "run.failed"} <= set(events(caplog))


async def test_a_middleware_with_a_store_records_without_jobs() -> None:
    store = MemoryStore()
    app = AfterMiddleware(answering(lambda: after(_fail)), store=store)
    await serve(app)
    await until(lambda: not app.pipeline.queues)

    assert [run.job for run in store.runs()] == ["after:_fail"]


async def test_a_run_knows_what_set_it_off() -> None:
    work = new_work()
    seen: list[Any] = []

    @work.job(overlap="skip")
    def job() -> None:
        run = current_run()
        seen.append((run.trigger, run.last_success, run.payload, run.delivery))
        seen.append(run.fencing_token)

    await work.run(job)
    await work.run(job)

    assert seen[0] == ("manual", None, None, None)
    assert seen[2][1] is not None
    assert seen[1] < seen[3]


def test_an_error_is_described_whatever_it_is() -> None:
    """Class and text, not too long; also where the text cannot be had."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(ValueError("x" * 5000)) == "ValueError: " + "x" * 1988
    assert describe(ValueError()) == "ValueError"
    assert describe(Odd()).endswith("Odd: (its text cannot be had)")
