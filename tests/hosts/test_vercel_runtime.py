"""Vercel's own runtime, with a stand-in for the platform around it."""

from __future__ import annotations

import math
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers.journal import until

from .runtimes import NEWEST, OLD, interpreter, runtime
from .vercel import ROOT, Function, Unconnected

APP = Path(__file__).with_name("vercel_app.py")
PROMPT = 0.02
"""Seconds in which a client has its response."""
BUSY = 4
"""Where the machine is too busy for that: times what a request without a callback takes."""
TRIES = 20

versions = pytest.mark.parametrize("version", [NEWEST, OLD])


@versions
def test_the_client_is_done_at_once_and_the_function_goes_on_until_the_work_is(
    tmp_path: Path, version: str
) -> None:
    """The function is frozen at `end`, so what is done then is all that was done for it."""
    with Function(tmp_path, APP, version=version) as function:
        function.ended(function.call().invocation)
        answer = function.call("/?work=receipt&seconds=1")
        end = function.ended(answer.invocation)

        until(lambda: function.frozen, "the function to be frozen")
        done = [line.event for line in function.journal.lines(name="receipt")]
        bare = quick = math.inf
        for _ in range(TRIES):
            bare = min(bare, function.call().seconds)
            quick = min(quick, function.call("/?work=letter&seconds=0.5").seconds)
            if quick < PROMPT:
                break

    assert (answer.status, answer.body) == (200, b"thank you\n")
    assert end - answer.at > 0.9
    assert done == ["done", "nested"]
    assert quick < max(PROMPT, BUSY * bare)


@versions
def test_a_request_without_callbacks_ends_with_its_response(tmp_path: Path, version: str) -> None:
    with Function(tmp_path, APP, version=version) as function:
        function.ended(function.call().invocation)
        answers = (function.call() for _ in range(TRIES))

        assert any(function.ended(each.invocation) - each.at < PROMPT for each in answers)


def test_a_function_in_a_thread_holds_it_too(tmp_path: Path) -> None:
    with Function(tmp_path, APP) as function:
        answer = function.call("/?thread=report&seconds=0.5")
        end = function.ended(answer.invocation)
        done = function.journal.lines("done", "report")

    assert end - answer.at > 0.4
    assert len(done) == 1


def test_the_work_of_one_request_does_not_hold_another(tmp_path: Path) -> None:
    """They share the process, and each has an end of its own."""
    with Function(tmp_path, APP) as function:
        with ThreadPoolExecutor() as pool:
            slow = pool.submit(function.call, "/?work=slow&seconds=1.5")
            function.journal.wait("remaining", "none")
            quick = function.call()
            quick_end = function.ended(quick.invocation)
        slow_end = function.ended(slow.result().invocation)
        done = function.journal.lines("done", "slow")

    assert slow_end - quick_end > 0.5
    assert len(done) == 1


def test_work_knows_the_end_of_the_function_and_is_cut_a_second_before_it(tmp_path: Path) -> None:
    """The margin's second is taken off what is left, so 3 s leave 2."""
    with Function(tmp_path, APP) as function:
        answer = function.call("/?work=long&seconds=30", seconds=3)
        end = function.ended(answer.invocation)
        cut = function.journal.wait("cut", "long")
        remaining = float(function.journal.lines("remaining")[0].name)
        until(lambda: "after.dropped" in function.log, "the report of it")
        log = function.log
        again = function.call("/?work=next")
        function.ended(again.invocation)

        assert function.journal.lines("done", "next")

    assert 0 < remaining <= 2
    assert cut.at <= end < answer.at + 3
    (dropped,) = [line for line in log.splitlines() if "after.dropped" in line]
    assert "deadline" in dropped
    assert "work" in dropped


def test_an_old_runtime_tells_no_deadline(tmp_path: Path) -> None:
    with Function(tmp_path, APP, version=OLD) as function:
        answer = function.call("/?work=one", seconds=5)
        function.ended(answer.invocation)

        assert function.journal.lines("remaining", "none")


def test_failures_of_callbacks_and_of_the_app_stay_with_their_request(tmp_path: Path) -> None:
    with Function(tmp_path, APP) as function:
        failed = function.call("/?fail=paper-jam&work=beside")
        function.ended(failed.invocation)
        crashed = function.call("/?crash=paper-out&work=after-crash&seconds=0.1")
        function.ended(crashed.invocation)
        done = {line.name for line in function.journal.lines("done")}
        answer = function.call()
        function.ended(answer.invocation)
        log = function.log

    assert (failed.status, crashed.status, answer.status) == (200, 500, 200)
    assert done == {"beside", "after-crash"}
    assert "paper-jam" in log


def test_a_client_that_leaves_takes_nothing_with_it(tmp_path: Path) -> None:
    with Function(tmp_path, APP) as function:
        connection, invocation = function.ask("/?work=kept&seconds=0.5")
        function.journal.wait("remaining", "none")
        function.leave(connection, invocation)
        function.ended(invocation)

        assert len(function.journal.lines("done", "kept")) == 1


def test_a_function_that_is_removed_ends_its_work_before_its_lifespan(tmp_path: Path) -> None:
    """As far as the platform lets it: it grants 500 ms after SIGTERM."""
    with Function(tmp_path, APP, freezes=False) as function:
        function.journal.wait("lifespan.startup", "")
        answer = function.call("/?work=last&seconds=0.4")
        function.journal.wait("remaining", "none")
        function.process.terminate()
        function.process.wait(10)
        events = [line.event for line in function.journal.lines()]

    assert answer.status == 200
    assert events.index("done") < events.index("lifespan.shutdown")


@versions
def test_without_the_connection_the_work_runs_before_the_response_is_out(
    tmp_path: Path, version: str
) -> None:
    """The function is frozen as soon as its handler returns, and a warning has said so."""
    with Unconnected(tmp_path, APP, version=version) as function:
        answer = function.call("/?work=receipt&seconds=0.3")
        until(lambda: function.frozen, "the function to be frozen")
        done = [line.event for line in function.journal.lines(name="receipt")]
        log = function.log_path.read_text()

    assert (answer["statusCode"], answer["body"]) == (200, "thank you\n")
    assert done == ["done", "nested"]
    assert "freezes the function once the response is out" in log


SHAPES = """
from starlette.applications import Starlette
from vercel_runtime.resolver import detect_app_type
from afterwork import AfterMiddleware, Afterwork

async def app(scope, receive, send): ...

framework = Starlette()
framework.add_middleware(AfterMiddleware)
work = Afterwork(store="memory:")
for shape in (AfterMiddleware(app), work.wrap(app), AfterMiddleware(framework), framework):
    kind, found = detect_app_type(shape, "main", "app")
    assert (kind, found) == ("asgi", shape), (kind, found)

class Unclear:
    def __call__(self, *args): ...

try:
    detect_app_type(Unclear(), "main", "app")
except RuntimeError:
    print("refused")
"""


def test_the_loader_takes_a_wrapped_app_for_what_it_is(tmp_path: Path) -> None:
    """It looks at `__call__`: an async def with three positional parameters, and no `.asgi`."""
    path = ":".join(map(str, (runtime(), ROOT, ROOT / "integrations")))
    environ = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [interpreter(), "-c", SHAPES]
    done = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=50
    )

    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
