"""The program of the workers that the contract of engines starts, run in this process."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from afterwork import Engine, after
from afterwork.testing import MemoryEngine
from afterwork.testing._engine_process import App, WorkerProcess, main, notes

ENGINES: dict[str, MemoryEngine] = {}


def remembered(name: str) -> Engine:
    """The same engine for the same name."""
    return ENGINES.setdefault(name, MemoryEngine())


def test_a_worker_runs_what_waits_until_its_input_ends(tmp_path: Path) -> None:
    ENGINES.clear()
    opener = f"{__name__}:remembered"
    store = f"sqlite:///{tmp_path}/afterwork.db"
    log = str(tmp_path / "log")
    app = App((opener, "one"), store)
    assert app.engine is remembered("one")
    asyncio.run(after.enqueue(app.nap, log, 7, 0.01))
    assert notes(log) == []

    out = io.StringIO()
    told: Any = Told(log)
    main([opener, "one", store], told, out)

    assert out.getvalue() == "ready\n"
    assert [(note["number"], note["what"], note["attempt"]) for note in notes(log)] == [
        (7, "begun", 1),
        (7, "over", 1),
    ]


class Told:
    """An input that ends once the log has two lines."""

    def __init__(self, log: str) -> None:
        self.log = log

    def readline(self) -> str:
        while len(notes(self.log)) < 2:
            time.sleep(0.005)
        return ""


def test_half_a_line_of_the_log_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(json.dumps({"number": 1}) + '\n{"num')
    assert notes(str(log)) == [{"number": 1}]


async def test_a_worker_that_ends_before_it_serves_fails_the_test() -> None:
    with (
        pytest.raises(AssertionError, match="the worker ended with 3"),
        WorkerProcess([sys.executable, "-c", "raise SystemExit(3)"]) as worker,
    ):
        await worker.ready()
