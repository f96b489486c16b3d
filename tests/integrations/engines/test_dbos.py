"""DBOS as the engine, on a PostgreSQL server and on a SQLite file."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import uuid4

import pysqlite3.dbapi2 as newer_sqlite
import pytest
import sqlalchemy as sa
from afterwork_integrations.dbos import DBOSEngine, _process, _worker, step, sync_step
from afterwork_integrations.dbos._errors import engine_errors
from afterwork_integrations.dbos._json import JSON, StepError
from afterwork_integrations.dbos._locks import FileLock, ServerLock
from afterwork_integrations.dbos._worker import Worker
from dbos import DBOS
from dbos._core import execute_dequeued_workflow
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from afterwork import Afterwork, Retry, after
from afterwork.engines import Engine, Envelope
from afterwork.errors import EngineError, InvalidOptionError, PayloadError
from afterwork.testing._engine_tests import EngineTests
from afterwork.testing.engine_contract import EngineContract
from tests.services import Proxy, database_url

SCHEMA = "test_dbos"
"""Making DBOS's tables takes a second, so the tests share them, and have queues of their own."""


def on_postgresql(**options: Any) -> DBOSEngine:
    """A new, empty queue."""
    settings: dict[str, Any] = {
        "queue": f"q-{uuid4().hex}",
        "schema": SCHEMA,
        "poll": 0.05,
        "silent": 2.0,
    }
    settings["url"] = database_url()
    return DBOSEngine(**(settings | options))


def on_sqlite(folder: Path, **options: Any) -> DBOSEngine:
    """The same. Debian 12 has an older SQLite than DBOS needs."""
    settings: dict[str, Any] = {"poll": 0.05, "silent": 2.0, "sqlite": newer_sqlite}
    return DBOSEngine(f"sqlite:///{folder}/{uuid4().hex}.db", **(settings | options))


class DBOSContract(EngineContract):
    async def put_garbage(self, engine: Engine, text: str) -> bool:
        assert isinstance(engine, DBOSEngine)
        _, client = engine._place.opened()
        await client.enqueue_async(
            {"workflow_name": "afterwork", "queue_name": engine.queue, "app_version": "afterwork"},
            text,
        )
        return True

    @asynccontextmanager
    async def transaction(self, engine: Engine) -> AsyncIterator[Any]:
        assert isinstance(engine, DBOSEngine)
        database, _ = engine._place.opened()
        with database.begin() as connection:
            yield connection


class TestOnPostgreSQL(DBOSContract):
    def make_engine(self) -> DBOSEngine:
        return on_postgresql()


