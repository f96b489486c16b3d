"""`run`, `retry` and `due`: runs in this process, by the one pipeline."""

from __future__ import annotations

import json
import logging
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import SQLiteStore
from afterwork.testing import FakeClock
from tests.cli.support import SHOP, piped, started, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from afterwork.stores import RunRecord
    from tests.cli.support import Shell


def records(folder: Path, **wanted: Any) -> list[RunRecord]:
    store = SQLiteStore(folder / "afterwork.db")
    store.open()
    try:
        return store.runs(**wanted)
    finally:
        store.close()


def test_a_job_runs_with_its_arguments_and_leaves_a_record(shop: Shell) -> None:
    done = shop("run", "nightly", "days=7", "note=plain text")
    assert done.code == 0
    assert "cleaning 7 plain text" in done.out
    assert "nightly succeeded in" in done.out
    (record,) = records(shop.folder)
    assert (record.job, record.trigger, record.state) == ("nightly", "manual", "succeeded")
    assert record.slot is None


def test_the_document_of_a_run_is_alone_on_stdout(shop: Shell) -> None:
    done = shop("run", "nightly", "--json-args", '{"days": 2}', "note=[1]", "--json")
    run = done.document["run"]
    assert run["state"] == "succeeded"
    assert isinstance(run["duration_seconds"], float)
    assert "cleaning 2 [1]" in done.err


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["run"], "There are: nightly, hourly, bad, slow"),
        (["run", "days=3"], "the job's name goes first"),
        (["run", "nightly", "days"], "KEY=VALUE"),
        (["run", "nightly", "day=3"], "unexpected keyword argument 'day'"),
        (["run", "nightly", "--json-args", "{"], "no JSON"),
        (["run", "nightly", "--json-args", "[]"], "an object"),
        (["run", "nightly", "--log-level", "loud"], "none of debug"),
    ],
)
def test_wrong_usage(shop: Shell, argv: list[str], problem: str) -> None:
    done = shop(*argv)
    assert done.code == 2
    assert problem in done.err
    assert done.out == ""


def test_an_unknown_job_is_not_found(shop: Shell) -> None:
    done = shop("run", "nightli")
    assert done.code == 3
    assert "Did you mean 'nightly'?" in done.err


def test_exit_codes_say_how_it_ended(shop: Shell) -> None:
    assert shop("run", "bad").code == 1
    assert shop("run", "slow").code == 124
    store = SQLiteStore(shop.folder / "afterwork.db")
    store.open()
    from afterwork.stores import RunRecord

    store.claim(RunRecord(id="0" * 36, job="nightly", trigger="manual"), (), keep=60, ttl=60)
    store.acquire("0" * 36, "nightly", ttl=60)
    skipped = shop("run", "nightly")
    assert skipped.code == 4
    assert "nightly skipped: run 0" in skipped.out
    assert shop("run", "nightly", "--ok-if-skipped").code == 0
    store.close()


def test_an_error_is_shown_without_its_control_characters(shop: Shell) -> None:
    done = shop("run", "bad")
    assert "ValueError: no \\x1b[31m good" in done.out


def test_a_store_that_is_down_is_a_failure(shop: Shell) -> None:
    (shop.folder / "afterwork.db").write_text("this is no database, but long enough to be one")
    done = shop("run", "nightly")
    assert done.code == 1
    done = shop("runs")
    assert done.code == 1
    assert "could not open" in done.err


