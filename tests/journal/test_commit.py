"""Calls that count only if a database transaction does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from afterwork import Afterwork, SQLiteStore, _commit, after
from afterwork._commit import COMMITTED, OPEN, ROLLED_BACK, Transaction
from afterwork._loop import current_loop
from afterwork.errors import InvalidOptionError
from afterwork.testing import drain
from tests.journal.support import durable, order, states
from tests.schedules.rows import ROOT
from tests.support import events, fields, until


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (id INTEGER)"))
    yield engine
    engine.dispose()


def insert(session: Session) -> None:
    session.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))


# -- what is known of a session


def test_it_follows_a_plain_session(engine: Any) -> None:
    session = Session(engine)
    early = Transaction(session)  # before anything has begun
    insert(session)
    late = Transaction(session)
    session.flush()
    assert (early.state, late.state) == (OPEN, OPEN)
    session.commit()
    assert (early.state, late.state) == (COMMITTED, COMMITTED)
    insert(session)
    second = Transaction(session)
    session.rollback()
    insert(session)
    third = Transaction(session)
    session.close()
    assert (second.state, third.state) == (ROLLED_BACK, ROLLED_BACK)
    assert early.state == COMMITTED


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("commit", "commit", COMMITTED),
        ("commit", "rollback", ROLLED_BACK),
        ("rollback", "commit", ROLLED_BACK),
    ],
)
def test_a_savepoint_takes_with_it_what_was_made_inside(
    engine: Any, inner: str, outer: str, expected: str
) -> None:
    session = Session(engine)
    insert(session)
    outside = Transaction(session)
    savepoint = session.begin_nested()
    inside = Transaction(session)
    deeper_savepoint = session.begin_nested()
    deeper = Transaction(session)
    deeper_savepoint.commit()
    assert deeper.state == OPEN
    getattr(savepoint, inner)()
    after_it = Transaction(session)
    assert (outside.state, after_it.state) == (OPEN, OPEN)
    assert inside.state == deeper.state == (OPEN if inner == "commit" else ROLLED_BACK)
    getattr(session, outer)()
    whole = COMMITTED if outer == "commit" else ROLLED_BACK
    assert (outside.state, after_it.state) == (whole, whole)
    assert (inside.state, deeper.state) == (expected, expected)
    session.close()


def test_a_session_is_listened_to_once_however_many_calls_it_makes(engine: Any) -> None:
    session = Session(engine)
    for _ in range(5):
        for _ in range(3):
            Transaction(session)
        session.commit()
        assert session.info[_commit.WATCHED] == []
    listening = [session.dispatch.after_commit, session.dispatch.after_transaction_end]
    assert [len(each) for each in listening] == [1, 1]
    other = Session(engine)
    assert not event.contains(other, "after_commit", _commit._after_commit)
    session.close()


def test_registries_mean_the_session_of_this_thread(engine: Any) -> None:
    registry = scoped_session(sessionmaker(engine))
    call = Transaction(registry)
    insert(registry())
    registry.commit()
    assert call.state == COMMITTED
    registry.remove()


async def test_async_sessions_and_their_registries(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    make = async_sessionmaker(engine)
    for session in (make(), async_scoped_session(make, asyncio.current_task)):
        call = Transaction(session)
        await session.execute(sqlalchemy.text("SELECT 1"))
        await session.commit()
        assert call.state == COMMITTED
        await session.execute(sqlalchemy.text("SELECT 1"))
        dropped = Transaction(session)
        await session.close()
        assert dropped.state == ROLLED_BACK
    await engine.dispose()


async def test_one_that_is_decided_in_a_thread_wakes_who_waits(engine: Any) -> None:
    session = Session(engine)
    insert(session)
    call = Transaction(session)
    waiting = asyncio.create_task(call.decided(here()))
    await asyncio.sleep(0)
    await asyncio.to_thread(session.commit)
    assert await waiting
    session.close()


async def test_one_that_stays_open_is_not_waited_for_for_ever(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_commit, "WAIT_SECONDS", 0.01)
    session = Session(engine)
    insert(session)
    assert not await Transaction(session).decided(here())
    session.close()


def here() -> Any:
    return current_loop()


class Connection:
    """As Django's: it knows whom to call, and forgets that at a rollback."""

    def __init__(self) -> None:
        self.run_on_commit: list[Any] = []

    def on_commit(self, call: Any) -> None:
        self.run_on_commit.append((set(), call, False))

    def commit(self) -> None:
        calls, self.run_on_commit = self.run_on_commit, []
        for _, call, _ in calls:
            call()


class Proxy:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        assert name == "on_commit", "another thread would find another connection behind it"
        return getattr(self._connection, name)


async def test_a_connection_that_tells_of_its_commit() -> None:
    connection = Connection()
    kept, other = Transaction(Proxy(connection)), Transaction(connection)
    asyncio.get_running_loop().call_later(0.01, connection.commit)
    assert await kept.decided(here())
    assert await other.decided(here())
    dropped = Transaction(Proxy(connection))
    connection.run_on_commit = []
    assert not await dropped.decided(here())
    assert dropped.state == ROLLED_BACK


class Plain:
    """One that says nothing of rollbacks, and commits at once."""

    on_commit = staticmethod(lambda call: call())


async def test_a_connection_without_a_transaction_commits_at_once() -> None:
    assert Transaction(Plain()).state == COMMITTED
    assert await Transaction(Plain()).decided(here())