class TestOnSQLite(DBOSContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_engine(self) -> DBOSEngine:
        return on_sqlite(self.folder)


# -- steps


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> DBOSEngine:
    return on_postgresql() if request.param == "postgresql" else on_sqlite(tmp_path)


class Steps(EngineTests):
    """Makes sites with an engine that is there already."""

    def __init__(self, engine: DBOSEngine) -> None:
        self.engine = engine

    def make_engine(self) -> DBOSEngine:
        return self.engine


async def test_an_attempt_remembers_the_steps_of_those_before(engine: DBOSEngine) -> None:
    """Those that returned. One that failed runs again, and its own error is the job's. Async and
    sync steps; what they return goes through JSON the first time too."""
    async with Steps(engine).site() as site:
        ran: list[str] = []
        seen: list[Any] = []

        async def one(x: int) -> tuple[int, int]:
            ran.append("one")
            return x, x

        def two(*, y: int) -> int:
            ran.append("two")
            return y

        async def flaky() -> None:
            ran.append("flaky")
            if ran.count("flaky") == 1:
                raise LookupError("not yet")

        def sync_flaky() -> None:
            ran.append("sync flaky")
            if ran.count("sync flaky") == 1:
                raise LookupError("not yet")

        @site.work.job(durable=True, retry=Retry(5, delay=0.01, backoff="fixed"))
        async def job() -> None:
            seen.append((await step("one", one, 1), await step("two", two, y=2)))
            try:
                await step("flaky", flaky)
            except LookupError as error:
                seen.append(str(error))
                raise
            await step("sync flaky", sync_flaky)

        run_id = await after.enqueue(job)
        async with site.serving():
            record = await site.ended(run_id)

        assert record.attempt == 3
        assert ran == ["one", "two", "flaky", "flaky", "sync flaky", "sync flaky"]
        assert seen == [([1, 1], 2), "not yet", ([1, 1], 2), ([1, 1], 2)]
        assert rows(engine) == 0


async def test_sync_jobs_have_steps(engine: DBOSEngine) -> None:
    """In their threads."""
    async with Steps(engine).site() as site:
        ran: list[str] = []

        def part(name: str) -> str:
            ran.append(name)
            if ran == ["a", "b"]:
                raise LookupError(name)
            return name

        @site.work.job(durable=True, retry=Retry(3, delay=0.01, backoff="fixed"))
        def job() -> None:
            assert sync_step("a", part, "a") == "a"
            sync_step("b", part, "b")

        run_id = await after.enqueue(job)
        async with site.serving():
            await site.ended(run_id)

        assert ran == ["a", "b", "b"]


async def test_a_step_that_returns_no_json_fails(engine: DBOSEngine) -> None:
    """With an error that names the step and not the value."""
    async with Steps(engine).site() as site:
        errors: list[str] = []

        @site.work.job(durable=True)
        async def job() -> None:
            try:
                await step("wrong", object)
            except PayloadError as error:
                errors.append(str(error))

        run_id = await after.enqueue(job)
        async with site.serving():
            await site.ended(run_id)

        assert errors == [
            "what the step 'wrong' returned must be what JSON can say; it is a object."
        ]


async def test_dbos_own_steps_work_in_a_job(engine: DBOSEngine) -> None:
    """What they return is kept as JSON; an error comes back as text. The loop's own threads work
    when DBOS has gone."""
    async with Steps(engine).site() as site:

        @DBOS.step()
        async def own(x: int) -> int:
            return x

        @site.work.job(durable=True)
        async def job() -> None:
            site.seen.append(await own(7))

        run_id = await after.enqueue(job)
        async with site.serving():
            await site.ended(run_id)

        assert site.seen == [7]
        assert await asyncio.to_thread(lambda: 3) == 3


def test_values_and_errors_are_json() -> None:
    """Nothing is pickled."""
    assert JSON().deserialize(JSON().serialize([1, None])) == [1, None]
    error = JSON().deserialize(JSON().serialize(LookupError("x")))
    assert isinstance(error, StepError)
    assert str(error) == "LookupError: x"
    assert JSON().name() == "afterwork_json"


async def test_without_a_worker_a_step_is_a_call() -> None:
    """As in tests, or on another engine."""

    async def double(x: int) -> int:
        return 2 * x

    assert await step("a", double, 2) == 4
    assert await step("b", divmod, 7, 2) == (3, 1)
    assert sync_step("c", divmod, 7, 2) == (3, 1)


# -- what is written


def rows(engine: DBOSEngine) -> int:
    """How many rows of DBOS's there are of a queue, and of its steps and inputs."""
    database, _ = engine._place.opened()
    with database.connect() as connection:
        count = connection.execute(
            sa.text(
                f"SELECT count(*) FROM {engine._place.prefix}workflow_status WHERE queue_name = :q"
            ),
            {"q": engine.queue},
        ).scalar()
    assert isinstance(count, int)
    return count


async def test_sqlite_has_the_settings_that_dbos_does_not_make(tmp_path: Path) -> None:
    """WAL, a wait for locks, and what is committed is on the disk."""
    engine = on_sqlite(tmp_path, timeout=2.0)
    database, _ = engine._place.opened()
    with database.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "synchronous")
        ]
        dbapi: Any = connection.connection.dbapi_connection
        assert dbapi.isolation_level == "IMMEDIATE"
    assert found == ["wal", 2000, 2]
    await engine.close()


async def test_a_transaction_of_sqlalchemys_asyncio_takes_calls_in(engine: DBOSEngine) -> None:
    """Rolled back, there is nothing. With a key too. Anything else is refused."""
    async with Steps(engine).site() as site:
        database, _ = engine._place.opened()
        with Session(database) as session:
            first = await site.call("first", key="k", connection=session)
            assert await site.call("second", key="k", connection=session) == first
            session.rollback()
        assert rows(engine) == 0
        if engine._place.file is None:
            url = engine._place.url
            other = create_async_engine(url)
            async with other.connect() as connection:
                await site.call("third", key="k", connection=connection)
                await connection.rollback()
            await other.dispose()
            assert rows(engine) == 0
        with pytest.raises(InvalidOptionError, match="of SQLAlchemy"):
            await site.call("x", connection=object())


