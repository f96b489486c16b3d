"""While it serves: what a client notices of callbacks, and what callbacks notice of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .journal import until

if TYPE_CHECKING:
    from .server import Server
    from .wire import Connection

AT_ONCE_SECONDS = 0.05
TRIES = 3
"""The best of so many counts: the machine may have been busy with something else."""

in_task_and_thread = pytest.mark.parametrize("thread", ["", "1"], ids=["async", "sync"])


def is_over(server: Server, name: str) -> bool:
    return bool(server.journal.lines("done", name))


@in_task_and_thread
def test_the_client_has_its_last_byte_while_the_callback_runs(
    server: Server, name: str, thread: str
) -> None:
    """R1: the response waits for no callback."""
    seconds = []
    with server.connect() as client:
        client.get()  # the first request of a connection pays for imports and such
        for number in range(TRIES):
            reply = client.get(name=f"{name}{number}", seconds=2, thread=thread)
            assert (reply.status, reply.body) == (200, b"ok")
            assert not is_over(server, f"{name}{number}")
            seconds.append(reply.seconds)
            if reply.seconds < AT_ONCE_SECONDS:
                break
    assert min(seconds) < AT_ONCE_SECONDS
    server.journal.wait("started", f"{name}0")


@in_task_and_thread
def test_the_next_request_of_the_connection_is_answered_while_the_callback_runs(
    server: Server, name: str, thread: str
) -> None:
    """R14: a connection is free again as soon as the response is out; nothing runs twice."""
    with server.connect() as client:
        client.get(name=name, seconds=2, thread=thread)
        server.journal.wait("started", name)
        replies = [client.get(body="next") for _ in range(TRIES)]
        assert not is_over(server, name)
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"next")] * TRIES
    assert min(reply.seconds for reply in replies) < AT_ONCE_SECONDS
    assert len(server.journal.lines("started", name)) == 1


@in_task_and_thread
def test_a_failing_callback_costs_neither_the_connection_nor_a_second_response(
    server: Server, name: str, thread: str
) -> None:
    """R29: a request that is in flight on the connection when the callback fails has its reply.
    R30: there are as many responses on the wire as there were requests, each the right one."""
    with server.connect() as client:
        first = client.get(name=name, seconds=0.2, fails=1, thread=thread, body="first")
        client.ask(handler=1, name=f"{name} next", body="second")
        until(lambda: f"run.failed callback={name!r}" in server.log, "the failure in the log")
        assert not server.journal.lines("answered", f"{name} next")
        second = client.reply()
        third, surplus = client.last(body="third")
    replies = [(reply.status, reply.body) for reply in (first, second, third)]
    assert replies == [(200, b"first"), (200, b"second"), (200, b"third")]
    assert surplus == b""


@pytest.mark.parametrize("hang_up", ["fin", "rst"])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_a_client_that_hangs_up_loses_no_callback(
    server: Server, name: str, hang_up: str, moment: str
) -> None:
    """R44, R45, R47: whenever the client leaves, and however, the callback runs to its end, once,
    and not before the handler is over."""
    client = server.connect()
    if moment == "before":
        client.ask(name=name, seconds=0.3, handler=0.3)
        server.journal.wait("queued", name)
    elif moment == "during":
        client.ask("/stream", name=name, seconds=0.3)
        client.first_chunk()
    else:
        client.get(name=name, seconds=0.3)
    _hang_up(client, hang_up)
    done = server.journal.wait("done", name)
    _run_another(server, f"{name} another")
    events = [line.event for line in server.journal.lines(name=name)]
    assert events == ["queued", "answered", "started", "done"]
    assert done.pid == server.journal.lines("queued", name)[0].pid


def _hang_up(client: Connection, manner: str) -> None:
    if manner == "fin":
        client.fin()
    else:
        client.rst()


def _run_another(server: Server, name: str) -> None:
    """One more callback from start to end, so that a second run of the one before would show."""
    with server.connect() as client:
        client.get(name=name, seconds=0.05)
    server.journal.wait("done", name)
