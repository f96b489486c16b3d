"""Cloud Run: real uvicorn, with a stand-in for the platform around it.

With request-based billing the CPU is taken away when no request is in flight (SIGSTOP here). With
instance-based billing it stays. Either ends with SIGTERM and, 10 s later, SIGKILL.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from afterwork._settings import DEFAULT_GRACE_SECONDS
from tests.servers.journal import until

from .machine import ROOT, Machine

KILL_AFTER = 10.0
GRACE = 8.0
HOME = ROOT / "tests" / "servers"
SERVE = "exec uvicorn {app} --host 127.0.0.1 --port $PORT --no-access-log"
K = {"K_SERVICE": "shop", "K_REVISION": "shop-00001-abc", "K_CONFIGURATION": "shop"}
NOTE = "host.limited"


def machine(directory: Path, *, freezes: bool = False, app: str = "shop:app") -> Machine:
    path = (HOME, directory)
    command = SERVE.format(app=app)
    return Machine(directory, command, K, freezes=freezes, kill_after=KILL_AFTER, path=path)


def module(directory: Path, host: str) -> str:
    """An app that says which host it wants, as its user would."""
    text = "from shop import shop\nfrom afterwork import AfterMiddleware\n"
    text += f"app = AfterMiddleware(shop, host={host!r}, grace={GRACE})\n"
    (directory / "chosen.py").write_text(text)
    return "chosen:app"


def test_before_end_is_done_before_the_freeze(tmp_path: Path) -> None:
    app = module(tmp_path, "before_end")
    with machine(tmp_path, freezes=True, app=app) as run:
        answer = run.call("/?name=receipt&seconds=0.5")
        until(lambda: run.frozen, "the CPU to be gone")
        (done,) = run.journal.lines("done", "receipt")
        log = run.log

    assert answer.status == 200
    assert done.at < answer.at
    assert NOTE not in log


def test_what_is_detached_stands_still_until_the_next_request(tmp_path: Path) -> None:
    """Nothing is lost as long as the instance lives, but nobody knows when it goes on. That is what
    the warning is for, and it comes once."""
    with machine(tmp_path, freezes=True) as run:
        answer = run.call("/?name=receipt&seconds=1.5")
        until(lambda: run.frozen, "the CPU to be gone")
        before = run.journal.lines("done", "receipt")
        with run.flight():
            done = run.journal.wait("done", "receipt")
        until(lambda: run.frozen, "the CPU to be gone again")
        run.call("/?name=letter&seconds=0")
        log = run.log

    assert (answer.status, before) == (200, [])
    assert done.at > answer.at
    (note,) = [line for line in log.splitlines() if NOTE in line]
    for way_out in ('host="detached"', 'host="before_end"', "queue"):
        assert way_out in note


def test_work_that_stood_still_is_drained_if_sigterm_brings_the_cpu_back(
    tmp_path: Path,
) -> None:
    """The stand-in does; Google's pages do not say so in so many words. What stood still then has
    the 10 s."""
    app = module(tmp_path, "detached")
    with machine(tmp_path, freezes=True, app=app) as run:
        run.call("/?name=receipt&seconds=1")
        until(lambda: run.frozen, "the CPU to be gone")
        assert not run.journal.lines("done", "receipt")
        _, killed = run.shut_down()

        assert not killed
        assert run.journal.lines("done", "receipt")


def test_with_instance_based_billing_the_client_does_not_wait_and_sigterm_does(
    tmp_path: Path,
) -> None:
    app = module(tmp_path, "detached")
    with machine(tmp_path, app=app) as run:
        run.call("/")
        answer = run.call("/?name=receipt&seconds=4")
        run.journal.wait("started", "receipt")
        seconds, killed = run.shut_down()
        events = [line.event for line in run.journal.lines()]
        (done,) = run.journal.lines("done", "receipt")
        log = run.log

    assert done.at > answer.at
    assert (killed, seconds < KILL_AFTER) == (False, True)
    assert events.index("done") < events.index("shutdown")
    assert NOTE not in log


@pytest.mark.parametrize(
    ("kill_after", "grace", "number"),
    [
        (10.0, 8.0, signal.SIGTERM),
        (5.0, 4.0, signal.SIGTERM),
        (5.0, 4.0, signal.SIGINT),
        (30.0, 25.0, signal.SIGTERM),
    ],
    ids=["Cloud Run", "Fly", "Fly with SIGINT", "Heroku, Render and Kubernetes"],
)
def test_a_grace_below_the_platforms_time_reports_what_it_cuts(
    tmp_path: Path, kill_after: float, grace: float, number: signal.Signals
) -> None:
    """The numbers of docs/hosts.md: the drain ends in time, says what it has cut, and the app's own
    shutdown runs before the platform kills."""
    command = SERVE.format(app="shop:app")
    environ = {} if grace == DEFAULT_GRACE_SECONDS else {"SHOP_GRACE": str(grace)}
    with Machine(tmp_path, command, environ, kill_after=kill_after, path=(HOME,)) as run:
        run.call("/?name=endless&seconds=600")
        run.journal.wait("started", "endless")
        seconds, killed = run.shut_down(number)
        shutdowns = run.journal.lines("shutdown")
        log = run.log

    assert not killed
    assert grace <= seconds < kill_after
    assert len(shutdowns) == 1
    (dropped,) = [line for line in log.splitlines() if "after.dropped" in line]
    assert "endless" in dropped


def test_a_grace_beyond_the_platforms_time_loses_work_without_a_word(tmp_path: Path) -> None:
    """Why Fly's 5 s need `grace=4`, or a longer `kill_timeout`: the default grace is 25 s."""
    command = SERVE.format(app="shop:app")
    with Machine(tmp_path, command, {}, kill_after=1.0, path=(HOME,)) as run:
        run.call("/?name=endless&seconds=600")
        run.journal.wait("started", "endless")
        _, killed = run.shut_down()

        assert killed
        assert not run.journal.lines("shutdown")
        assert "after.dropped" not in run.log
