"""The engine on PgQueuer, against a real server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
from afterwork_integrations.pgqueuer import PgQueuerEngine, _calls
from afterwork_integrations.pgqueuer._place import LOCK
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.domain.settings import db_settings
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


def engine_in(within_: str, url: str | None = None, **options: Any) -> PgQueuerEngine:
    """An engine with its tables in a schema."""
    options = {"schema": "apply", "poll": POLL, "stalled_after": SILENT, **options}
    return PgQueuerEngine(within(within_, url), **options)


class TestPgQueuerEngine(EngineContract):
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
                INSERT INTO pgqueuer (priority, entrypoint, payload, status)
                VALUES (0, 'afterwork', %s, 'queued')
                """,
                [text.encode()],
            )
        return True

    @asynccontextmanager
    async def transaction(self, engine: Engine) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(within(self.schema))
        try:
            async with connection.transaction():
                yield connection
        finally:
            await connection.close()


# -- what is special of it


@pytest.fixture
def schema() -> Iterator[str]:
    name = new_schema()
    yield name
    drop_schema(name)


def rows(schema: str, what: str = "status::text") -> list[Any]:
    """A column of all rows."""
    return [row[0] for row in admin(f"SELECT {what} FROM pgqueuer ORDER BY id", schema)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"queue": "a queue"}, "queue"),
        ({"queue": ""}, "queue"),
        ({"schema": "none"}, "schema"),
        ({"poll": 0}, "poll"),
        ({"stalled_after": 0.5}, "stalled_after"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidOptionError, match=expected):
        PgQueuerEngine("postgresql://h/d", **options)


def test_what_is_no_database_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"asyncpg\.Pool"):
        PgQueuerEngine(5)


def test_its_recovery_follows_from_its_settings() -> None:
    assert PgQueuerEngine("").capabilities.recovery_seconds == 21.0
    assert PgQueuerEngine("", stalled_after=2, poll=0.5).capabilities.recovery_seconds == 2.5


def test_unlogged_tables_do_not_survive_the_servers_crash(monkeypatch: Any) -> None:
    assert PgQueuerEngine("").capabilities.survives == "power"
    monkeypatch.setenv("PGQUEUER_DURABILITY", "volatile")
    db_settings.cache_clear()
    try:
        assert PgQueuerEngine("").capabilities.survives == "machine"
    finally:
        monkeypatch.undo()
        db_settings.cache_clear()


def test_it_says_no_password() -> None:
    engine = PgQueuerEngine(f"postgresql://me:{SECRET}@h:5/d?x={SECRET}")
    assert SECRET not in repr(engine) + engine.name


async def test_a_server_that_is_down_is_an_error_at_once() -> None:
    """With its reason, and without the password."""
    site = Site(PgQueuerEngine(f"postgresql://me:{SECRET}@127.0.0.1:{closed_port()}/d"))
    start = time.monotonic()
    with pytest.raises(EngineError, match="connect.*Check that the server runs") as caught:
        await after.enqueue(site.note, 1)
    assert time.monotonic() - start < 5
    assert SECRET not in str(caught.value)
    with pytest.raises(EngineError, match="connect"):
        await site.engine.serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_server_that_does_not_answer_is_an_error_in_time(schema: str) -> None:
    """The line is there, and nothing comes through. Closing ends in time, too."""
    with Proxy(database_url(), 5432) as proxy:
        site = Site(engine_in(schema, proxy.url, timeout=0.5))
        await after.enqueue(site.note, 1)
        proxy.go_dead()
        start = time.monotonic()
        with pytest.raises(EngineError, match="take in calls"):
            await after.enqueue(site.note, 2)
        await site.engine.close()
        assert time.monotonic() - start < 10


async def test_missing_tables_are_an_error_that_names_the_command(schema: str) -> None:
    site = Site(engine_in(schema, schema="check"))
    with pytest.raises(EngineError, match="pgq install"):
        await after.enqueue(site.note, 1)


