"""Two apps on two machines, as far as they can tell: one Redis or one PostgreSQL between them."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from afterwork._stores import as_store
from tests.schedules.rows import SIBLING, UVICORN
from tests.schedules.slots import assert_none_ran_twice, observed, ran, recorded
from tests.servers.journal import until
from tests.services import database_url, redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.schedules.conftest import Start
    from tests.servers.journal import Line
    from tests.servers.server import Server

LEASE_SECONDS = 1.5
RUN_SECONDS = 0.6


@pytest.fixture(params=["redis", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A store that nobody else uses."""
    name = f"test_{uuid.uuid4().hex}"
    with ExitStack() as stack:
        if request.param == "redis":
            stack.callback(_forget_namespace, name)
            yield _with(redis_url(), f"namespace={name}")
        else:
            stack.callback(_drop_schema, name)
            yield _with(database_url(), f"schema={name}")


def test_the_survivor_of_two_apps_goes_on(url: str, start: Start) -> None:
    """L1, O5: one of them is killed in the middle of a run. Each slot ran once, or its run is
    recorded as abandoned; those after it run in the other app."""
    environ = {
        "CLOCKWORK_STORE": url,
        "CLOCKWORK_LEASE": str(LEASE_SECONDS),
        "CLOCKWORK_SECONDS": str(RUN_SECONDS),
    }
    survivor, victim = start(SIBLING, **environ), start(UVICORN, **environ)
    journal = survivor.journal
    until(lambda: _under_way(victim) and len(observed(journal)) >= 2, "a run of the victim")
    victim.kill()
    victim.exited()
    (cut,) = _under_way(victim)
    until(lambda: max(ran(journal)) >= int(cut.name) + 4, "the survivor to go on")
    store = as_store(url)
    store.open()
    # Whoever runs next takes it down, once the lease of the dead run is over.
    until(lambda: recorded(store, "abandoned"), "the run to be abandoned")
    survivor.terminate()
    survivor.exited()

    assert recorded(store, "abandoned") == {int(cut.name)}
    store.close()
    assert_none_ran_twice(journal)
    counts, slots = ran(journal), observed(journal)
    expected = {slot: int(slot != int(cut.name)) for slot in slots}
    assert {slot: counts[slot] for slot in slots} == expected
    pids = {line.pid for line in journal.lines("started")}
    assert pids == {victim.process.pid, survivor.process.pid}


def _under_way(server: Server) -> list[Line]:
    """The runs that this server has begun and not ended."""
    over = {line.name for line in server.journal.lines("ran")}
    lines = server.journal.lines("started")
    return [line for line in lines if line.pid == server.process.pid and line.name not in over]


def _with(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{option}"


def _forget_namespace(name: str) -> None:
    with redis.Redis.from_url(redis_url()) as client:
        for key in client.scan_iter(f"afterwork:{{{name}}}:*", count=10_000):
            client.delete(key)


def _drop_schema(name: str) -> None:
    with psycopg.connect(database_url(), autocommit=True, connect_timeout=5) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())
