"""When the process is told to end: SIGTERM, the grace, and the patience of each server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .rows import (
    DAPHNE,
    GRANIAN,
    GUNICORN,
    HYPERCORN_ROWS,
    ROWS,
    UVICORN_LIFESPAN_OFF,
    UVICORN_ROWS,
    Row,
)

if TYPE_CHECKING:
    from .conftest import Start
    from .server import Server

IN_TIME_SECONDS = 3.0
"""How long a process may take to end once nothing holds it up. It is the machine's time, not
ours: a tenth of it is usual."""
GRACE_SECONDS = 1.0
FOR_EVER_SECONDS = 60.0
"""Longer than any of these tests waits."""

every_row = pytest.mark.parametrize("row", ROWS, ids=str)

"""A bug of ours, not a limit of the server: as soon as it is mended, the mark has to go."""


def run_callback(server: Server, name: str, seconds: float, thread: str = "") -> None:
    """Has a callback running whose client still holds the connection, as most clients do."""
    server.connect().get(name=name, seconds=seconds, thread=thread)
    server.journal.wait("started", name)


def assert_done_before_shutdown(server: Server, *names: str) -> None:
    """Each callback ended, once, and after them the app's own shutdown, where it has one."""
    ends = {name: server.journal.lines("done", name) for name in names}
    assert {name: len(lines) for name, lines in ends.items()} == dict.fromkeys(names, 1)
    for (end,) in ends.values():
        assert_shutdown_after(server, end.at, end.pid)


def assert_shutdown_after(server: Server, moment: float, pid: int) -> None:
    """The app's own shutdown ran in that process, once and after that moment."""
    shutdowns = [line.at for line in server.journal.lines("shutdown") if line.pid == pid]
    assert len(shutdowns) == server.row.lifespan
    assert all(shutdown > moment for shutdown in shutdowns)


@every_row
def test_sigterm_waits_for_the_running_callback(row: Row, start: Start) -> None:
    """R72: the process ends after the callback; the app's own shutdown lies between them."""
    server = start(row)
    run_callback(server, "order", seconds=5)
    server.terminate()
    seconds = server.exited()
    assert_done_before_shutdown(server, "order")
    end = server.journal.lines("done")[0].at
    assert seconds - (end - server.signalled) < IN_TIME_SECONDS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_sigterm_waits_for_all_callbacks_whatever_else_is_going_on(row: Row, start: Start) -> None:
    """R72: neither a shorter callback nor a request in flight, with a callback of its own or
    without, ends the process early. Sync callbacks are waited for as well."""
    server = start(row)
    plain, queueing = server.connect(), server.connect()
    run_callback(server, "long", seconds=2.5)
    run_callback(server, "in a thread", seconds=2, thread="1")
    run_callback(server, "short", seconds=0.2)
    plain.ask(name="plain", handler=0.5)
    queueing.ask(name="queueing", handler=0.7, seconds=1)
    server.journal.wait("queued", "plain")
    server.journal.wait("queued", "queueing")
    server.terminate()
    server.exited()
    assert_done_before_shutdown(server, "long", "in a thread", "short", "queueing")


@pytest.mark.parametrize("row", [row for row in ROWS if row is not UVICORN_LIFESPAN_OFF], ids=str)
def test_a_callback_longer_than_the_grace_is_cut_and_reported(row: Row, start: Start) -> None:
    """R73: the log names it, the app's own shutdown still runs, and the process ends in time, even
    where the callback is a thread that cannot be stopped."""
    server = start(row, SHOP_GRACE=str(GRACE_SECONDS))
    run_callback(server, "task", seconds=FOR_EVER_SECONDS)
    run_callback(server, "thread", seconds=FOR_EVER_SECONDS, thread="1")
    server.terminate()
    seconds = server.exited()
    assert GRACE_SECONDS <= seconds - row.before_grace < GRACE_SECONDS + IN_TIME_SECONDS
    assert not server.journal.lines("done")
    assert dropped(server) == ["task", "thread"]
    for line in server.journal.lines("started"):
        assert_shutdown_after(server, server.signalled + row.before_grace + GRACE_SECONDS, line.pid)


