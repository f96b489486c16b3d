"""Dead letters: of the journal, and of an engine."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from afterwork import Afterwork, MemoryStore, Retry, after, current_run
from afterwork._dead_letters import PREFIX
from afterwork._redact import HIDDEN, LONGEST_TEXT, arguments, redacted
from afterwork.engines import Envelope
from afterwork.errors import PermanentFailure
from afterwork.testing import MemoryEngine
from tests.journal.support import durable, enqueue, serving, states
from tests.support import until


def failing(work: Afterwork) -> Any:
    @work.job(durable=True, retry=Retry(2, delay=0.001))
    async def login(user: str, password: str, *more: Any, options: Any = None) -> None:
        raise PermanentFailure("no")

    return login


async def dead(work: Afterwork, number: int) -> list[str]:
    """So many letters, the newest first."""
    job = failing(work)
    ids = [
        await after.enqueue(job, f"user{n}", "hunter2", 1, 2, options={"token": "t", "n": n})
        for n in range(number)
    ]
    async with serving(work):
        await until(lambda: len(work.store.runs(state="failed")) == number)
    return sorted(ids, reverse=True)


@pytest.fixture(params=["journal", "engine"])
def work(request: pytest.FixtureRequest) -> Afterwork:
    if request.param == "journal":
        return Afterwork(store=MemoryStore())
    return Afterwork(store=MemoryStore(), engine=MemoryEngine())


async def test_they_are_listed_with_their_arguments_and_no_secrets(work: Afterwork) -> None:
    (run,) = await dead(work, 1)
    (letter,) = await work.dead_letters()
    assert (letter.id, letter.job, letter.attempts) == (run, "login", 1)
    assert letter.error == "PermanentFailure: no"
    assert letter.died_at is not None
    assert letter.died_at >= letter.enqueued_at
    assert letter.arguments == {
        "user": "user0",
        "password": HIDDEN,
        "more": 1,
        "more 2": 2,
        "options": {"token": HIDDEN, "n": 0},
    }
    assert "hunter2" not in repr(letter)


async def test_pages(work: Afterwork) -> None:
    ids = await dead(work, 3)
    first = await work.dead_letters(limit=2)
    assert [each.id for each in first] == ids[:2]
    second = await work.dead_letters(limit=2, before=first[-1].id)
    assert [each.id for each in second] == ids[2:]
    assert await work.dead_letters(job="other") == []
    assert len(await work.dead_letters(job=work.jobs[0])) == 3


async def test_a_retry_is_a_new_call_with_all_its_attempts(work: Afterwork) -> None:
    attempts: list[tuple[str, int]] = []

    @work.job(durable=True, retry=Retry(2, delay=0.001))
    async def job() -> None:
        attempts.append((current_run().id, current_run().attempt))
        raise ValueError

    run = await enqueue(job, key="k")
    async with serving(work):
        await until(lambda: len(attempts) == 2)
        await until(lambda: work.store.runs(state="failed"))
    (letter,) = await work.dead_letters()
    (new,) = await work.retry_dead(run, "unknown", run)
    assert new != run
    assert await work.dead_letters() == []
    async with serving(work):
        await until(lambda: len(attempts) == 4)
        await until(lambda: len(work.store.runs(state="failed")) == 2)
    assert attempts == [(run, 1), (run, 2), (new, 1), (new, 2)]
    assert [each.id for each in await work.dead_letters()] == [new]
    assert letter.attempts == 2


async def test_deleting(work: Afterwork) -> None:
    ids = await dead(work, 2)
    assert await work.delete_dead(ids[0], "unknown") == 1
    assert [each.id for each in await work.dead_letters()] == ids[1:]
    assert await work.retry_dead(ids[0]) == []


async def test_a_letter_that_cannot_be_read_is_left_alone() -> None:
    work = Afterwork(store=MemoryStore())
    durable(work)
    good = Envelope(id="x", job="gone", payload="no json")
    work.store.put(f"{PREFIX}x", good.to_json())
    work.store.put(f"{PREFIX}y", "garbage")
    (letter,) = await work.dead_letters()
    assert letter.arguments == {"payload": "[not readable]"}
    assert (letter.error, letter.died_at) == (None, None)
    (new,) = await work.retry_dead("x")
    assert states(work.store) == {new: "waiting"}
    assert list(work.store.notes(PREFIX)) == [f"{PREFIX}y"]


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("password", True),
        ("db_passwd", True),
        ("PWD", True),
        ("clientSecret", True),
        ("access_token", True),
        ("apiKey", True),
        ("api-key", True),
        ("Authorization", True),
        ("pin", True),
        ("card_pin", True),
        ("private_key", True),
        ("shipping", False),
        ("opinion", False),
        ("key", False),
        ("name", False),
    ],
)
def test_which_names_are_secret(name: str, hidden: bool) -> None:
    assert (redacted({name: "v"}) == {name: HIDDEN}) is hidden
    assert arguments(json.dumps([["v"], {}]), [name]) == {name: HIDDEN if hidden else "v"}


def test_the_rest_of_the_arguments_is_as_secret_as_their_name() -> None:
    payload = '[[1, "a", "b"], {}]'
    shown = {"n": 1, "tokens": HIDDEN, "tokens 2": HIDDEN}
    assert arguments(payload, ["n", "tokens"]) == shown
    assert arguments(payload, []) == {"argument 1": 1, "argument 2": "a", "argument 3": "b"}


async def test_a_revived_letter_leaves_the_others_of_an_engine_alone() -> None:
    work = Afterwork(store=MemoryStore(), engine=MemoryEngine())
    ids = await dead(work, 2)
    assert len(await work.retry_dead(ids[0])) == 1
    assert [each.id for each in await work.dead_letters()] == ids[1:]


async def test_where_a_call_of_an_engine_stands() -> None:
    work = Afterwork(store=MemoryStore(), engine=MemoryEngine())
    started, go = asyncio.Event(), asyncio.Event()

    @work.job(durable=True, retry=Retry(2, delay=60))
    async def job(fails: bool) -> int:
        started.set()
        await go.wait()
        if fails:
            raise ValueError
        return 7

    async def state(run: str) -> Any:
        found = await work.status(run)
        return found and (found.state, found.attempt, found.result)

    assert await state("unknown") is None
    good = await enqueue(job, False)
    assert await state(good) == ("waiting", 1, None)
    async with serving(work):
        await started.wait()
        assert await state(good) == ("running", 1, None)
        bad = await enqueue(job, True)
        go.set()
        await until(lambda: len(work.store.runs(state="failed")) == 1)
        await until(lambda: work.store.notes("result:"))
        assert await state(good) == ("succeeded", 1, 7)
    assert await state(bad) == ("waiting", 2, None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:secret@host/0", f"redis://:{HIDDEN}@host/0"),
        ("see postgres://u:p@ss@host/db now", f"see postgres://u:{HIDDEN}@host/db now"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("x" * LONGEST_TEXT, "x" * LONGEST_TEXT),
        ("x" * 500, "x" * LONGEST_TEXT + "..."),
    ],
)
def test_what_is_shown_of_a_text(text: str, shown: str) -> None:
    assert redacted([text]) == [shown]


@pytest.mark.parametrize("payload", ["no json", "[1]", "[1, 2]", "[[], []]", "null", "5"])
def test_arguments_that_cannot_be_read(payload: str) -> None:
    assert arguments(payload, ["a"]) == {"payload": "[not readable]"}
