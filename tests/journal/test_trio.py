"""Durable calls on trio: written together with those of other loops, and run after the response."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from afterwork import Afterwork, SQLiteStore, _closing, after
from afterwork._loop import current_loop
from afterwork.testing import MemoryEngine
from tests.journal.support import durable, states
from tests.support import PATIENCE, Wire, answering, http_scope


def test_a_request_on_trio_runs_its_call(tmp_path: Path) -> None:
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"))
    job, seen = durable(work)
    wires = [Wire(http_scope(), [{"type": "http.request", "body": b""}]) for _ in range(5)]
    made: list[Any] = []
    app = work.wrap(answering(lambda: made.append(after(job, len(made)))))

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for wire in wires:
                    nursery.start_soon(app, wire.scope, wire.receive, wire.send)
            while states(work.store):
                await trio.sleep(0.001)

    trio.run(main)
    assert sorted(seen) == list(range(5))
    assert [wire.status for wire in wires] == [200] * 5
    assert {run.state for run in work.store.runs()} == {"succeeded"}


def test_a_request_that_is_cancelled_on_trio_leaves_nothing(tmp_path: Path) -> None:
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"))
    job, seen = durable(work)
    work.dispatch.store()
    wire = Wire(http_scope(), [{"type": "http.request", "body": b""}])
    app = work.wrap(answering(lambda: after(job) and None))

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await app(wire.scope, wire.receive, wire.send)
        with trio.fail_after(PATIENCE):
            while states(work.store):
                await trio.sleep(0.001)

    trio.run(main)
    assert (wire.messages, seen, states(work.store)) == ([], [], {})


def test_an_engine_that_cannot_be_closed_holds_nobody_up_on_trio(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(MemoryEngine):
        async def close(self) -> None:
            await trio.sleep(PATIENCE)

    monkeypatch.setattr(_closing, "LEAVE_SECONDS", 0.01)
    work = Afterwork(store="memory:", engine=Stuck())
    assert work.engine.name == "memory"

    async def main() -> None:
        loop = current_loop()
        assert loop is not None
        await _closing.close(work.pipeline, loop, 1)

    trio.run(main)
    assert "engine.not_closed seconds=0.01" in caplog.text


def test_a_signal_that_is_set_on_trio_itself() -> None:
    async def main() -> None:
        loop = current_loop()
        assert loop is not None
        signal = loop.signal()
        signal.set_here()
        with trio.fail_after(PATIENCE):
            await signal.reached()

    trio.run(main)