def test_without_lifespan_uvicorn_waits_beyond_the_grace(start: Start) -> None:
    """R73 cannot be kept by `uvicorn --lifespan off`. uvicorn waits for the ASGI call without a
    limit and tells nobody that it does, so the grace never begins. The callback is not lost."""
    server = start(UVICORN_LIFESPAN_OFF, SHOP_GRACE=str(GRACE_SECONDS))
    run_callback(server, "order", seconds=3 * GRACE_SECONDS)
    server.terminate()
    assert server.exited() > 2.5 * GRACE_SECONDS
    assert_done_before_shutdown(server, "order")
    assert dropped(server) == []


@pytest.mark.parametrize("row", [*UVICORN_ROWS, *HYPERCORN_ROWS, DAPHNE], ids=str)
def test_callbacks_outlast_the_patience_of_the_server(row: Row, start: Start) -> None:
    """R74: the server cancels the requests that are still in flight after its own timeout, 1 s
    here (daphne: at once). Neither what ran already nor what such a request had queued is lost."""
    server = start(row, f"{row.patience} 1")
    cancelled = server.connect()
    run_callback(server, "running", seconds=2.5)
    cancelled.ask(name="queued", handler=FOR_EVER_SECONDS, seconds=1)
    server.journal.wait("queued", "queued")
    server.terminate()
    server.exited()
    assert server.journal.lines("cut", "queued")
    assert_done_before_shutdown(server, "running", "queued")


def test_callbacks_outlast_the_patience_of_daphne_while_it_serves(start: Start) -> None:
    """R74: daphne cancels an ASGI call that goes on for 1 s after the response, at any time. Its
    log says so; the callback runs to its end, and is not reported as cut."""
    server = start(DAPHNE, f"{DAPHNE.patience} 1")
    run_callback(server, "order", seconds=3.5)
    server.journal.wait("done", "order")
    assert "took too long to shut down and was killed" in server.log
    assert dropped(server) == []


def test_without_lifespan_the_patience_of_uvicorn_is_the_end(start: Start) -> None:
    """R74 cannot be kept by `uvicorn --lifespan off --timeout-graceful-shutdown 1`. uvicorn cancels
    the ASGI call and sends itself the signal that kills it, without a turn of the loop in between:
    nobody hears of the cancelling, nothing can be saved or even logged."""
    server = start(UVICORN_LIFESPAN_OFF, f"{UVICORN_LIFESPAN_OFF.patience} 1")
    run_callback(server, "order", seconds=FOR_EVER_SECONDS)
    server.terminate()
    assert server.exited() < 1 + IN_TIME_SECONDS
    assert "Cancel 1 running task(s), timeout graceful shutdown exceeded" in server.log
    assert [line.event for line in server.journal.lines(name="order")][-1] == "started"
    assert dropped(server) == []


@pytest.mark.parametrize("row", [GUNICORN, GRANIAN], ids=str)
def test_a_server_that_kills_needs_more_patience_than_the_grace(row: Row, start: Start) -> None:
    """R74 cannot be kept where the server's timeout is a SIGKILL, but with a grace below it what
    is cut is reported, and the app's own shutdown runs."""
    server = start(row, f"{row.patience} 4", SHOP_GRACE=str(GRACE_SECONDS))
    run_callback(server, "order", seconds=FOR_EVER_SECONDS)
    server.terminate()
    server.exited()
    assert dropped(server) == ["order"]
    (started,) = server.journal.lines("started")
    assert_shutdown_after(server, server.signalled + GRACE_SECONDS, started.pid)


@pytest.mark.parametrize("row", [GUNICORN, GRANIAN], ids=str)
def test_a_server_that_kills_within_the_grace_loses_work(row: Row, start: Start) -> None:
    """R74 cannot be kept where the server's timeout is a SIGKILL: nobody survives that, and nobody
    is asked before. It is why the default grace is below gunicorn's default timeout."""
    server = start(row, f"{row.patience} 1")
    run_callback(server, "order", seconds=5)
    server.terminate()
    assert server.exited() < 1 + IN_TIME_SECONDS
    assert [line.event for line in server.journal.lines(name="order")][-1] == "started"
    assert not server.journal.lines("shutdown")
    assert dropped(server) == []


def dropped(server: Server) -> list[str]:
    """The callbacks that the log names as dropped, sorted: one line for each request."""
    lines = [line for line in server.log.splitlines() if "after.dropped" in line]
    names = [re.findall(r"callbacks=\['(.*?)'\]", line) for line in lines]
    return sorted(name for found in names for name in found)