async def test_two_with_one_key_at_the_same_moment_are_one(engine: DBOSEngine) -> None:
    """Also where one finds the other only as it writes."""
    async with Steps(engine).site() as site:
        owner = engine._calls._owner
        blind = iter([True])

        def at_first_none(connection: Any, key: str) -> str | None:
            return None if next(blind, False) else owner(connection, key)

        first = await site.call("first", key="k")
        engine._calls._owner = at_first_none  # type: ignore[method-assign]
        assert await site.call("second", key="k") == first


async def test_who_lost_a_call_writes_nothing_about_it(engine: DBOSEngine) -> None:
    """And a call that failed for DBOS is one that failed."""
    async with Steps(engine).site() as site:
        run_id = await site.call("x")
        engine._calls.hand_over(f"{run_id}:1", "nobody", None)
        assert await engine.status(run_id) == "waiting"
        assert await engine.cancel(run_id)
        assert await engine.status(run_id) is None


# -- workers


async def test_what_a_dead_worker_had_is_put_back(engine: DBOSEngine) -> None:
    """Not what one has that lives, nor what this one has."""
    async with Steps(engine).site() as site:
        run_id = await site.call("x")
        database, _ = engine._place.opened()
        with database.begin() as connection:
            connection.execute(
                sa.text(
                    f"UPDATE {engine._place.prefix}workflow_status SET status = 'PENDING', "
                    "executor_id = 'the dead', owner_xid = 'the dead', recovery_attempts = 1 "
                    "WHERE queue_name = :q"
                ),
                {"q": engine.queue},
            )
        living = None
        if engine._place.file is None:
            living = ServerLock(database, "the dead", 2.0)
            assert await asyncio.to_thread(living.take)
            assert await asyncio.to_thread(living.take)
        async with site.serving():
            if living is not None:
                await asyncio.sleep(1.0)
                assert site.seen == []
                await asyncio.to_thread(living.release)
            await site.ended(run_id)
        assert site.seen == ["x"]


async def test_a_call_that_killed_all_its_workers_is_given_up(engine: DBOSEngine) -> None:
    """It becomes a dead letter."""
    async with Steps(engine).site() as site:
        run_id = await site.call("x")
        database, _ = engine._place.opened()
        with database.begin() as connection:
            connection.execute(
                sa.text(
                    f"UPDATE {engine._place.prefix}workflow_status SET recovery_attempts = 11 "
                    "WHERE queue_name = :q"
                ),
                {"q": engine.queue},
            )
        async with site.serving():
            await site.ended(run_id, "failed")
        assert site.seen == []


async def test_one_process_serves_a_file_and_the_next_stands_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is gone, or it is told to stop itself."""
    monkeypatch.setattr(_worker, "STANDBY_SECONDS", 0.05)
    engine = on_sqlite(tmp_path)
    file = engine._place.file
    assert file is not None
    other = FileLock(file, "other")
    assert other.take()
    assert other.take()
    async with Steps(engine).site() as site:
        run_id = await site.call("x")
        async with site.serving():
            await asyncio.sleep(0.3)
            assert site.seen == []
        async with site.serving():
            other.release()
            other.release()
            await site.ended(run_id)


async def test_without_flock_a_file_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    engine = on_sqlite(tmp_path)
    Afterwork(engine=engine, store="memory:").engine  # noqa: B018
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(EngineError, match="no flock on this system. Use PostgreSQL"):
        await engine.serve(concurrency=1, stop=asyncio.sleep(5))
    await engine.close()


async def test_a_second_dbos_in_a_process_is_refused(tmp_path: Path) -> None:
    """There can be only one, and it may be the app's own."""
    engine = on_sqlite(tmp_path)
    async with Steps(on_sqlite(tmp_path)).site() as site, site.serving():
        await site.ended(await site.call("x"))
        Afterwork(engine=engine, store="memory:").engine  # noqa: B018
        with pytest.raises(EngineError, match="there is a DBOS in this process already"):
            await engine.serve(concurrency=1, stop=asyncio.sleep(5))
    await engine.close()


