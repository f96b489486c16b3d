"""The store on PostgreSQL, against a real server."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from afterwork_integrations.postgresql import PostgreSQLStore, _claims, _store
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from afterwork.errors import InvalidOptionError, StoreError
from afterwork.stores import Store
from afterwork.testing._store_tests import (
    LONG,
    claim,
    claimed,
    end,
    ended,
    holding,
    ids,
    in_threads,
    record,
    until,
)
from tests.contracts.store import SharedStoreContract, StoreContract
from tests.services import Proxy, database_url

SECRET = "s3cret-pa55word"


def admin(statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url(), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def with_options(url: str, **options: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"


@contextmanager
def schema() -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    try:
        yield name
    finally:
        admin(f"DROP SCHEMA IF EXISTS {name} CASCADE")


class OnServer:
    """Every store has a schema of its own, which is removed."""

    def setup_method(self) -> None:
        super().setup_method()  # type: ignore[misc]
        self.schemas: list[str] = []

    def teardown_method(self) -> None:
        super().teardown_method()  # type: ignore[misc]
        for name in self.schemas:
            admin(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    def schema(self) -> str:
        self.schemas.append(f"test_{uuid.uuid4().hex}")
        return self.schemas[-1]


class TestPostgreSQLStore(OnServer, SharedStoreContract):
    """The racing processes find no schema, and make it all at once."""

    def make_store(self) -> Store:
        return PostgreSQLStore(database_url(), schema=self.schema())

    def opener(self) -> tuple[str, str]:
        url = with_options(database_url(), schema=self.schema(), namespace="races")
        return "tests.services:postgresql_store", url


class TestOwnPool(OnServer, StoreContract):
    """A pool of the user's, whose connections are not in autocommit mode, make other rows and are
    of another isolation level by default."""

    @pytest.fixture(autouse=True)
    def _pool(self) -> Iterator[None]:
        options = {
            "options": "-c default_transaction_isolation=serializable",
            "row_factory": dict_row,
            "prepare_threshold": 0,
        }
        with ConnectionPool(database_url(), min_size=1, max_size=8, kwargs=options) as self.pool:
            yield
            with self.pool.connection() as connection:
                assert not connection.autocommit
                limit: Any = connection.execute("SHOW lock_timeout").fetchone()
                assert limit == {"lock_timeout": "0"}

    def make_store(self) -> Store:
        return PostgreSQLStore(self.pool, schema=self.schema())


@pytest.fixture
def store() -> Iterator[PostgreSQLStore]:
    with schema() as name:
        store = PostgreSQLStore(database_url(), schema=name)
        store.open()
        yield store
        store.close()


def test_namespaces_of_one_schema_know_nothing_of_each_other(store: PostgreSQLStore) -> None:
    other = PostgreSQLStore(database_url(), schema=store._schema, namespace="other")
    other.open()
    for each in (store, other):
        assert claim(each, keys=["k"]).mine
        holding(each, "lock")
        each.put("k", "v")
        ended(each)
    assert other.prune(age=0, keep=0) == 1
    assert len(store.runs()) == 3
    other.delete("k")
    assert store.get("k") == "v"
    other.close()


def test_a_lease_through_a_pool_of_one_connection_is_not_free_for_its_own_process(
    store: PostgreSQLStore,
) -> None:
    """O12: a session's advisory lock would be given twice. Nothing is left in the session at all,
    as pgbouncer's transaction mode demands."""
    with ConnectionPool(database_url(), min_size=1, max_size=1) as pool:
        pooled = PostgreSQLStore(pool, schema=store._schema)
        run = holding(pooled, "lock")
        lease = pooled.acquire(claimed(pooled), "lock", ttl=LONG)
        assert (lease.mine, lease.holder) == (False, run)
        for _ in range(10):
            pooled.get("k")
        with pool.connection() as connection:
            left = "SELECT name FROM pg_prepared_statements"
            assert connection.execute(left).fetchall() == []
            left = "SELECT 1 FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
            assert connection.execute(left.encode()).fetchall() == []
            for limit in ("lock_timeout", "statement_timeout"):
                assert connection.execute(f"SHOW {limit}".encode()).fetchone() == ("0",)
            connection.commit()
            connection.autocommit = True
            connection.execute("DISCARD ALL")
            connection.autocommit = False
        assert pooled.renew(run, ttl=LONG) is None
        assert not pooled.acquire(claimed(pooled), "lock", ttl=LONG).mine


