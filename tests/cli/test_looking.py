"""`list`, `runs`, `show`, `cancel`, `pause`, `resume`, `metrics` and `store`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from afterwork import SQLiteStore
from afterwork.stores import RunRecord
from afterwork.testing import FakeClock
from tests.cli.support import SHOP, Result, started, wait_for
from tests.cli.test_run import make_due, records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.support import Shell

MEMORY = SHOP.replace("Afterwork()", "Afterwork(store='memory:')")


def store_of(shop: Shell) -> SQLiteStore:
    store = SQLiteStore(shop.folder / "afterwork.db")
    store.open()
    return store


# -- list


def test_list_shows_schedule_last_next_and_state(shop: Shell) -> None:
    assert not (shop.folder / "afterwork.db").exists()
    out = shop("list", "--tz", "UTC").out
    assert re.search(r"nightly +at 03:00 every day, America/New_York time +never +20", out)
    assert re.search(r"bad +by hand +never +- +ok", out)
    assert not (shop.folder / "afterwork.db").exists()  # looking makes no file

    shop("run", "nightly")
    shop("run", "bad")
    shop("run", "bad")
    shop("pause", "hourly", "--note", "moving house", "--until", "2h")
    out = shop("list").out
    assert re.search(r"nightly .*succeeded (now|\d+s ago)", out)
    assert re.search(r"bad .*failed (now|\d+s ago) .*failing, 2 in a row", out)
    assert re.search(r"hourly .*paused until 20\S+Z \(moving house\)", out)
    shop("pause", "slow")
    assert re.search(r"slow .* paused\n", shop("list").out)
    assert list(map(first_word, shop("list", "--failing").out.splitlines())) == ["JOB", "bad"]


def first_word(line: str) -> str:
    return line.split()[0]


def test_list_sorts_by_the_next_run(shop: Shell) -> None:
    names = [each["job"] for each in shop("list", "--next", "--json").document["jobs"]]
    assert set(names[:2]) == {"nightly", "hourly"}
    assert names[2:] == ["bad", "slow"]


def test_lists_that_are_empty(empty: Shell) -> None:
    empty.write("from afterwork import Afterwork\nwork = Afterwork()")
    assert "no jobs are registered in main:work (the file main.py)" in empty("list").err
    empty.write(SHOP)
    assert "no job fails or is late" in empty("list", "--failing").err


def test_list_tells_what_is_late(shop: Shell) -> None:
    make_due(shop.folder, 5)
    entries = {each["job"]: each for each in shop("list", "--json").document["jobs"]}
    assert entries["hourly"]["late"] is True
    assert re.search(r"hourly .*late", shop("list").out)


def test_list_goes_on_without_the_store(shop: Shell) -> None:
    (shop.folder / "afterwork.db").write_text("no database, but a text that is long enough")
    done = shop("list")
    assert done.code == 0
    assert "nightly" in done.out
    assert "without the last runs: the store" in done.err
    assert "could not open" in shop("list", "--json").document["store_error"]


# -- runs and show


def test_runs_and_show(shop: Shell) -> None:
    assert "there are no such runs in sqlite:///" in shop("runs").err
    assert shop("show", "last").code == 3
    shop("run", "nightly")
    shop("run", "bad")
    out = shop("runs").out.splitlines()
    assert re.search(r"bad +failed .* manual +ValueError: no \\x1b\[31m good", out[1])
    assert re.search(r"nightly +succeeded", out[2])
    assert len(shop("runs", "--limit", "1").out.splitlines()) == 2
    assert len(shop("runs", "nightly").out.splitlines()) == 2
    assert len(shop("runs", "--state", "failed", "--json").document["runs"]) == 1
    bad, nightly = records(shop.folder)
    before = shop("runs", "--before", "last", "--json").document["runs"]
    assert [run["id"] for run in before] == [nightly.id]

    for text in (bad.id, bad.id[:17], bad.id.upper(), "last", "last-failed"):
        assert shop("show", text, "--json").document["run"]["id"] == bad.id
    shown = shop("show", nightly.id, "--tz", "UTC").out
    assert re.search(r"outcome +succeeded", shown)
    assert re.search(r"started +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \+00:00", shown)


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (("runs", "nobody"), 3, "there is no job 'nobody'"),
        (("runs", "slow"), 0, "there are no such runs"),
        (("runs", "--state", "odd"), 2, "'odd' is none of claimed, running"),
        (("show", "xyz"), 2, "a run is last, last-failed, or an id"),
        (("show", "0"), 2, "several runs begin with '0'"),
        (("show", "ffff"), 3, "there is no run 'ffff'"),
        (("show", "f" * 36), 3, "there is no run"),
        (("show", "last-failed"), 3, "no run has failed"),
    ],
)
def test_runs_that_are_not_there(
    shop: Shell, argv: tuple[str, ...], code: int, problem: str
) -> None:
    shop("run", "nightly")
    shop("run", "nightly")
    done = shop(*argv)
    assert done.code == code
    assert problem in done.err


def test_ids_are_as_short_as_they_can_be(shop: Shell) -> None:
    store = store_of(shop)
    for end in "ab":
        run = RunRecord(
            id=f"01a200bd-b488-7f4d-9989-6bfd098fc7d{end}", job="x", trigger="after", state="failed"
        )
        store.claim(run, (), keep=1, ttl=0)
    store.close()
    out = shop("runs").out
    assert "01a200bd-b488-7f4d-9989-6bfd098fc7db  x" in out


# -- cancel

HELD = """
import asyncio, pathlib
from afterwork import Afterwork

