"""`dead`, `status`, and what the doctor says of durable jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.test_check import only, points

if TYPE_CHECKING:
    from tests.cli.support import Shell

DURABLE = """
import asyncio, sys
from afterwork import Afterwork, after

work = Afterwork()

@work.job(durable=True)
async def pay(order: int, token: str = "-"):
    if order < 0:
        raise ValueError("no money")
    return order

async def pay_all(*orders):
    async def app(scope, receive, send):
        for each in orders:
            after(pay, each, token="a-secret")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*args): return {}

    await work.wrap(app)({"type": "http", "method": "GET", "path": "/"}, nothing, nothing)
    await work.engine.close()
"""


@pytest.fixture
def durable(empty: Shell) -> Shell:
    """A shop in which three calls were made, and two of them given up."""
    import asyncio
    import runpy

    empty.write(DURABLE)
    found = runpy.run_path(str(empty.folder / "main.py"))
    asyncio.run(found["pay_all"](7, -1, -2))
    return empty


def dead(shell: Shell, *args: str) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = shell("dead", "list", "--json", *args).document["dead"]
    return letters


def test_dead_letters_are_listed_and_shown_without_secrets(durable: Shell) -> None:
    letters = dead(durable)
    assert sorted(each["arguments"]["order"] for each in letters) == [-2, -1]
    assert {each["arguments"]["token"] for each in letters} == {"[hidden]"}
    assert letters[0]["error"] == "ValueError: no money"
    assert [each["id"] for each in dead(durable, "--before", letters[0]["id"])] == [
        letters[1]["id"]
    ]
    assert not dead(durable, "other")
    out = durable("dead", "list").out
    assert out.count("ValueError: no money") == 2
    shown = durable("dead", "show", letters[0]["id"])
    assert "a-secret" not in shown.out
    assert durable("dead", "show", letters[0]["id"], "--json").document["letter"] == letters[0]
    assert durable("dead", "show", "nobody").code == 3


def test_dead_letters_are_retried_and_deleted(durable: Shell) -> None:
    first, second = (each["id"] for each in dead(durable))
    assert durable("dead", "retry").code == 2
    assert durable("dead", "retry", first, "--all").code == 2
    done = durable("dead", "retry", first, "--json").document
    assert done["retried"] == 1
    assert done["runs"][0] != first
    state = durable("status", done["runs"][0], "--json").document["run"]
    assert (state["state"], state["attempt"]) == ("waiting", 1)
    assert durable("dead", "retry", first).code == 1  # it is none any more
    assert "1 of 1 deleted" in durable("dead", "delete", "--job", "pay").out
    assert durable("dead", "delete", second, "--json").document["deleted"] == 0
    assert "there are no dead letters" in durable("dead", "list").err
    assert durable("dead", "retry", "--all").out.startswith("0 of 0")


def test_a_retried_one_says_its_new_id_and_a_call_that_waits_is_taken_back(durable: Shell) -> None:
    ids = durable("dead", "retry", "--all").out.splitlines()[1:]
    assert len(ids) == 2
    assert "pay cancelled before it ran" in durable("cancel", ids[0]).out
    taken = durable("cancel", ids[1], "--json").document["run"]
    assert (taken["id"], taken["state"]) == (ids[1], "cancelled")
    assert durable("status", ids[0], "--json").document["run"]["state"] == "cancelled"
    over = durable("cancel", ids[0])
    assert over.code == 1
    assert "is over: it is cancelled" in over.err


def test_a_call_that_runs_is_asked_to_end(durable: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that died, here: so nobody answers."""
    from afterwork import SQLiteStore
    from tests.journal.support import add, envelope

    store = SQLiteStore(durable.folder / "afterwork.db")
    store.open()
    add(store, envelope(1, "pay"), owner="a")
    asked = durable("cancel", "call-0001", "--reason", "enough", "--json")
    assert (asked.code, asked.document["run"]["state"]) == (0, "running")
    assert store.get("stop:call-0001") == "enough"
    add(store, envelope(2, "pay"))

    async def too_late(journal: object, run_id: str) -> bool:
        return False

    monkeypatch.setattr("afterwork._journal.Journal.cancel", too_late)
    assert "asked run call-0002 of pay to stop" in durable("cancel", "call-0002").err
    store.close()


def test_the_doctor_sends_nobody_to_an_engine_for_a_damaged_file(empty: Shell) -> None:
    empty.write(DURABLE)
    (empty.folder / "afterwork.db").write_bytes(b"no database" * 1000)
    point = only(empty, "durable")
    assert "the file is damaged" in point["text"]
    assert point["fix"] == "see to the store first"


def test_the_doctor_sees_calls_that_nobody_runs(durable: Shell) -> None:
    from afterwork import SQLiteStore
    from tests.journal.support import add, envelope

    store = SQLiteStore(durable.folder / "afterwork.db")
    store.open()
    add(store, envelope(1, "pay", run_at=store.now()))
    assert not [each for each in points(durable) if each == "overdue"]
    add(store, envelope(2, "pay", run_at=store.now() - 120))
    store.close()
    point = only(durable, "overdue")
    assert (point["verdict"], point["text"]) == ("problem", "calls wait that were due 2m ago")
    assert "afterwork worker" in point["fix"]


def test_status_tells_how_it_ended_and_what_it_returned(durable: Shell) -> None:
    from afterwork import SQLiteStore

    store = SQLiteStore(durable.folder / "afterwork.db")
    store.open()
    (run,) = store.runs(state="succeeded")
    store.close()
    state = durable("status", run.id, "--json").document["run"]
    assert (state["state"], state["result"], state["over"]) == ("succeeded", 7, True)
    assert "succeeded" in durable("status", run.id).out
    assert durable("status", "nobody").code == 3


def test_nothing_is_made_by_looking(empty: Shell) -> None:
    empty.write(DURABLE)
    assert durable_missing(empty("dead", "list").err)
    assert not (empty.folder / "afterwork.db").exists()


def durable_missing(text: str) -> bool:
    return "there is no store yet" in text


def test_the_doctor_knows_what_calls_survive(durable: Shell) -> None:
    point = only(durable, "durable")
    assert point["verdict"] == "ok"
    assert "survive a power cut; those of a worker that died run again within 61 s" in point["text"]
    assert "2 calls were given up, the newest of pay" in only(durable, "dead letters")["text"]


@pytest.mark.parametrize(
    ("settings", "environ", "verdict", "text"),
    [
        ("store='memory:'", {}, "problem", "end with their process"),
        ("", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "note", "each instance has a file"),
        ("", {"MODAL_IS_REMOTE": "1"}, "problem", "keeps no disk"),
        ("store=Foreign()", {}, "problem", "keeps no durable calls"),
        ("engine=ListEngine()", {}, "ok", "1 durable jobs are kept by list"),
    ],
)
def test_the_doctor_warns_where_replicas_share_nothing(
    empty: Shell,
    monkeypatch: pytest.MonkeyPatch,
    settings: str,
    environ: dict[str, str],
    verdict: str,
    text: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    foreign = """
from afterwork import MemoryStore
from tests.durable_unit.support import ListEngine

class Foreign:
    shared, blocks = "network", True

    def __init__(self):
        self.inner = MemoryStore()

    def __getattr__(self, name):
        if name == "journal":
            raise AttributeError(name)
        return getattr(self.inner, name)
"""
    empty.write(foreign + DURABLE.replace("Afterwork()", f"Afterwork({settings})"))
    point = points(empty)["durable"][0]
    assert point["verdict"] == verdict
    assert text in point["text"]