async def test_serving_what_no_afterwork_has_is_refused(tmp_path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(EngineError, match="no Afterwork has it"):
        await on_sqlite(tmp_path).serve(concurrency=1, stop=asyncio.sleep(0))


async def test_a_line_that_is_cut_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and the calls run later."""
    with Proxy(database_url(), 5432) as proxy:
        engine = on_postgresql(queue=f"q-{uuid4().hex}", url=proxy.url)
        async with Steps(engine).site() as site:
            async with site.serving():
                await site.ended(await site.call("before"))
                with pytest.MonkeyPatch.context() as patch:
                    cut = OperationalError("SELECT", {}, OSError("the line was cut"))
                    failing = Failing(2, cut)
                    for owner, name in (
                        (engine._calls, "hand_over"),
                        (engine._calls, "executors"),
                        (next(iter(engine._workers))._process, "take"),
                    ):
                        patch.setattr(owner, name, failing.before(getattr(owner, name)))
                    proxy.cut()
                    run_id = await site.call("after")
                    await site.ended(run_id)
                    await site.until(lambda: rows(engine) == 0 and failing.left <= 0)
            assert "engine.unreachable" in caplog.text


class Failing:
    """Makes functions fail a few times each before they work."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.left = times, error, 0

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """That function, failing first."""
        failures = iter(range(self.times))
        self.left += self.times

        def called(*args: Any) -> Any:
            if next(failures, None) is not None:
                self.left -= 1
                raise self.error
            return call(*args)

        return called


async def test_what_is_lost_on_its_way_is_put_back(
    engine: DBOSEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was taken and did not begin."""
    lost = Failing(1, RuntimeError("it did not begin"))
    begin = lost.before(execute_dequeued_workflow)
    monkeypatch.setattr(_process, "execute_dequeued_workflow", begin)
    async with Steps(engine).site() as site:
        run_id = await site.call("x")
        async with site.serving():
            await site.ended(run_id)
        assert lost.left == 0


async def test_a_launch_that_fails_leaves_no_dbos_behind(
    engine: DBOSEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one works."""
    async with Steps(engine).site() as site:
        with monkeypatch.context() as patch:
            patch.setattr(DBOS, "launch", Failing(1, OSError("no more threads")).before(print))
            with pytest.raises(EngineError, match="could not launch DBOS: no more threads"):
                await engine.serve(concurrency=1, stop=asyncio.sleep(5))
        stop = asyncio.ensure_future(asyncio.sleep(0))
        await engine.serve(concurrency=1, stop=stop)
        await site.nothing_else()


async def test_an_end_that_cannot_be_written_is_said(
    engine: DBOSEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the worker had is found by the next."""
    async with Steps(engine).site() as site:
        async with site.serving():
            await site.ended(await site.call("x"))
            worker = next(iter(engine._workers))
            cut = OperationalError("UPDATE", {}, OSError("the line was cut"))
            monkeypatch.setattr(worker, "_calls", Cut(cut))
        assert "the line was cut" in caplog.text
        monkeypatch.undo()
        await site.nothing_else()


class Cut:
    """Calls to which there is no line."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def give_back(self, *args: object) -> int:
        raise self.error


async def test_what_a_thread_writes_is_waited_for(
    engine: DBOSEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is cut does not leave it behind; and closing meanwhile takes nothing away."""
    hand_over = engine._calls.hand_over
    begun, go = threading.Event(), threading.Event()

    def slowly(workflow: str, owner: str, following: Envelope | None) -> None:
        begun.set()
        go.wait(10)
        hand_over(workflow, owner, following)

    monkeypatch.setattr(engine._calls, "hand_over", slowly)
    async with Steps(engine).site() as site:
        await site.call("x")
        async with site.serving() as worker:
            await site.until(begun.is_set)
            await engine.close()
            worker.task.cancel()
            await asyncio.sleep(0.1)
            assert not worker.task.done()
            go.set()
            await asyncio.wait({worker.task}, timeout=10)
            assert worker.task.cancelled()
            worker.task = asyncio.ensure_future(asyncio.sleep(0))
        assert rows(engine) == 0
        assert site.seen == ["x"]


async def test_what_comes_too_late_begins_nothing(tmp_path: Path) -> None:
    """When its worker has gone, or while another sees whether it lives."""
    engine = on_sqlite(tmp_path)
    worker = Worker(
        engine._place,
        engine._calls,
        AsyncMock(),
        engine._log,
        queue="q",
        concurrency=1,
        poll=1.0,
        silent=1.0,
    )
    with pytest.raises(asyncio.CancelledError):
        await worker._deliver("unknown", "")
    with pytest.raises(_process._Over):
        await _process.carry("x")
    worker._lock = Mock(take=lambda: False)
    assert worker._look() == 0


async def test_a_lock_is_held_by_one(engine: DBOSEngine) -> None:
    """Until it lets go."""
    database, _ = engine._place.opened()
    file = engine._place.file

    def lock() -> FileLock | ServerLock:
        return ServerLock(database, "one", 2.0) if file is None else FileLock(file, "x")

    one, two = lock(), lock()
    assert one.take()
    assert not two.take()
    two.release()
    one.release()
    assert two.take()
    two.release()
    await engine.close()


async def test_a_database_that_is_down_at_the_start_ends_serve() -> None:
    """Whatever started the worker starts it again."""
    engine = DBOSEngine("postgresql://127.0.0.1:1/x", timeout=1.0)
    Afterwork(engine=engine, store="memory:").engine  # noqa: B018
    with pytest.raises(EngineError, match="could not connect"):
        await engine.serve(concurrency=1, stop=asyncio.sleep(5))


# -- options and errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": "_dbos_x"}, "queue must be 1 to 100 letters"),
        ({"schema": "A b"}, "schema must be a name"),
        ({"poll": 0.01}, "poll must be seconds, from 0.05 to 60"),
        ({"silent": 0}, "silent must be seconds"),
        ({"timeout": 100}, "timeout must be seconds"),
        ({"url": "mysql://localhost/x"}, "PostgreSQL or SQLite"),
        ({"url": "sqlite://", "sqlite": newer_sqlite}, "SQLite in memory"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], said: str) -> None:
    """With what would be right."""
    options.setdefault("url", "postgresql://localhost/x")
    with pytest.raises(InvalidOptionError, match=said):
        DBOSEngine(**options)


def test_a_sqlite_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """With the ways out."""
    old = ModuleType("old")
    old.__dict__.update(sqlite_version="3.40.1", sqlite_version_info=(3, 40, 1))
    with pytest.raises(
        EngineError, match=r"3\.42 or newer, and this Python has 3\.40\.1.*pysqlite3"
    ):
        DBOSEngine(f"sqlite:///{tmp_path}/x.db", sqlite=old)


def test_a_password_is_in_no_name() -> None:
    """Nor in the error of a URL that is none."""
    engine = DBOSEngine("postgresql://me:secret@localhost/x", queue="mails")
    assert repr(engine) == "DBOSEngine('dbos at postgresql://localhost/x', queue='mails')"
    with pytest.raises(EngineError) as caught:
        DBOSEngine("not a url with secret")
    assert "secret" not in str(caught.value)


def test_what_it_can_do_follows_from_its_settings(tmp_path: Path) -> None:
    """How soon a killed worker is noticed, above all."""
    assert on_postgresql(poll=1.0, silent=8.0).capabilities.recovery_seconds == 11.0
    assert on_sqlite(tmp_path, poll=1.0).capabilities.recovery_seconds == 5.0


async def test_a_database_that_is_down_is_an_error_in_time() -> None:
    """Of the call that is made, without a password."""
    engine = DBOSEngine("postgresql://me:secret@127.0.0.1:1/x", timeout=1.0)
    work = Afterwork(engine=engine, store="memory:")

    @work.job(durable=True)
    async def job() -> None: ...

    began = time.monotonic()
    with pytest.raises(EngineError, match="could not connect.*Check that the database") as caught:
        await after.enqueue(job)
    assert time.monotonic() - began < 5
    assert "secret" not in str(caught.value)
    await engine.close()


async def test_without_tables_and_without_leave_to_make_them_it_says_so(tmp_path: Path) -> None:
    """`migrate=False`."""
    engine = on_sqlite(tmp_path, migrate=False)
    with pytest.raises(EngineError, match="does not exist.*migrate=True"):
        await engine.status("x")


def test_the_hint_fits_the_problem() -> None:
    """A file that is locked is no server that is down."""
    with pytest.raises(EngineError, match="Something else writes"), engine_errors("e", "do"):
        raise OSError("database is locked")
    with pytest.raises(KeyError), engine_errors("e", "do"):
        raise KeyError


def test_without_dbos_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact command."""
    for name in list(sys.modules):
        if name.startswith("afterwork_integrations.dbos"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dbos", None)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[dbos\]'"):
        import_module("afterwork_integrations.dbos")