work = Afterwork(lease=0.3)

@work.job
async def waits():
    pathlib.Path("started").touch()
    await asyncio.sleep(60)
"""


def test_cancel_stops_a_run_of_another_process(empty: Shell) -> None:
    """Also one that may overlap with others, and so holds no lock."""
    empty.write(HELD)
    process = started(empty.folder, "run", "waits")
    try:
        wait_for((empty.folder / "started").exists)
        asked = empty("cancel", "last", "--reason", "enough", "--json")
        assert asked.code == 0
        assert asked.document["run"]["state"] == "running"
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "waits cancelled" in out
    (record,) = records(empty.folder)
    assert (record.state, record.reason) == ("cancelled", "enough")
    over = empty("cancel", "last")
    assert over.code == 1
    assert "is over: it is cancelled" in over.err


def test_cancel_can_wait_for_the_end(shop: Shell) -> None:
    store = store_of(shop)
    run = RunRecord(id="3" * 36, job="bad", trigger="http")
    store.claim(run, (), keep=60, ttl=60)
    done = shop("cancel", "3", "--wait", "0")
    assert done.code == 0
    assert "it sees that within 20 s" in done.err
    assert store.get("stop:" + run.id) == "cancelled by hand"
    waiting: list[Result] = []
    thread = Thread(target=lambda: waiting.append(shop("cancel", "3", "--wait", "20s")))
    store.delete("stop:" + run.id)
    thread.start()
    wait_for(lambda: store.get("stop:" + run.id))
    from dataclasses import replace

    store.finish(replace(run, state="cancelled"))
    thread.join(20)
    assert waiting[0].code == 0
    assert "bad cancelled" in waiting[0].out
    store.claim(replace(run, id="4" * 36), (), keep=60, ttl=60)
    assert shop("cancel", "4", "--wait", "1").code == 1
    store.close()


def test_what_cannot_be_cancelled(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop("cancel", "last").code == 3
    shop.write(
        MEMORY + "\nfrom afterwork.stores import RunRecord\nwork.store.claim("
        "RunRecord(id='5' * 36, job='bad', trigger='http'), (), keep=60, ttl=60)"
    )
    done = shop("cancel", "last")
    assert done.code == 2
    assert "the store is in memory" in done.err


# -- pause and resume


def test_pause_and_resume(shop: Shell) -> None:
    done = shop("pause", "nightly")
    assert done.out == "nightly is paused until it is resumed\n"
    done = shop("pause", "nightly", "--until", "2126-03-10T12:00", "--tz", "Europe/Paris")
    assert done.out == "nightly is paused until 2126-03-10 12:00:00 +01:00\n"
    document = shop("pause", "nightly", "--until", "90m", "--note", "x", "--json").document
    assert document["note"] == "x"
    assert document["until"] > datetime.now(UTC).isoformat()
    assert shop("resume", "nightly", "--json").document["resumed"] is True
    again = shop("resume", "nightly")
    assert again.code == 3
    assert "was not paused" in again.err
    assert shop("resume", "nightly", "--json").code == 3
    shop("pause", "nightly")
    assert shop("resume", "nightly").out == "nightly runs again\n"


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (("pause", "nobody"), 3, "there is no job"),
        (("resume", "nobody"), 3, "there is no job"),
        (("pause", "nightly", "--until", "2020-01-01"), 2, "is over already"),
        (("pause", "nightly", "--until", "0s"), 2, "is over already"),
        (("pause", "nightly", "--until", "later"), 2, "--until is a duration"),
        (("cancel", "last", "--wait", "1x"), 2, "this duration is refused"),
    ],
)
def test_pauses_that_are_refused(
    shop: Shell, argv: tuple[str, ...], code: int, problem: str
) -> None:
    done = shop(*argv)
    assert done.code == code
    assert problem in done.err


def test_a_pause_in_memory_would_be_seen_by_nobody(empty: Shell) -> None:
    empty.write(MEMORY)
    assert "no other process would see it" in empty("pause", "nightly").err


# -- metrics


def test_metrics_are_prometheus_text(shop: Shell) -> None:
    shop("run", "nightly")
    shop("run", "bad")
    shop("pause", "hourly")
    store = store_of(shop)
    odd = RunRecord(id="6" * 36, job='od"d\\job\n', trigger="after", state="failed")
    store.claim(odd, (), keep=1, ttl=0)
    store.close()
    lines = shop("metrics").out.splitlines()
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert names == {line.split()[2] for line in lines if line.startswith("# HELP")}
    sample = re.compile(r'([a-z_]+)\{(\w+="(?:[^"\\\n]|\\.)*",?)+\} -?\d+(\.\d+)?(e-\d+)?$')
    for line in lines:
        if not line.startswith("#"):
            match = sample.match(line)
            assert match, line
            assert match[1] in names
    assert 'afterwork_runs_total{job="nightly",outcome="succeeded"} 1' in lines
    assert 'afterwork_runs_total{job="od\\"d\\\\job\\n",outcome="failed"} 1' in lines
    assert 'afterwork_job_paused{job="hourly"} 1' in lines
    assert 'afterwork_job_late{job="hourly"} 0' in lines
    assert any(
        line.startswith('afterwork_next_run_timestamp_seconds{job="nightly"}') for line in lines
    )
    document = shop("metrics", "--json").document
    assert {"job": "bad", "value": 1} in document["metrics"]["afterwork_failures_in_a_row"]


def test_metrics_before_anything_ran(shop: Shell) -> None:
    assert 'afterwork_runs_total{job="nightly",outcome="failed"} 0' in shop("metrics").out


# -- store


def test_the_store(shop: Shell) -> None:
    path = str(shop.folder / "afterwork.db")
    assert shop("store", "path").out == path + "\n"
    document = shop("store", "path", "--json").document
    assert (document["path"], document["exists"], document["shared"]) == (path, False, "machine")
    assert shop("store", "stats").code == 3
    shop("run", "nightly")
    shop("run", "bad")
    out = shop("store", "stats").out
    assert re.search(r"size +\d+ KiB", out)
    assert re.search(r"succeeded 1", out)
    document = shop("store", "stats", "--json").document
    assert document["ended"] == {"succeeded": 1, "failed": 1}
    assert document["live"] == {"claimed": 0, "running": 0}
    assert document["size_bytes"] > 0
    done = shop("store", "vacuum", "--json").document
    assert 0 < done["size_bytes"] <= done["size_bytes_before"]
    assert "KiB now" in shop("store", "vacuum").out
    assert shop("store").code == 2


def test_prune_says_how_much_it_deletes(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(datetime.now(UTC) - timedelta(days=9))
    store = SQLiteStore(shop.folder / "afterwork.db", clock=clock)
    store.open()
    for number in range(5):
        run = RunRecord(id=f"{number}" * 36, job="bad", trigger="after", state="failed")
        store.claim(run, (), keep=1, ttl=0)
    store.close()
    assert shop("store", "prune").out == "0 records deleted\n"
    assert shop("store", "prune", "--keep", "4", "--json").document["deleted"] == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    done = shop("store", "prune", "--older-than", "8d")
    assert done.out == "4 records deleted\n"
    assert "4 records deleted so far" in done.err


def test_other_stores_than_files(empty: Shell) -> None:
    empty.write(MEMORY)
    assert empty("store", "path").out == "memory:\n"
    assert "size" not in empty("store", "stats").out
    done = empty("store", "vacuum")
    assert done.code == 2
    assert "only a SQLite file" in done.err


def test_vacuum_needs_an_open_store(tmp_path: Path) -> None:
    from afterwork.errors import StoreError

    with pytest.raises(StoreError, match="it is not open"):
        SQLiteStore(tmp_path / "a.db").vacuum()
