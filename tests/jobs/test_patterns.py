"""Patterns that everybody writes by hand: once, and in batches."""

from __future__ import annotations

from typing import Any

import pytest

from afterwork.errors import DurationSyntaxError, InvalidOptionError, NoRunError
from tests.jobs.support import new_work

SET = list(range(10))


async def test_once_is_true_for_the_first() -> None:
    work = new_work()
    firsts: list[bool] = []
    for _ in range(2):
        async with work.once("mail:17", ttl="1h") as first:
            firsts.append(first)
    with work.once("mail:17") as first:
        firsts.append(first)
    with work.once("mail:18") as first:
        firsts.append(first)
    assert firsts == [True, False, False, True]

    work.pipeline.clock.advance(3601)  # type: ignore[attr-defined]
    async with work.once("mail:17") as first:
        assert first


async def test_what_failed_was_not_done() -> None:
    work = new_work()
    for _ in range(2):
        with pytest.raises(RuntimeError), work.once("mail:17") as first:
            assert first
            raise RuntimeError
        with pytest.raises(RuntimeError):
            async with work.once("mail:17") as first:
                assert first
                raise RuntimeError
    async with work.once("mail:17"):
        with pytest.raises(RuntimeError), work.once("mail:17") as first:
            raise RuntimeError  # somebody else's failure frees nothing
        with pytest.raises(RuntimeError):
            async with work.once("mail:17"):
                raise RuntimeError
        with work.once("mail:17") as first:
            assert not first


@pytest.mark.parametrize(
    ("key", "ttl", "error"),
    [
        ("", 1, InvalidOptionError),
        (5, 1, InvalidOptionError),
        ("a", 0, InvalidOptionError),
        ("a", "1 hour", DurationSyntaxError),
    ],
)
def test_once_takes_a_key_and_a_time(key: Any, ttl: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        new_work().once(key, ttl=ttl)


def fetch(cursor: Any) -> tuple[list[int], Any]:
    """Three at a time."""
    begin = cursor or 0
    items = SET[begin : begin + 3]
    return items, begin + 3 if items else None


async def fetch_later(cursor: Any) -> tuple[list[int], Any]:
    return fetch(cursor)


@pytest.mark.parametrize("how", [fetch, fetch_later])
async def test_a_set_is_worked_through_over_several_runs(how: Any) -> None:
    """Each run does what it has time for, and the next one goes on."""
    work = new_work()
    seen: list[list[int]] = []

    @work.job(timeout=10)
    async def job() -> None:
        async for batch in work.batches(how):
            seen.append(batch)
            work.pipeline.clock.advance(4)  # type: ignore[attr-defined]

    await work.run(job)
    assert seen == [[0, 1, 2]]  # six seconds are left, which is just one and a half batches
    await work.run(job)
    await work.run(job)
    await work.run(job)
    assert seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    await work.run(job)
    assert seen[4:] == []  # the end of the set
    await work.run(job)
    assert seen[4:] == [[0, 1, 2]]  # and from its beginning again


async def test_a_sync_job_has_batches_too() -> None:
    work = new_work()
    seen: list[int] = []

    @work.job
    def job() -> None:
        for batch in work.batches(fetch, key="own"):
            seen.extend(batch)

    await work.run(job)
    assert seen == SET
    assert work.store.get("batches:own") is None


@pytest.mark.parametrize("sync", [True, False])
async def test_a_batch_that_failed_is_given_again(sync: bool) -> None:
    work = new_work()
    seen: list[int] = []

    def take(batch: list[int]) -> None:
        seen.extend(batch)
        if len(seen) == 6:
            raise RuntimeError

    if sync:

        @work.job(name="job")
        def job() -> None:
            for batch in work.batches(fetch):
                take(batch)
    else:

        @work.job(name="job")
        async def ajob() -> None:
            async for batch in work.batches(fetch):
                take(batch)

    assert (await work.run("job")).outcome == "failed"
    assert (await work.run("job")).outcome == "succeeded"
    assert seen == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9]


async def test_no_batch_is_begun_once_the_run_should_stop() -> None:
    work = new_work()
    seen: list[int] = []

    @work.job
    def job() -> None:
        from afterwork._current import current_work

        for batch in work.batches(fetch):
            seen.extend(batch)
            running = current_work.get()
            assert running is not None
            running.cut = "lease lost"

    await work.run(job)
    assert seen == [0, 1, 2]


def test_batches_belong_into_a_job() -> None:
    with pytest.raises(NoRunError):
        list(new_work().batches(fetch))