async def test_an_alias_means_the_connection_of_django(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection()
    django = SimpleNamespace(connections={"default": connection})
    monkeypatch.setitem(sys.modules, "django.db", django)
    call = Transaction("default")
    connection.commit()
    assert call.state == COMMITTED


@pytest.mark.parametrize("wrong", [5, object(), "default", sessionmaker, {"a": 1}])
def test_what_is_no_transaction_is_refused_at_the_call(
    wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "django.db", raising=False)
    with pytest.raises(InvalidOptionError, match="commit must be a SQLAlchemy Session"):
        Transaction(wrong)


def test_without_sqlalchemy_no_session_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sqlalchemy.event")
    with pytest.raises(InvalidOptionError):
        Transaction(Session())


# -- in requests


@pytest.fixture
def work(tmp_path: Path) -> Afterwork:
    return Afterwork(store=SQLiteStore(tmp_path / "a.db"))


async def test_a_call_counts_if_the_request_commits(work: Afterwork, engine: Any) -> None:
    job, seen = durable(work)
    session = Session(engine)

    def handler() -> None:
        insert(session)
        after(job, "committed", commit=session)
        session.commit()
        insert(session)
        after.options(commit=session)(job, "rolled back")
        session.rollback()
        after(job, "anyway")

    await order(work, lambda: asyncio.to_thread(handler))
    await until(lambda: len(seen) == 2)
    await drain()
    assert sorted(seen) == ["anyway", "committed"]
    await until(lambda: states(work.store) == {})
    session.close()


async def test_a_commit_before_the_response_is_written_before_it(
    work: Afterwork, engine: Any
) -> None:
    work_off = Afterwork(store=work.store, worker=False)
    job, _ = durable(work_off)
    session = Session(engine)

    def handler() -> None:
        after(job, 1, commit=session)
        session.commit()

    await order(work_off, handler)
    assert len(states(work.store)) == 1
    session.close()


async def test_a_commit_after_the_response_counts_too(work: Afterwork, engine: Any) -> None:
    """As of a framework's dependency that commits once the response is out."""
    job, seen = durable(work)
    session = Session(engine)
    insert(session)
    await order(work, lambda: after(job, 1, commit=session) and None)
    assert seen == []
    session.commit()
    await until(lambda: seen == [1])
    await drain()
    session.close()


async def test_a_call_after_the_commit_is_written_before_the_response(
    work: Afterwork, engine: Any
) -> None:
    """The session has no transaction then, so that none could be waited for."""
    work_off = Afterwork(store=work.store, worker=False)
    job, _ = durable(work_off)
    session = Session(engine)

    def handler() -> None:
        insert(session)
        session.commit()
        after(job, 1, commit=session)

    await order(work_off, handler)
    assert len(states(work.store)) == 1
    session.close()


@pytest.mark.parametrize(("status", "level"), [(200, "WARNING"), (409, "DEBUG")])
async def test_a_call_that_is_rolled_back_is_a_warning_where_the_client_had_a_success(
    work: Afterwork, engine: Any, caplog: Any, status: int, level: str
) -> None:
    """Such as one in the transaction that reading an attribute after the commit began."""
    job, seen = durable(work)

    def handler() -> None:
        with Session(engine) as session:
            insert(session)
            session.commit()
            insert(session)
            after(job, 1, commit=session)

    caplog.set_level("DEBUG", "afterwork")
    await order(work, handler, status)
    await drain()
    assert seen == []
    levels = [each.levelname for each in caplog.records if "after.withdrawn" in each.getMessage()]
    assert levels == [level]


async def test_a_call_whose_transaction_stays_open_is_dropped_and_said(
    work: Afterwork, engine: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_commit, "WAIT_SECONDS", 0.02)
    job, seen = durable(work)
    session = Session(engine)
    insert(session)
    await order(work, lambda: after(job, 1, commit=session) and None)
    await drain()
    assert seen == []
    assert fields(caplog, "after.withdrawn")["reason"] == "its transaction is open"
    session.close()


async def test_a_wrong_one_is_an_error_in_the_handler(work: Afterwork) -> None:
    job, _ = durable(work)
    errors: list[BaseException] = []

    def handler() -> None:
        try:
            after(job, 1, commit="a wrong thing")
        except InvalidOptionError as error:
            errors.append(error)

    await order(work, handler)
    assert len(errors) == 1
    trace = errors[0].__traceback__
    assert trace is not None
    assert trace.tb_frame.f_code is handler.__code__


async def test_an_async_session_in_a_handler(work: Afterwork, tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'b.db'}")
    job, seen = durable(work)

    async def handler() -> None:
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(sqlalchemy.text("SELECT 1"))
            after(job, 1, commit=session)

    await order(work, handler)
    await until(lambda: seen == [1])
    await drain()
    await engine.dispose()


def test_django_by_its_alias(tmp_path: Path) -> None:
    """In a process of its own, since its settings are for all of it."""
    command = [sys.executable, "-m", "tests.journal.django_orders", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["auto", "committed", "outer"], done.stderr


def test_events_say_nothing_of_what_was_rolled_back(caplog: Any) -> None:
    assert events(caplog) == []


async def test_enqueue_knows_no_commit() -> None:
    """It writes at once, so there is nothing that it could wait for."""
    work = Afterwork(store="memory:")
    job, _ = durable(work)
    with pytest.raises(InvalidOptionError, match="call enqueue\\(\\) after the commit"):
        await after.options(commit="default").enqueue(job, 1)