def test_the_log_is_streamed_unless_the_app_has_its_own(
    shop: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    shop.write(
        SHOP.replace("    print(", "    import logging; logging.info('halfway')\n    print(")
    )
    done = shop("run", "nightly")
    assert "INFO    root  halfway" in done.err
    assert "halfway" not in shop("run", "nightly", "--log-level", "ERROR").err
    assert logging.getLogger().handlers == []


def test_somebody_who_watches_is_told_that_it_still_runs(
    shop: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    import afterwork.cli._output
    import afterwork.cli._run

    monkeypatch.setattr(afterwork.cli._run, "PROGRESS_SECONDS", 0.01)
    assert "slow running for" not in shop("run", "slow").err
    monkeypatch.setattr(afterwork.cli._output.Output, "interactive", True, raising=False)
    monkeypatch.setattr(
        afterwork.cli._output.Output, "__setattr__", _all_but_interactive, raising=False
    )
    assert "slow running for 0.0" in shop("run", "slow").err


def _all_but_interactive(self: object, name: str, value: object) -> None:
    if name != "interactive":
        object.__setattr__(self, name, value)


VERCEL = {
    "VERCEL_SCHEDULE_NAME": "nightly",
    "VERCEL_SCHEDULE_SCHEDULED_AT": "1772953200000",
    "VERCEL_SCHEDULE_EXECUTION_ID": "exec_1",
}


def test_vercels_variables_pick_job_slot_and_delivery(
    shop: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T21: exit 0 only on success, so a second delivery of the slot is none."""
    for name, value in VERCEL.items():
        monkeypatch.setenv(name, value)
    assert shop("run").code == 0
    (record,) = records(shop.folder)
    assert (record.job, record.slot, record.delivery) == ("nightly", 1772953200, "exec_1")
    assert record.trigger == "schedule"

    again = shop("run", "--json")
    assert again.code == 4
    assert again.document["run"]["status"] == "duplicate"
    assert again.document["run"]["id"] == record.id
    monkeypatch.setenv("VERCEL_SCHEDULE_EXECUTION_ID", "")
    assert shop("run").code == 4  # another delivery of the same slot
    monkeypatch.setenv("VERCEL_SCHEDULE_EXECUTION_ID", "exec_2")
    monkeypatch.setenv("VERCEL_SCHEDULE_SCHEDULED_AT", "")
    assert shop("run").code == 0
    monkeypatch.setenv("VERCEL_SCHEDULE_SCHEDULED_AT", "noon")
    done = shop("run")
    assert done.code == 2
    assert "it is 'noon'" in done.err


SIGNALLED = """
import asyncio, os, pathlib, signal, time
from afterwork import Afterwork, current_run

work = Afterwork()

@work.job
async def waits():
    pathlib.Path("started").touch()
    if os.environ.get("SELF"):
        os.kill(os.getpid(), int(os.environ["SELF"]))
    await asyncio.sleep(60)

@work.job
def polite():
    os.kill(os.getpid(), signal.SIGTERM)
    while current_run().stop_reason is None:
        time.sleep(0.005)

@work.job
def deaf():
    os.kill(os.getpid(), signal.SIGTERM)
    while current_run().stop_reason is None:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.7)

@work.job
async def clings():
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.02)
"""


def test_sigterm_leads_to_a_recorded_cancelled(tmp_path: Path) -> None:
    """T21: with a real process."""
    (tmp_path / "main.py").write_text(SIGNALLED)
    variables = {**VERCEL, "VERCEL_SCHEDULE_NAME": "waits"}
    process = started(tmp_path, "run", **variables)
    try:
        wait_for((tmp_path / "started").exists)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143
    assert "waits cancelled" in out
    (record,) = records(tmp_path)
    assert (record.state, record.reason) == ("cancelled", "SIGTERM")
    assert record.slot == 1772953200


@pytest.mark.parametrize(
    ("job", "code", "state"),
    [
        ("waits", 130, "cancelled"),
        ("polite", 0, "succeeded"),
        ("deaf", 143, "abandoned"),
        ("clings", 130, "cancelled"),
    ],
)
def test_a_signal_asks_the_job_to_stop(
    empty: Shell, monkeypatch: pytest.MonkeyPatch, job: str, code: int, state: str
) -> None:
    """Async ones are cancelled and may clean up; a sync one that looks ends in its own way; one
    that does not is left behind at the second signal."""
    monkeypatch.setenv("SELF", str(int(signal.SIGINT)))
    empty.write(SIGNALLED)
    before = signal.getsignal(signal.SIGTERM)
    assert empty("run", job).code == code
    assert records(empty.folder)[0].state == state
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_outside_the_main_thread_has_no_signals(shop: Shell) -> None:
    from threading import Thread

    codes: list[int] = []
    thread = Thread(target=lambda: codes.append(shop("run", "nightly").code))
    thread.start()
    thread.join(20)
    assert codes == [0]


def test_retry_runs_the_job_of_a_run_again(shop: Shell) -> None:
    shop("run", "nightly", "days=3")
    (first,) = records(shop.folder)
    done = shop("retry", "last", "days=4", "--json")
    assert done.code == 0
    assert done.document["run"]["trigger"] == "retry"
    assert "cleaning 4" in done.err
    second, _ = records(shop.folder)
    assert (second.trigger, second.id != first.id) == ("retry", True)
    assert shop("retry", first.id[:18]).code == 0


def test_what_cannot_be_run_again_is_said(shop: Shell) -> None:
    from afterwork.stores import RunRecord

    assert shop("retry", "last").code == 3
    store = SQLiteStore(shop.folder / "afterwork.db")
    store.open()
    store.claim(
        RunRecord(id="1" * 36, job="send_mail", trigger="after", state="failed"),
        (),
        keep=60,
        ttl=0,
    )
    done = shop("retry", "last")
    assert done.code == 2
    assert "only jobs can be run again" in done.err
    store.claim(RunRecord(id="2" * 36, job="nightly", trigger="http"), (), keep=60, ttl=60)
    done = shop("retry", "last")
    assert done.code == 1
    assert "afterwork cancel 2222" in done.err
    store.close()


def make_due(folder: Path, hours: int) -> None:
    """As if the job had been registered so long ago."""
    clock = FakeClock(datetime.now(UTC) - timedelta(hours=hours))
    store = SQLiteStore(folder / "afterwork.db", clock=clock)
    store.open()
    store.register(["hourly"])
    store.close()


def test_due_runs_what_is_due_once(shop: Shell) -> None:
    shop.write(SHOP.replace('every("1h")', 'every("1h", misfire="all")'))
    make_due(shop.folder, 3)
    done = shop("due", "--json")
    assert done.code == 0
    hourly = [run for run in done.document["runs"] if run["job"] == "hourly"]
    assert [run["state"] for run in hourly] == ["succeeded"] * 3
    assert [run["slot"] for run in hourly] == sorted(run["slot"] for run in hourly)
    again = shop("due")
    assert (again.code, again.out) == (0, "")
    assert "nothing is due; next is" in again.err


def test_due_fails_if_a_run_does(empty: Shell) -> None:
    empty.write(
        "from afterwork import Afterwork\nwork = Afterwork()\n"
        "@work.every('1h')\ndef hourly(): 1 / 0"
    )
    make_due(empty.folder, 1)
    done = empty("due")
    assert done.code == 1
    assert "hourly failed" in done.out


def test_due_without_schedules(empty: Shell) -> None:
    empty.write("from afterwork import Afterwork\nwork = Afterwork()\nwork.job(name='x')(int)")
    assert "no job has a schedule" in empty("due").err


def test_due_starts_nothing_after_a_signal(empty: Shell) -> None:
    empty.write(
        "import os, signal, time\nfrom afterwork import Afterwork, current_run\n"
        "work = Afterwork()\n"
        "@work.every('1h', misfire='all')\n"
        "def hourly():\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    while current_run().stop_reason is None: time.sleep(0.005)"
    )
    make_due(empty.folder, 3)
    done = empty("due")
    assert done.code == 143
    assert done.out.count("hourly succeeded") == 1


def test_piped_as_a_process(tmp_path: Path) -> None:
    """Data on stdout, the rest on stderr, and no colour."""
    (tmp_path / "main.py").write_text(SHOP)
    done = piped(tmp_path, "run", "bad", "--json")
    assert done.code == 1
    assert json.loads(done.out)["run"]["state"] == "failed"
    assert "Traceback" in done.err
    assert "\033" not in done.out