async def test_old_tables_are_an_error_that_names_the_command(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    await site.engine.close()
    admin("ALTER TABLE pgqueuer DROP COLUMN headers", schema)
    with pytest.raises(EngineError, match="pgq upgrade"):
        await after.enqueue(site.note, 1)


async def test_tables_that_change_later_are_an_error_with_a_hint(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    admin("ALTER TABLE pgqueuer DROP COLUMN headers", schema)
    with pytest.raises(EngineError, match="up to date"):
        await after.enqueue(site.note, 1)
    await site.engine.close()


async def test_a_user_without_rights_is_an_error_with_a_hint(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    await site.engine.close()
    role = f"r{schema}"
    admin(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}")
    admin(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
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
        admin(QueryBuilderEnvironment().build_install_query(), schema)
        other.rollback()
    assert await task == ["1"]
    await engine.close()


async def test_an_engine_without_an_app_serves_nobody(schema: str) -> None:
    with pytest.raises(EngineError, match="no Afterwork has it"):
        await engine_in(schema).serve(concurrency=1, stop=asyncio.Event().wait())


async def test_a_pool_of_the_users_is_used_and_left_open(schema: str) -> None:
    async with asyncpg.create_pool(within(schema), min_size=2, max_size=4) as pool:
        site = Site(PgQueuerEngine(pool, "mine", schema="apply", poll=POLL))
        assert site.engine.name == "pgqueuer"
        await after.enqueue(site.note, 1)
        assert rows(schema, "entrypoint") == ["mine"]
        async with site.serving():
            await until(lambda: site.seen == [1])
        assert await pool.fetchval("SELECT 1") == 1


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


async def test_a_key_stands_for_its_call_until_that_is_over(schema: str) -> None:
    """Also while it runs, and where it was put back."""
    site = Site(engine_in(schema))
    first = await after.options(key="k").enqueue(site.wait, "first")
    async with site.serving() as serving:
        await until(lambda: site.seen == ["first"])
        assert await site.engine.status(first) == "running"
        assert not await site.engine.cancel(first)
        assert await after.options(key="k").enqueue(site.wait, "second") == first
        serving.cancel()
        await asyncio.wait({serving})
        site.go_on.set()
    assert rows(schema) == ["queued"]
    assert await after.options(key="k").enqueue(site.wait, "third") == first
    await site.engine.close()


async def test_a_key_that_is_freed_in_between_is_taken(schema: str, monkeypatch: Any) -> None:
    site = Site(engine_in(schema))
    await site.engine.enqueue([Envelope(id="first", job="note", key="k")])
    owner_of = _calls.Calls._owner

    async def owner(self: Any, key: str) -> str | None:
        admin("DELETE FROM pgqueuer", schema)
        return await owner_of(self, key)

    monkeypatch.setattr(_calls.Calls, "_owner", owner)
    assert await site.engine.enqueue([Envelope(id="second", job="note", key="k")]) == ["second"]
    await site.engine.close()


# -- the caller's transaction


async def test_connections_of_psycopg_will_do(schema: str) -> None:
    """Async and blocking, also with a key that is taken. What is rolled back never was."""
    site = Site(engine_in(schema))
    await site.engine.enqueue([Envelope(id="first", job="note", key="k")])
    again = [Envelope(id="again", job="note", key="k"), Envelope(id="new", job="note")]
    async with await psycopg.AsyncConnection.connect(within(schema)) as connection:
        await site.engine.enqueue(again, connection=connection)
        await connection.rollback()
        assert len(rows(schema)) == 1
        assert await site.engine.enqueue(again, connection=connection) == ["first", "new"]
    assert len(rows(schema)) == 2
    with psycopg.connect(within(schema)) as blocking:
        await site.engine.enqueue(again, connection=blocking)
        blocking.rollback()
        assert len(rows(schema)) == 2
        assert await site.engine.enqueue(again, connection=blocking) == ["first", "new"]
    assert len(rows(schema)) == 3
    await site.engine.close()


async def test_a_connection_without_a_transaction_is_refused(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written there would be committed at once."""
    site = Site(engine_in(schema))
    plain = await asyncpg.connect(within(schema))
    with pytest.raises(InvalidOptionError, match="in a transaction"):
        await after.options(connection=plain).enqueue(site.note, 1)
    await plain.close()
    with (
        psycopg.connect(within(schema), autocommit=True) as blocking,
        pytest.raises(InvalidOptionError, match="in a transaction"),
    ):
        await after.options(connection=blocking).enqueue(site.note, 1)
    with pytest.raises(InvalidOptionError, match="asyncpg or psycopg 3"):
        await after.options(connection=object()).enqueue(site.note, 1)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidOptionError, match="asyncpg or psycopg 3"):
        await after.options(connection=object()).enqueue(site.note, 1)
    assert rows_of_nobody(schema) == []
    await site.engine.close()


def rows_of_nobody(schema: str) -> list[Any]:
    """The rows, by a connection that needs no psycopg module of the test's."""
    return admin("SELECT id FROM pgqueuer", schema)


async def test_an_error_of_the_callers_connection_is_an_engine_error(schema: str) -> None:
    site = Site(engine_in(schema))
    async with await psycopg.AsyncConnection.connect(database_url()) as connection:
        await connection.execute("SET search_path TO nowhere")
        with pytest.raises(EngineError, match="take in calls"):
            await after.options(connection=connection).enqueue(site.note, 1)
        await connection.rollback()
    await site.engine.close()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_sqlalchemys_connections_and_sessions_will_do(schema: str, driver: str) -> None:
    """What is rolled back never was."""
    site = Site(engine_in(schema))
    await site.engine.enqueue([])
    url = database_url().replace("postgresql://", f"postgresql+{driver}://")
    arguments: dict[str, Any] = (
        {"server_settings": {"search_path": schema}}
        if driver == "asyncpg"
        else {"options": f"-csearch_path={schema}"}
    )
    database = create_async_engine(url, connect_args=arguments)
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
    assert len(rows(schema)) == 2
    await site.engine.close()


async def test_a_blocking_session_of_sqlalchemy_will_do(schema: str) -> None:
    site = Site(engine_in(schema))
    url = within(schema).replace("postgresql://", "postgresql+psycopg://")
    database = create_engine(url)
    with Session(database) as session:
        await after.options(connection=session).enqueue(site.note, 1)
        session.rollback()
    with database.begin() as connection:
        await after.options(connection=connection).enqueue(site.note, 2)
    database.dispose()
    assert len(rows(schema)) == 1
    await site.engine.close()


# -- workers


def as_if_taken(schema: str, silent: float, picks: int) -> None:
    """The call has been taken so often by workers that died, the last so long ago."""
    admin(
        f"""
        UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(),
            heartbeat = now() - interval '{silent} s', execute_after = now() - interval '1 day';
        INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
        SELECT id, 'picked', entrypoint, 0 FROM pgqueuer, generate_series(1, {picks})
        """,
        schema,
    )


async def test_what_a_dead_worker_had_is_delivered_again_in_time(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.note, 1)
    as_if_taken(schema, 0, 1)
    declared = site.engine.capabilities.recovery_seconds
    assert declared is not None
    async with site.serving():
        start = time.monotonic()
        await until(lambda: site.seen == [1])
        assert time.monotonic() - start < declared + 1
        await until(lambda: rows(schema) == [])


async def test_a_call_that_kills_its_workers_is_given_up(schema: str) -> None:
    site = Site(engine_in(schema))
    run_id = await after.enqueue(site.note, 1)
    as_if_taken(schema, 60, MOST_CRASHES + 1)
    async with site.serving():
        await until(lambda: rows(schema) == [])
    record = site.work.store.run(run_id)
    assert record is not None
    assert record.state == "failed"
    assert site.seen == []


async def test_the_heart_of_a_call_beats_while_it_runs(schema: str) -> None:
    site = Site(engine_in(schema))
    await after.enqueue(site.wait, 1)
    async with site.serving():
        await until(lambda: site.seen == [1])
        await until(lambda: rows(schema, "heartbeat > updated") == [True])
        site.go_on.set()


async def test_a_late_heartbeat_starts_nothing_twice(schema: str) -> None:
    """The worker finds its own call among those of the dead."""
    site = Site(engine_in(schema))
    await after.enqueue(site.wait, 1)
    async with site.serving():
        await until(lambda: site.seen == [1])
        picks = "SELECT count(*) FROM pgqueuer_log WHERE status = 'picked'"
        admin("UPDATE pgqueuer SET heartbeat = now() - interval '1 hour'", schema)
        await until(lambda: admin(picks, schema) == [(2,)])
        site.go_on.set()
        await until(lambda: rows(schema) == [])
    assert site.seen == [1]


async def test_garbage_is_held_and_said_once(schema: str, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(engine_in(schema))
    await site.engine.enqueue([])
    admin(
        "INSERT INTO pgqueuer (priority, entrypoint, payload, status)"
        " VALUES (0, 'afterwork', NULL, 'queued')",
        schema,
    )
    run_id = await after.options(delay=60).enqueue(site.note, 1)
    assert await site.engine.cancel(run_id)
    async with site.serving():
        await until(lambda: rows(schema) == ["failed"])
    assert len([each for each in caplog.messages if "engine.bad_message" in each]) == 1


async def test_a_worker_that_no_longer_hears_says_so_and_goes_on(
    schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its polls find what comes."""
    listening = f"""
        SELECT pid FROM pg_stat_activity
        WHERE query LIKE 'LISTEN%' AND state = 'idle' AND backend_start > now() - interval '1 min'
            AND application_name = '{schema[:60]}'
    """
    site = Site(PgQueuerEngine(f"{within(schema)}&application_name={schema[:60]}", schema="apply"))
    async with site.serving():
        await until(lambda: admin(listening))
        ((pid,),) = admin(listening)
        admin(f"SELECT pg_terminate_backend({pid})")
        await until(lambda: any("engine.unreachable" in each for each in caplog.messages))
        await after.enqueue(site.note, 1)
        await until(lambda: site.seen == [1])


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