def test_many_may_open_at_once() -> None:
    """As the workers of a first deployment do."""
    with schema() as name:
        stores = [
            PostgreSQLStore(database_url(), schema=name, namespace=str(number))
            for number in range(8)
        ]
        in_threads(lambda index: stores[index].open())
        assert admin(f"SELECT version FROM {name}.meta") == [(1,)]
        for store in stores:
            store.close()


def test_who_waited_for_the_tables_does_not_make_them_again(
    store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [0, 1]
    monkeypatch.setattr(_store, "migrations_done", lambda _: versions.pop(0))
    store.open()
    assert versions == []


def test_what_fails_on_a_connection_of_a_pool_leaves_it_a_good_one() -> None:
    with schema() as name, ConnectionPool(database_url(), min_size=1, max_size=1) as pool:
        store = PostgreSQLStore(pool, schema=name)
        with pytest.raises(StoreError):
            store.get("k")
        store.open()
        store.put("k", "v")
        with pool.connection() as connection:
            assert not connection.autocommit
    with pytest.raises(StoreError, match="closed"):
        store.get("k")


def test_a_schema_that_is_there_needs_no_right_to_make_one(store: PostgreSQLStore) -> None:
    url = with_options(database_url(), options="-c%20role%3Dpg_monitor")
    mine = PostgreSQLStore(url, schema=f"test_{uuid.uuid4().hex}")
    with pytest.raises(StoreError, match=r"permission denied.*Grant it"):
        mine.open()
    admin(f"GRANT ALL ON SCHEMA {store._schema} TO pg_monitor")
    for kind in ("TABLES", "SEQUENCES"):
        admin(f"GRANT ALL ON ALL {kind} IN SCHEMA {store._schema} TO pg_monitor")
    theirs = PostgreSQLStore(url, schema=store._schema)
    theirs.open()
    holding(theirs, "lock")
    theirs.close()
    mine.close()

    with schema() as name:
        admin(f"CREATE SCHEMA {name}")
        admin(f"GRANT ALL ON SCHEMA {name} TO pg_monitor")
        given = PostgreSQLStore(url, schema=name)
        given.open()
        claimed(given)
        given.close()


def test_a_database_that_cannot_keep_every_text_is_refused() -> None:
    """The error of a job could be what it cannot keep."""
    name = f"test_{uuid.uuid4().hex}"
    admin(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        url = make_conninfo(database_url(), dbname=name)
        store = PostgreSQLStore(url)
        with pytest.raises(StoreError, match=r"encoding LATIN1.*UTF8"):
            store.open()
        store.close()
    finally:
        admin(f"DROP DATABASE {name} WITH (FORCE)")


def test_data_of_a_newer_version_is_refused(store: PostgreSQLStore) -> None:
    admin(f"UPDATE {store._schema}.meta SET version = 2")
    with pytest.raises(StoreError, match=r"version 2, and .* up to 1\. Upgrade afterwork"):
        store.open()


def test_a_store_that_was_never_opened_says_so() -> None:
    store = PostgreSQLStore(database_url(), schema=f"test_{uuid.uuid4().hex}")
    with pytest.raises(StoreError, match=r"does not exist.*Call open\(\) first"):
        store.runs()
    store.close()


def test_a_server_that_is_not_there_is_an_error_at_once() -> None:
    """O11: fail closed, and soon."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = PostgreSQLStore(f"postgresql://user:{SECRET}@127.0.0.1:{port}/db", timeout=1)
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.open()
    assert time.monotonic() - start < 3
    assert caught.value.store == f"postgresql://127.0.0.1:{port}/db"
    assert "can be reached" in str(caught.value)
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {store!r}"


def test_a_server_that_does_not_say_a_word_is_an_error_within_the_timeout() -> None:
    """O11: it takes the connection, and that is all. libpq waits for at least 2 s."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        store = PostgreSQLStore(f"postgresql://user@127.0.0.1:{port}/db", timeout=1)
        start = time.monotonic()
        with pytest.raises(StoreError, match="timeout"):
            store.now()
        assert time.monotonic() - start < 5


def test_a_line_that_goes_dead_is_an_error_within_the_timeout() -> None:
    """O11: the server's own limits are of no use then. Afterwards it works again."""
    with Proxy(database_url(), 5432) as proxy:
        store = PostgreSQLStore(proxy.url, timeout=0.5)
        store.now()
        proxy.go_dead()
        start = time.monotonic()
        with pytest.raises(StoreError, match="the server does not answer"):
            store.now()
        assert time.monotonic() - start < 5
        proxy._dead.clear()
        assert store.now() > 0
        store.close()


def test_connections_that_were_dropped_are_made_anew(store: PostgreSQLStore) -> None:
    """By the server, as at its restart, or on the way."""
    in_threads(lambda _: store.put("k", "v"), 4)
    victims = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT'"
    assert len(admin(victims)) >= 1
    assert store.get("k") == "v"

    with Proxy(database_url(), 5432) as proxy:
        through = PostgreSQLStore(proxy.url, schema=store._schema)
        for _ in range(3):
            assert through.get("k") == "v"
            proxy.cut()
        through.close()


@pytest.mark.parametrize("idle", [False, True])
def test_a_lock_that_is_not_let_go_is_an_error_within_the_timeout(
    store: PostgreSQLStore, idle: bool
) -> None:
    other = PostgreSQLStore(database_url(), schema=store._schema, timeout=0.3)
    if idle:
        other.now()
    with store._connections.transaction("job", "default", "job"):
        start = time.monotonic()
        with pytest.raises(StoreError, match="lock timeout"):
            claim(other, keys=["k"])
        assert time.monotonic() - start < 3
    assert claim(other, keys=["k"]).mine
    other.close()


def test_what_fails_half_way_has_not_happened(
    store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the cable was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(_claims, "_take_keys", fail)
        with pytest.raises(StoreError, match="cable"):
            claim(store, keys=["k"])
    assert store.runs() == []
    assert store.jobs() == {}
    assert claim(store, keys=["k"]).mine


def test_text_that_is_none_is_an_error_of_the_store(store: PostgreSQLStore) -> None:
    for text in ("\ud800", "\0"):
        with pytest.raises(StoreError):
            store.put("k", text)
    assert store.get("k") is None


def test_pruning_takes_the_oldest_and_leaves_what_a_key_stands_for(store: PostgreSQLStore) -> None:
    names = ids(4)
    for name in names:
        end(store, claim(store, record(id=name), [name]).run.id)
    bare = ended(store, id=ids(1)[0])
    assert store.prune(age=1000, keep=0) == 1
    assert store.run(bare) is None
    assert [run.id for run in store.runs()] == names[::-1]


def test_the_answer_that_a_run_is_in_the_way_names_the_holder_first(
    store: PostgreSQLStore,
) -> None:
    waiting, holder, other = ids(3)
    for name in (waiting, holder, other):
        claimed(store, id=name)
    assert store.acquire(holder, "lock", ttl=LONG).mine
    assert store.wait(waiting, "lock")
    assert store.acquire(other, "lock", ttl=LONG).holder == holder


def test_threads_that_do_everything_at_once_never_deadlock(store: PostgreSQLStore) -> None:
    """Rows are locked in one order everywhere."""

    def work(number: int) -> None:
        for turn in range(6):
            run = claim(store, record(f"j{turn % 2}"), [f"{turn}"], ttl=0.01, reopen=True).run.id
            if not store.acquire(run, f"l{turn % 2}", ttl=0.01).mine:
                store.wait(run, f"l{turn % 2}")
            store.renew(run, ttl=0.01 * number)
            store.reap()
            end(store, run, "failed", job=f"j{turn % 2}", attempt=99)
            store.register([f"j{other}" for other in range(4)])
            store.prune(age=0, keep=number)

    in_threads(work, 8)
    until(lambda: store.reap() or not store.runs(state="running"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_has_connections_of_its_own(store: PostgreSQLStore) -> None:
    """gunicorn with preload forks after start-up."""
    store.put("before", "1")
    parents = store._connections._idle[0]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(20):
                store.put(f"child-{number}", "1")
            assert parents not in store._connections._idle
            store.close()
            os.write(write, b"ok")
        finally:
            os._exit(0)
    for number in range(20):
        store.put(f"parent-{number}", "1")
    os.waitpid(pid, 0)
    assert os.read(read, 2) == b"ok"
    os.close(read)
    os.close(write)
    assert len(store.notes("child-")) == len(store.notes("parent-")) == 20
    assert store._connections._idle[0] is parents


def test_after_a_fork_the_connections_are_the_parents(
    store: PostgreSQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the test above, in one process."""
    store.now()
    parents = store._connections._idle[0]
    monkeypatch.setattr(store._connections, "_pid", -1)
    store.now()
    assert store._connections._idle[0] is not parents
    assert not parents.closed
    parents.close()


def test_no_more_connections_than_callers_at_a_time(store: PostgreSQLStore) -> None:
    for _ in range(5):
        store.now()
    assert len(store._connections._idle) == 1
    gate = threading.Barrier(3)

    def work(_: int) -> None:
        with store._connections.transaction():
            gate.wait(10)

    in_threads(work, 3)
    assert len(store._connections._idle) == 3
    store.close()
    assert len(store._connections._idle) == 0


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"postgresql://user:{SECRET}@host:6543/db", "postgresql://host:6543/db"),
        (f"postgres://user:{SECRET}@host/db?sslmode=require", "postgresql://host/db"),
        (f"postgresql+psycopg://user:{SECRET}@host/db", "postgresql://host/db"),
        (f"postgresql://one:1,two:2/db?password={SECRET}", "postgresql://one,two:1,2/db"),
        ("postgresql://user:p?1@host/db", "postgresql://host/db"),
        (f"host=/run/pg dbname=db password={SECRET}", "postgresql:///run/pg/db"),
        ("", "postgresql:///"),
    ],
)
def test_a_password_is_never_shown(url: str, name: str) -> None:
    shown = repr(PostgreSQLStore.from_url(url))
    assert shown == f"PostgreSQLStore({name!r}, namespace='default', schema='afterwork')"


@pytest.mark.parametrize("password", ["p/1", "1/2", "p@1", "p%zz1"])
def test_a_password_in_a_url_that_cannot_be_read_is_not_shown_either(password: str) -> None:
    with pytest.raises(StoreError, match="as %XX") as caught:
        PostgreSQLStore.from_url(f"postgresql://user:{password}@host/db")
    assert caught.value.store == "postgresql"
    assert password not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_url_has_the_options_too() -> None:
    store = PostgreSQLStore.from_url("postgresql://h/d?schema=s&namespace=shop&timeout=2")
    assert repr(store) == "PostgreSQLStore('postgresql://h/d', namespace='shop', schema='s')"
    assert store._connections._timeout == 2


def test_what_cannot_be_understood_is_refused_where_it_is_given() -> None:
    with pytest.raises(InvalidOptionError, match="ConnectionPool"):
        PostgreSQLStore(object())  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="namespace"):
        PostgreSQLStore("", namespace="")
    with pytest.raises(InvalidOptionError, match="schema"):
        PostgreSQLStore("", schema='x"; DROP')
    with pytest.raises(InvalidOptionError, match="timeout"):
        PostgreSQLStore("", timeout=0)
    with pytest.raises(InvalidOptionError, match="timeout"):
        PostgreSQLStore.from_url("postgresql://host/db?timeout=soon")


def test_without_psycopg_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    ours = "afterwork_integrations.postgresql"
    for module in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[postgresql\]'"):
        importlib.import_module(ours)
