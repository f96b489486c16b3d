"""`worker`: durable calls in a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from afterwork import Afterwork, after
from tests.cli.support import started, wait_for
from tests.cli.test_run import records

if TYPE_CHECKING:
    from tests.cli.support import Shell

APP = """
import asyncio, os, signal
from contextlib import asynccontextmanager
from fastapi import FastAPI
from afterwork import AfterMiddleware, Afterwork, after
from afterwork.testing import MemoryEngine

class Engine(MemoryEngine):
    queue = "mail"

engine = Engine()
work = Afterwork(engine=engine, grace={grace}, worker={worker})
opened = []

@asynccontextmanager
async def lifespan(app):
    opened.append("pool")
    await after.enqueue(send, 1)
    yield
    print("closed with", len(engine.waiting), "waiting")
    opened.clear()

app = FastAPI(lifespan=lifespan)
app.add_middleware(AfterMiddleware, work=work)

@work.every("1s")
def never(): print("the scheduler runs")

@work.job(durable=True)
async def send(number: int):
    print("begun with", opened)
    {body}
    print("sent", number)

def end(times=1):
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGTERM)
"""


def app(body: str, grace: float = 5, worker: str = "True") -> str:
    return APP.format(body=body, grace=grace, worker=worker)


def test_it_runs_calls_until_it_is_stopped(empty: Shell) -> None:
    """With what the app opens, and before that is closed. What runs may end: exit code 0."""
    empty.write(app("end(); await asyncio.sleep(0.1)"))
    done = empty("worker", "main:app", "--concurrency", "3")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[:2] == ["begun with ['pool']", "sent 1"]
    assert "send succeeded in" in lines[2]
    assert lines[3:] == ["closed with 0 waiting"]
    assert "serving memory, queue mail: send of main:app, 3 at a time; stop with" in done.err
    assert "waiting up to 5 s for 1 to end" in done.err


def test_the_setting_says_how_many_at_a_time(empty: Shell) -> None:
    empty.write(app("end()").replace("queue =", "other ="))
    assert "serving memory: send of main:app, 10 at a time" in empty("worker").err


def test_what_the_end_cuts_is_given_back(empty: Shell) -> None:
    """Once `grace` is over."""
    empty.write(app("end(); await asyncio.sleep(60)", grace=0.05))
    done = empty("worker")
    assert done.code == 0
    assert "send cancelled" in done.out
    assert "closed with 1 waiting" in done.out


def test_a_second_signal_cuts_at_once(empty: Shell) -> None:
    empty.write(app("end(2); await asyncio.sleep(60)", grace=50))
    done = empty("worker")
    assert done.code == 143
    assert "closed with 1 waiting" in done.out


def test_an_engine_that_clings_is_cut_too(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterwork.cli._worker.CUT_SECONDS", 0.01)
    source = app("pass", grace=50).replace(
        'queue = "mail"',
        "async def serve(self, *, concurrency, stop):\n        end(2)\n"
        "        await asyncio.sleep(60)",
    )
    empty.write(source)
    done = empty("worker")
    assert done.code == 143
    assert "closed with 1 waiting" in done.out


BARE = """
import os, signal
from afterwork import Afterwork
from afterwork.engines import Envelope
from afterwork.testing import MemoryEngine

engine = MemoryEngine()
work = Afterwork(engine=engine)

@work.job(durable=True)
def send():
    print("sent")
    os.kill(os.getpid(), signal.SIGTERM)

engine._add(Envelope(id="x", job="send"))
"""


def test_without_the_lifespan(empty: Shell) -> None:
    """By choice, or where there is no app."""
    empty.write(BARE)
    assert "sent" in empty("worker").out
    empty.write(app("end()") + "\nengine._add(Envelope(id='y', job='send', payload='[[7],{}]'))")
    source = (empty.folder / "main.py").read_text()
    empty.write("from afterwork.engines import Envelope\n" + source)
    done = empty("worker", "--no-lifespan")
    assert done.code == 0
    assert "begun with []" in done.out
    assert "sent 7" in done.out


def test_documents(empty: Shell) -> None:
    """One for each run, and nothing beside them."""
    empty.write(app("end()"))
    done = empty("worker", "--json")
    (line,) = done.out.splitlines()
    run = json.loads(line)["run"]
    assert (run["job"], run["state"], run["trigger"]) == ("send", "succeeded", "after")


@pytest.mark.parametrize(
    ("before", "behind", "code", "problem"),
    [
        ("@work.job(durable=True)", "@work.job", 2, "Register one so: @work.job(durable=True)"),
        (
            'queue = "mail"',
            "from afterwork.engines import Capabilities as C; capabilities = C(mode='push')",
            2,
            "it calls the trigger route",
        ),
        (
            'queue = "mail"',
            "async def serve(self, *, concurrency, stop): pass",
            1,
            "memory could not go on: its serve() returned although nobody told it to stop",
        ),
    ],
)
def test_what_cannot_be_served(
    empty: Shell, before: str, behind: str, code: int, problem: str
) -> None:
    source = app("pass").replace(before, behind)
    empty.write(source.replace("    await after.enqueue(send, 1)\n", ""))
    done = empty("worker")
    assert done.code == code
    assert problem in done.err


JOURNAL = """
from afterwork import Afterwork

work = Afterwork()

@work.job(durable=True)
async def send(number: int):
    with open("sent", "a") as file:
        file.write(f"{number}\\n")
"""


def test_as_a_process_it_serves_the_journal(tmp_path: Path) -> None:
    """Calls that another process wrote."""
    (tmp_path / "main.py").write_text(JOURNAL)
    work = Afterwork(store=f"sqlite:///{tmp_path}/afterwork.db")

    @work.job(durable=True)
    async def send(number: int) -> None:
        raise AssertionError("it runs in the worker")

    async def enqueue() -> None:
        for number in range(3):
            await after.enqueue(send, number)
        await work.engine.close()

    asyncio.run(enqueue())
    work.store.close()
    process = started(tmp_path, "worker", "main:work")
    try:
        sent = tmp_path / "sent"
        wait_for(lambda: sent.exists() and sent.read_text().count("\n") == 3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert out.count("send succeeded") == 3
    assert sorted(sent.read_text().split()) == ["0", "1", "2"]
    assert {run.state for run in records(tmp_path)} == {"succeeded"}
