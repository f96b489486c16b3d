"""The engine on Procrastinate, against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest
from afterwork_integrations import _pull_worker
from afterwork_integrations.procrastinate import ProcrastinateEngine
from afterwork_integrations.procrastinate._place import LOCK
from procrastinate import App, PsycopgConnector
from procrastinate.schema import SchemaManager
from procrastinate.testing import InMemoryConnector
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from afterwork import after
from afterwork.engines import MOST_CRASHES, Engine, Envelope
from afterwork.errors import EngineError, InvalidOptionError
from tests.contracts.engine import EngineContract
from tests.integrations.engines.schemas import admin, drop_schema, new_schema, within
from tests.integrations.engines.site import Site, closed_port, until
from tests.services import Proxy, database_url

SECRET = "s3cret-pa55word"
SILENT = 1.0
POLL = 0.1


def engine_in(within_: str, url: str | None = None, **options: Any) -> ProcrastinateEngine:
    """An engine with its tables in a schema."""
    options = {"schema": "apply", "poll": POLL, "stalled_after": SILENT, **options}
    return ProcrastinateEngine(within(within_, url), **options)


class TestProcrastinateEngine(EngineContract):
    def make_engine(self) -> Engine:
        self.schema = new_schema()
        return engine_in(self.schema)

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        drop_schema(self.schema)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        async with await psycopg.AsyncConnection.connect(within(self.schema)) as connection:
            await connection.execute(
                """
                INSERT INTO procrastinate_jobs (queue_name, task_name, args)
                VALUES ('afterwork', 'afterwork', jsonb_build_object('envelope', %s::text))
                """,
                [text],
            )
        return True

    @asynccontextmanager
    async def transaction(self, engine: Engine) -> AsyncIterator[Any]:
        async with await psycopg.AsyncConnection.connect(within(self.schema)) as connection:
            yield connection


# -- what is special of it


@pytest.fixture
def schema() -> Iterator[str]:
    name = new_schema()
    yield name
    drop_schema(name)


def rows(schema: str, what: str = "status::text") -> list[Any]:
    """A column of all rows."""
    return [row[0] for row in admin(f"SELECT {what} FROM {schema}.procrastinate_jobs ORDER BY id")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"queue": "a queue"}, "queue"),
        ({"queue": ""}, "queue"),
        ({"queue": "q" * 41}, "queue"),
        ({"schema": "none"}, "schema"),
        ({"poll": 0}, "poll"),
        ({"stalled_after": 0.5}, "stalled_after"),
        ({"stalled_after": 41}, "stalled_after"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidOptionError, match=expected):
        ProcrastinateEngine("postgresql://h/d", **options)


@pytest.mark.parametrize("source", [App(connector=InMemoryConnector()), 5])
def test_what_is_no_database_is_refused(source: Any) -> None:
    with pytest.raises(InvalidOptionError, match="PsycopgConnector"):
        ProcrastinateEngine(source)


def test_its_recovery_follows_from_its_settings() -> None:
    assert ProcrastinateEngine("").capabilities.recovery_seconds == 31.0
    short = ProcrastinateEngine("", stalled_after=2, poll=0.5)
    assert short.capabilities.recovery_seconds == 3.5
    assert short.capabilities.delay_resolution == 0.5


@pytest.mark.parametrize(
    "dsn", [f"postgresql://me:{SECRET}@h:5/d?x={SECRET}", f"host=h password={SECRET}"]
)
def test_it_says_no_password(dsn: str) -> None:
    assert SECRET not in repr(ProcrastinateEngine(dsn)) + ProcrastinateEngine(dsn).name


async def test_a_server_that_is_down_is_an_error_at_once() -> None:
    """With its reason, and without the password."""
    url = f"postgresql://me:{SECRET}@127.0.0.1:{closed_port()}/d"
    site = Site(ProcrastinateEngine(url))
    start = time.monotonic()
    with pytest.raises(EngineError, match="refused.*Check that the server runs") as caught:
        await after.enqueue(site.note, 1)
    assert time.monotonic() - start < 5
    assert SECRET not in str(caught.value)
    with pytest.raises(EngineError, match="refused"):
        await site.engine.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_server_that_does_not_answer_is_an_error_in_time(schema: str) -> None:
    """The line is there, and nothing comes through."""
    with Proxy(database_url(), 5432) as proxy:
        site = Site(engine_in(schema, proxy.url, timeout=0.5))
        await after.enqueue(site.note, 1)
        proxy.go_dead()
        start = time.monotonic()
        with pytest.raises(EngineError, match="take in calls"):
            await after.enqueue(site.note, 2)
        assert time.monotonic() - start < 10
        proxy.cut()
        await site.engine.close()


async def test_missing_tables_are_an_error_that_names_the_command(schema: str) -> None:
    site = Site(engine_in(schema, schema="check"))
    with pytest.raises(EngineError, match=r"procrastinate --app=your.app schema --apply"):
        await after.enqueue(site.note, 1)


async def test_old_tables_are_an_error_that_names_the_migrations(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    await site.engine.close()
    admin(f"DROP FUNCTION {schema}.procrastinate_defer_jobs_v1")
    with pytest.raises(EngineError, match="older version.*migrations"):
        await after.enqueue(site.note, 1)


async def test_tables_that_are_dropped_later_are_an_error_with_a_hint(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    admin(f"ALTER SCHEMA {schema} RENAME TO {schema}_x")
    with pytest.raises(EngineError, match="Apply Procrastinate's schema"):
        await after.enqueue(site.note, 1)
    admin(f"ALTER SCHEMA {schema}_x RENAME TO {schema}")
    await site.engine.close()


async def test_what_the_server_refuses_is_said(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    admin("ALTER TABLE procrastinate_jobs ADD CONSTRAINT low CHECK (priority < 5)", schema)
    with pytest.raises(EngineError, match='violates check constraint "low"'):
        await after.options(priority=9).enqueue(site.note, 1)
    await site.engine.close()


async def test_a_user_without_rights_is_an_error_with_a_hint(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    await site.engine.close()
    role = f"r{schema}"
    admin(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}")
    try:
        where = database_url().partition("@")[2]
        site = Site(engine_in(schema, f"postgresql://{role}@{where}"))
        with pytest.raises(EngineError, match="Grant it"):
            await after.enqueue(site.note, 1)
        await site.engine.close()
    finally:
        admin(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_several_that_start_at_once_make_the_tables_once(schema: str) -> None:
    sites = [Site(engine_in(schema)) for _ in range(4)]
    envelopes = [Envelope(id=str(number), job="note") for number in range(8)]
    await asyncio.gather(
        *(sites[index % 4].engine.enqueue([each]) for index, each in enumerate(envelopes))
    )
    assert len(rows(schema)) == 8
    for site in sites:
        await site.engine.close()


async def test_who_waits_while_another_makes_the_tables_finds_them(schema: str) -> None:
    engine = engine_in(schema)
    waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        task = asyncio.create_task(engine.enqueue([Envelope(id="1", job="note")]))
        while not admin(waits):
            assert not task.done()
            await asyncio.sleep(0.01)
        admin(SchemaManager.get_schema(), schema)
        other.rollback()
    assert await task == ["1"]
    await engine.close()


async def test_an_engine_without_an_app_serves_nobody(schema: str) -> None:
    with pytest.raises(EngineError, match="no Afterwork has it"):
        await engine_in(schema).serve(concurrency=1, stop=asyncio.Event().wait())


def test_each_loop_has_its_own_connections(schema: str) -> None:
    """Those of a loop that is over are of no use."""
    site_of: dict[str, Site] = {}

    async def call(what: object) -> None:
        site = site_of.setdefault("site", Site(engine_in(schema)))
        await after.enqueue(site.note, what)

    async def close() -> None:
        await call(2)
        await site_of["site"].engine.close()

    async def first() -> None:
        await call(1)
        await site_of["site"].engine.close()

    asyncio.run(first())
    asyncio.run(close())
    assert len(rows(schema)) == 2


def test_it_leaves_another_loops_connections_alone(schema: str) -> None:
    engine = engine_in(schema)
    envelope = Envelope(id="1", job="note")

    async def end(engine: ProcrastinateEngine) -> None:
        pool: Any = (await engine._place.opened()).connector
        await pool.pool.close()

    async def leave_open() -> None:
        await engine.enqueue([envelope])
        await end(engine)

    asyncio.run(leave_open())
    asyncio.run(engine.close())
    assert len(rows(schema)) == 1


def test_on_trio_it_says_that_it_needs_asyncio() -> None:
    import trio

    with pytest.raises(EngineError, match="asyncio alone"):
        trio.run(ProcrastinateEngine("").enqueue, [Envelope(id="1", job="note")])


# -- with an app of the user's


async def test_an_app_of_the_users_is_used_and_left_open(schema: str) -> None:
    connector = PsycopgConnector(conninfo=within(schema))
    app = App(connector=connector)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        site = Site(ProcrastinateEngine(app, "mine", poll=POLL))
        assert site.engine.name == "procrastinate"
        await after.enqueue(site.note, 1)
        assert rows(schema, "queue_name") == ["mine"]
        async with site.serving():
            await until(lambda: site.seen == [1])
        assert await app.check_connection_async()


async def test_an_app_that_is_not_open_is_opened_and_closed(schema: str) -> None:
    app = App(connector=PsycopgConnector(conninfo=within(schema)))
    engine = ProcrastinateEngine(app, schema="apply")
    await engine.enqueue([Envelope(id="1", job="note")])
    assert rows(schema) == ["todo"]
    await engine.close()
    assert getattr(app.connector, "_async_pool") is None  # noqa: B009


async def test_a_future_of_the_callers_stops_it_and_stays_the_callers(schema: str) -> None:
    site = Site(engine_in(schema))
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(site.engine.serve(concurrency=1, stop=stop))
    await after.enqueue(site.note, 1)
    await until(lambda: site.seen == [1])
    stop.set_result(None)
    await asyncio.wait_for(task, 15)
    await site.engine.close()


# -- keys


async def test_keys_of_one_batch_stand_for_each_other(schema: str) -> None:
    """And for one that waits already."""
    site = Site(engine_in(schema))
    await site.engine.enqueue([Envelope(id="first", job="note", key="a) b")])
    batch = [
        Envelope(id="second", job="note", key="a) b"),
        Envelope(id="third", job="note", key="c"),
        Envelope(id="fourth", job="note"),
        Envelope(id="fifth", job="note", key="c"),
    ]
    assert await site.engine.enqueue(batch) == ["first", "third", "fourth", "third"]
    assert len(rows(schema)) == 3
    await site.engine.close()


async def test_a_key_is_free_once_its_call_runs(schema: str) -> None:
    """Also where that one has to be put back: it does not want its key again."""
    site = Site(engine_in(schema))
    first = await after.options(key="k").enqueue(site.wait, "first")
    async with site.serving() as serving:
        await until(lambda: site.seen == ["first"])
        assert await site.engine.status(first) == "running"
        second = await after.options(key="k").enqueue(site.note, "other job")
        third = await after.options(key="k", delay=60).enqueue(site.wait, "third")
        assert len({first, second, third}) == 3
        assert not await site.engine.cancel(first)
        serving.cancel()
        await asyncio.wait({serving})
        site.go_on.set()
    states = rows(schema)
    assert states.count("todo") >= 2
    assert "doing" not in states


async def test_a_key_that_is_freed_in_between_is_taken(schema: str, monkeypatch: Any) -> None:
    from afterwork_integrations.procrastinate import _calls

    site = Site(engine_in(schema))
    await site.engine.enqueue([Envelope(id="first", job="note", key="k")])
    owner_of = _calls.Calls._owner

    async def owner(self: Any, lock: str, writer: Any) -> str | None:
        admin("DELETE FROM procrastinate_jobs", schema)
        return await owner_of(self, lock, writer)

    monkeypatch.setattr(_calls.Calls, "_owner", owner)
    assert await site.engine.enqueue([Envelope(id="second", job="note", key="k")]) == ["second"]
    await site.engine.close()


# -- the caller's transaction


async def test_a_key_that_is_taken_does_not_end_the_callers_transaction(schema: str) -> None:
    site = Site(engine_in(schema))
    await site.engine.enqueue([Envelope(id="first", job="note", key="k")])
    async with await psycopg.AsyncConnection.connect(within(schema)) as connection:
        again = [Envelope(id="second", job="note", key="k")]
        assert await site.engine.enqueue(again, connection=connection) == ["first"]
        await site.engine.enqueue([Envelope(id="third", job="note")], connection=connection)
        assert len(rows(schema)) == 1
    assert len(rows(schema)) == 2
    await site.engine.close()


async def test_a_blocking_connection_will_do(schema: str) -> None:
    site = Site(engine_in(schema))
    await site.engine.enqueue([Envelope(id="first", job="note", key="k")])
    with psycopg.connect(within(schema)) as connection:
        for key in ("k", None):
            await site.engine.enqueue(
                [Envelope(id="second", job="note", key=key)], connection=connection
            )
        connection.rollback()
        assert len(rows(schema)) == 1
        await after.options(connection=connection).enqueue(site.note, 1)
        connection.commit()
        assert len(rows(schema)) == 2
    await site.engine.close()


async def test_a_connection_without_a_transaction_is_refused(schema: str) -> None:
    """What is written there would be committed at once. One that is opened is another matter."""
    site = Site(engine_in(schema))
    async with await psycopg.AsyncConnection.connect(within(schema), autocommit=True) as connection:
        with pytest.raises(InvalidOptionError, match="in a transaction"):
            await after.options(connection=connection).enqueue(site.note, 1)
        async with connection.transaction():
            await after.options(connection=connection).enqueue(site.note, 2)
    with (
        psycopg.connect(within(schema), autocommit=True) as blocking,
        pytest.raises(InvalidOptionError, match="in a transaction"),
    ):
        await after.options(connection=blocking).enqueue(site.note, 1)
    with pytest.raises(InvalidOptionError, match="psycopg 3"):
        await after.options(connection=object()).enqueue(site.note, 1)
    assert len(rows(schema)) == 1
    await site.engine.close()


@contextmanager
def blocking_sqlalchemy(schema: str) -> Iterator[Any]:
    engine = create_engine(within(schema).replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


async def test_sqlalchemys_connections_and_sessions_will_do(schema: str) -> None:
    """Async and blocking: what is rolled back never was."""
    site = Site(engine_in(schema))
    url = within(schema).replace("postgresql://", "postgresql+psycopg://")
    database = create_async_engine(url)
    async with AsyncSession(database) as session:
        await after.options(connection=session).enqueue(site.note, 1)
        await session.rollback()
        await after.options(connection=session).enqueue(site.note, 2)
        await session.commit()
    async with database.begin() as connection:
        await after.options(connection=connection).enqueue(site.note, 3)
    async with database.connect() as connection:
        with pytest.raises(InvalidOptionError, match="in a transaction"):
            await after.options(connection=connection).enqueue(site.note, 4)
    await database.dispose()
    with blocking_sqlalchemy(schema) as blocking:
        with Session(blocking) as session_:
            await after.options(connection=session_).enqueue(site.note, 5)
        with blocking.begin() as connection_:
            await after.options(connection=connection_).enqueue(site.note, 6)
    assert rows(schema, "(args->>'envelope')::jsonb->>'payload'") == [
        "[[2], {}]",
        "[[3], {}]",
        "[[6], {}]",
    ]
    await site.engine.close()


# -- workers


async def test_what_a_dead_worker_had_is_delivered_again_in_time(schema: str) -> None:
    """Also the work of one whose row was deleted, and what a worker of Procrastinate's own took
    and could not run."""
    site = Site(engine_in(schema))
    for number in range(3):
        await after.enqueue(site.note, number)
    admin("INSERT INTO procrastinate_workers DEFAULT VALUES", schema)
    admin("UPDATE procrastinate_jobs SET status = 'doing', worker_id = 1 WHERE id = 1", schema)
    admin("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = 2", schema)
    admin("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = 3", schema)
    declared = site.engine.capabilities.recovery_seconds
    assert declared is not None
    async with site.serving():
        start = time.monotonic()
        await until(lambda: sorted(site.seen) == [0, 1, 2])
        assert time.monotonic() - start < declared + 1
    assert rows(schema) == []


async def test_a_call_that_kills_its_workers_is_given_up(
    schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(engine_in(schema))
    run_id = await after.enqueue(site.note, 1)
    admin(f"UPDATE procrastinate_jobs SET attempts = {MOST_CRASHES + 1}", schema)
    async with site.serving():
        await until(lambda: rows(schema) == [])
    record = site.work.store.run(run_id)
    assert record is not None
    assert record.state == "failed"
    assert site.seen == []


async def test_a_worker_that_was_taken_for_dead_keeps_what_it_runs(schema: str) -> None:
    """Its next heartbeat brings it back."""
    site = Site(engine_in(schema))
    await after.enqueue(site.wait, 1)
    async with site.serving():
        await until(lambda: site.seen == [1])
        admin("DELETE FROM procrastinate_workers", schema)
        await until(lambda: rows(schema, "worker_id IS NOT NULL") == [True])
        site.go_on.set()
        await until(lambda: rows(schema) == [])
    assert site.seen == [1]


async def test_garbage_is_kept_and_said_once(schema: str, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    admin(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
        " VALUES ('afterwork', 'afterwork', '{}')",
        schema,
    )
    async with site.serving():
        await until(lambda: rows(schema) == ["aborted"])
    (said,) = [each for each in caplog.messages if "engine.bad_message" in each]
    assert "row='2'" in said
    assert rows(schema) == ["aborted"]


async def test_a_lost_connection_ends_nothing(
    schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the worker nor what it runs: the end is written once the server is back."""
    with Proxy(database_url(), 5432) as proxy:
        site = Site(engine_in(schema, proxy.url, timeout=0.5))
        await after.enqueue(site.wait, 1)
        async with site.serving():
            await until(lambda: site.seen == [1])
            proxy.refuse()
            site.go_on.set()
            await until(lambda: any("engine.unreachable" in each for each in caplog.messages))
            proxy.accept()
            await until(lambda: rows(schema) == [])
            await after.enqueue(site.note, 2)
            await until(lambda: site.seen == [1, 2])
    assert sum("engine.unreachable" in each for each in caplog.messages) == 1


async def test_a_worker_whose_database_is_gone_can_be_cancelled(
    schema: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pull_worker, "LEAVE_SECONDS", 0.5)
    with Proxy(database_url(), 5432) as proxy:
        site = Site(engine_in(schema, proxy.url, timeout=0.3))
        await after.enqueue(site.wait, 1)
        async with site.serving() as serving:
            await until(lambda: site.seen == [1])
            proxy.refuse()
            start = time.monotonic()
            serving.cancel()
            await asyncio.wait({serving})
            assert time.monotonic() - start < 10
    site.go_on.set()
    assert any("engine.unreachable" in each for each in caplog.messages)
