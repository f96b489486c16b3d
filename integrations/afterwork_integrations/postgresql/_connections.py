"""Connections, and transactions on them.

1. A transaction is opened, bounded, given its lock and told the time in one round trip. Its
   settings are its own, so that it works through pgbouncer.
2. It is READ COMMITTED, whatever the database's default: what comes after the lock has to see what
   was done before it by others.
3. Nothing waits for ever: the server ends a statement that takes too long, and we end the
   connection where the server does not answer.
4. A connection on which anything failed is not used again; closing it undoes its transaction.
5. One that the server has dropped in the meantime fails at its first step. Nothing has been done
   then, so a new one is taken.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import psycopg
    from psycopg.rows import tuple_row
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.postgresql needs psycopg 3: pip install 'afterwork[postgresql]'"
    ) from error

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    from psycopg import Connection, Cursor

    class Pool(Protocol):
        """What is used of a `psycopg_pool.ConnectionPool`."""

        def connection(self, timeout: float | None = None) -> AbstractContextManager[Any]: ...

    Row = tuple[Any, ...]

T = TypeVar("T")

SLACK = 1.0
"""Seconds that the server gets on top of its own limit to say that it was reached."""


class Transaction:
    """An open transaction of one namespace. `now` is the server's clock, once it had its lock."""

    def __init__(self, cursor: Cursor[Row], now: float, schema: str, namespace: str) -> None:
        self._cursor = cursor
        self.now = now
        self._schema = schema
        self._common = {"namespace": namespace, "now": now}

    def all(self, query: str, **values: object) -> list[Row]:
        """The rows of a statement, which may say %(namespace)s, %(now)s and "$schema"."""
        self._execute(query, values)
        return self._cursor.fetchall()

    def one(self, query: str, **values: object) -> Row | None:
        """The first row, or None."""
        self._execute(query, values)
        return self._cursor.fetchone()

    def do(self, query: str, **values: object) -> int:
        """How many rows were changed."""
        self._execute(query, values)
        return self._cursor.rowcount

    def script(self, statements: str) -> None:
        """Several statements without values."""
        self._cursor.execute(statements.replace("$schema", self._schema).encode(), prepare=False)

    def _execute(self, query: str, values: dict[str, object]) -> None:
        text = query.replace("$schema", self._schema).encode()
        # A prepared statement would belong to a session.
        self._cursor.execute(text, {**self._common, **values}, prepare=False)


class Connections:
    """As many connections as there are callers at a time. Safe in threads and after a fork.

    It is a list and no `psycopg_pool`, because that one has threads, which a fork does not take
    along, and answers "no connection after 5 s" where the reason is known at once.
    """

    def __init__(self, source: str | Pool, timeout: float, schema: str, namespace: str) -> None:
        self._source = source
        self._timeout = timeout
        self._schema = schema
        self._namespace = namespace
        self._idle: deque[BoundedConnection] = deque()
        self._pid = os.getpid()

    def close(self) -> None:
        """Ends those that are not in use. It can be used again."""
        while idle := self._pop():
            idle.close()

    @contextmanager
    def transaction(self, *lock: str) -> Iterator[Transaction]:
        """A transaction, committed at the end of the `with`, undone where that raises. At most one
        at a time has the lock of that name, in all namespaces of the schema."""
        if isinstance(self._source, str):
            connection, transaction = self._begun(self._source, lock)
            with _ended(connection):
                yield transaction
            self._idle.append(connection)
        else:
            with (
                self._source.connection(timeout=self._timeout) as connection,
                _autocommit(connection),
                _ended(connection),
            ):
                yield self._begin(connection, lock)

    def _begun(self, conninfo: str, lock: tuple[str, ...]) -> tuple[BoundedConnection, Transaction]:
        """A transaction on an idle connection that still works, else on a new one."""
        while idle := self._pop():
            try:
                return idle, self._begin(idle, lock)
            except psycopg.OperationalError as error:
                dropped = idle.closed or isinstance(error, psycopg.errors.AdminShutdown)
                idle.close()
                if not dropped:
                    raise
        connection = BoundedConnection.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=ceil(self._timeout),
        )
        try:
            return connection, self._begin(connection, lock)
        except BaseException:
            connection.close()
            raise

    def _begin(self, connection: Connection[Any], lock: tuple[str, ...]) -> Transaction:
        limit = ceil(self._timeout * 1000)
        statements = [
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            f"SET LOCAL lock_timeout = {limit}",
            # Later than that, so that the error says that it was a lock.
            f"SET LOCAL statement_timeout = {limit + ceil(SLACK * 500)}",
            # Whoever freezes with a lock in hand must not stop the others.
            f"SET LOCAL idle_in_transaction_session_timeout = {limit}",
            "SELECT extract(epoch FROM clock_timestamp())::double precision",
        ]
        if lock:
            text = repr((self._schema, *lock)).encode("utf-8", "backslashreplace")
            number = int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)
            statements.insert(-1, f"SELECT pg_advisory_xact_lock({number})")
        if isinstance(connection, BoundedConnection):
            connection.deadline = time.monotonic() + self._timeout + SLACK
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute(";".join(statements).encode(), prepare=False)
        while cursor.nextset():
            pass
        ((now,),) = cursor.fetchall()
        return Transaction(cursor, now, self._schema, self._namespace)

    def _pop(self) -> BoundedConnection | None:
        if self._pid != os.getpid():
            # They are the parent's. psycopg does not end them when they are garbage here.
            self._idle, self._pid = deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up at its deadline, by `time.monotonic()`."""

    deadline = float("inf")

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        return super().wait(self._bounded(gen), *args, **options)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """The same steps, with a look at the clock between them. psycopg makes one every 0.1 s,
        even where nothing comes."""
        ready = None
        while True:
            try:
                state = gen.send(ready)
            except StopIteration as end:
                value: T = end.value
                return value
            ready = yield state
            if time.monotonic() > self.deadline:
                raise psycopg.OperationalError("the server does not answer")

    def __del__(self, *_: Any) -> None:
        """No warning: a store that is dropped without `close` drops its connections."""


@contextmanager
def _ended(connection: Connection[Any]) -> Iterator[None]:
    """The end of a transaction."""
    try:
        yield
        connection.execute("COMMIT", prepare=False)
    except BaseException:
        connection.close()
        raise


@contextmanager
def _autocommit(connection: Connection[Any]) -> Iterator[None]:
    """A pool's connection with transactions by our own words, as long as it is ours."""
    before = connection.autocommit
    connection.autocommit = True
    yield
    # Where something failed it has been closed, and is of no use to anybody.
    connection.autocommit = before
