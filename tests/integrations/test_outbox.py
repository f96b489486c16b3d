"""The line of errands behind pings and alerts."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from functools import partial
from typing import Any

import pytest
from afterwork_integrations._outbox import Lost, Outbox, _leave

SCRIPT = """
import os, sys, threading
from afterwork_integrations._outbox import Outbox
outbox = Outbox("test")
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + script],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def warnings(caplog: Any) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "afterwork.test"]


def raise_lost() -> None:
    raise Lost("receiver.example", "it answered 500")


def test_errands_are_run_in_order_in_another_thread() -> None:
    outbox = Outbox("test")
    ran: list[tuple[int, int]] = []
    for number in range(50):
        outbox.put(lambda number=number: ran.append((number, threading.get_ident())))  # type: ignore[misc]

    assert outbox.flush(10)

    assert [number for number, _ in ran] == list(range(50))
    assert {thread for _, thread in ran} & {threading.get_ident()} == set()
    assert len({thread for _, thread in ran}) == 1


def test_one_that_is_never_used_starts_no_thread() -> None:
    before = threading.active_count()
    assert Outbox("test").flush(0)
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [ValueError("a-secret"), SystemExit("a-secret")])
def test_what_an_errand_raises_ends_nothing_and_is_told_without_its_text(
    error: BaseException, caplog: Any
) -> None:
    def fail() -> None:
        raise error

    outbox = Outbox("test")
    ran: list[int] = []
    outbox.put(fail)
    outbox.put(lambda: ran.append(1))
    assert outbox.flush(10)

    assert ran == [1]
    assert warnings(caplog) == [f"test.failed problem={type(error).__name__!r} lost=1"]
    assert "a-secret" not in caplog.text


def test_l6_one_warning_a_minute_says_how_many_were_lost(caplog: Any) -> None:
    """L6: however often a receiver fails."""
    outbox = Outbox("test")
    for _ in range(20):
        outbox.put(raise_lost)
    assert outbox.flush(10)
    line = outbox._line()
    line.warned_at -= 61
    outbox.put(raise_lost)
    assert outbox.flush(10)

    said = "test.failed host='receiver.example' problem='it answered 500' lost="
    assert warnings(caplog) == [f"{said}1", f"{said}20"]


def test_a_full_line_loses_what_comes_and_holds_nobody_up(caplog: Any) -> None:
    outbox = Outbox("test", size=3)
    go, begun = threading.Event(), threading.Event()
    ran: list[int] = []

    def block() -> None:
        begun.set()
        go.wait(10)

    outbox.put(block)
    assert begun.wait(10)
    began = time.monotonic()
    for number in range(10):
        outbox.put(partial(ran.append, number))
    assert time.monotonic() - began < 1

    assert warnings(caplog) == ["test.failed problem='3 others wait already' lost=1"]
    go.set()
    assert outbox.flush(10)
    assert ran == [0, 1, 2]


def test_a_flush_gives_up_after_its_time() -> None:
    outbox = Outbox("test")
    go = threading.Event()
    outbox.put(lambda: go.wait(10))

    assert not outbox.flush(0.01)
    go.set()
    assert outbox.flush(10)


def test_without_a_thread_an_errand_waits_for_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    outbox = Outbox("test")
    ran: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        outbox.put(lambda: ran.append(1))
    assert warnings(caplog) == ["test.failed problem='RuntimeError' lost=1"]

    outbox.put(lambda: ran.append(2))
    assert outbox.flush(10)
    assert ran == [1, 2]


def test_a_log_that_fails_ends_nothing() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    outbox = Outbox("test")
    handler = Broken()
    logger = logging.getLogger("afterwork.test")
    logger.addHandler(handler)
    try:
        outbox.put(raise_lost)
        assert outbox.flush(10)
    finally:
        logger.removeHandler(handler)
    ran: list[int] = []
    outbox.put(lambda: ran.append(1))
    assert outbox.flush(10)
    assert ran == [1]


def test_what_is_done_as_a_process_ends() -> None:
    """As the two tests below, in this process."""
    outbox = Outbox("test")
    ran: list[int] = []
    outbox.put(lambda: ran.append(1))
    _leave(weakref.ref(outbox))
    assert ran == [1]

    go = threading.Event()
    outbox.put(lambda: go.wait(10))
    assert not outbox.flush(0.01)
    began = time.monotonic()
    _leave(weakref.ref(outbox))
    assert time.monotonic() - began < 1
    go.set()

    _leave(weakref.ref(Outbox("gone")))


def test_a_process_that_ends_without_a_flush_waits_for_what_is_left() -> None:
    ended = run("for n in range(3): outbox.put(lambda n=n: print(n, flush=True))")
    assert (ended.returncode, ended.stdout) == (0, "0\n1\n2\n")


def test_a_process_that_ends_after_a_vain_flush_waits_no_more() -> None:
    began = time.monotonic()
    ended = run("outbox.put(threading.Event().wait); print(outbox.flush(0.01))")
    assert (ended.returncode, ended.stdout) == (0, "False\n")
    assert time.monotonic() - began < 4


def test_an_outbox_that_is_gone_holds_up_no_end() -> None:
    ended = run("outbox.put(print); outbox.flush(5); del outbox")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_line_of_its_own() -> None:
    ended = run(
        "outbox.put(lambda: None); outbox.flush(5)\n"
        "pid = os.fork()\n"
        "outbox.put(lambda: os.write(1, b'parent ' if pid else b'child '))\n"
        "done = outbox.flush(5)\n"
        "if pid == 0: os._exit(not done)\n"
        "sys.exit(os.waitpid(pid, 0)[1] or not done)"
    )
    assert (ended.returncode, sorted(ended.stdout.split())) == (0, ["child", "parent"])
