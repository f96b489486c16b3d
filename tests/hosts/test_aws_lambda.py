"""`afterwork_integrations.aws_lambda` under the real `awslambdaric`, on a stand-in for Lambda."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from .lambda_platform import ROOT, Platform, http_event, until

pytestmark = pytest.mark.timeout(30)


class Function:
    """The function of `lambda_app` on a platform, and what its work wrote down."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.journal = folder / "journal"
        self.journal.touch()
        environ = {"JOURNAL": str(self.journal), **options.pop("environ", {})}
        self.platform = Platform(
            "tests.hosts.lambda_function.handler", folder, environ=environ, **options
        )

    @property
    def lines(self) -> list[str]:
        return [line.partition(" ")[2] for line in self.journal.read_text().splitlines()]

    def at(self, text: str) -> float:
        """When a line was written."""
        for line in self.journal.read_text().splitlines():
            moment, _, rest = line.partition(" ")
            if rest == text:
                return float(moment)
        raise AssertionError(f"{text!r} is not in {self.lines}")


@pytest.fixture(params=[False, True], ids=["main-thread", "thread-polling"])
def function(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Function]:
    """With both ways in which the runtime waits for its next event."""
    made = Function(tmp_path, thread_polling=request.param)
    with made.platform:
        yield made


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Function]:
    made = Function(tmp_path)
    with made.platform:
        yield made


def test_the_client_has_its_answer_and_the_work_is_done_before_the_freeze(
    function: Function,
) -> None:
    result = function.platform.invoke(http_event("/slow/a"))

    assert result.status == 200
    assert result.response["body"] == "ok"
    assert result.response_after < 0.5 < 1.0 < result.over_after < 2.0
    assert function.at("end a") <= result.over_at
    assert function.lines == ["startup", "begin a", "end a"]


def test_the_response_waits_for_nothing_and_without_work_nor_does_the_freeze(
    plain: Function,
) -> None:
    """The fastest of several: the machine may be busy."""
    plain.platform.invoke(http_event("/nothing"))
    nothing = [plain.platform.invoke(http_event("/nothing")) for _ in range(10)]
    slow = [plain.platform.invoke(http_event("/slow/a")) for _ in range(3)]

    assert min(result.over_after for result in nothing) < 0.01
    assert min(result.response_after for result in slow) < 0.02
    assert all(result.over_after > 1.0 for result in slow)


def test_work_is_cut_before_the_deadline_and_does_not_hold_the_next(plain: Function) -> None:
    result = plain.platform.invoke(http_event("/long/a"))

    assert not result.timed_out
    assert result.response_after < 0.5
    assert 2.3 < result.over_after < 3.0
    assert plain.lines == ["startup", "begin a", "cancelled a", "abandoned slow"]
    assert "after.dropped" in plain.platform.log

    after = plain.platform.invoke(http_event("/quick/b"))
    assert after.over_after < 0.5
    assert plain.lines[4:] == ["quick b"]


def test_a_thread_that_nothing_stops_is_reported_and_does_not_hold_the_next(
    plain: Function,
) -> None:
    result = plain.platform.invoke(http_event("/thread"))

    assert not result.timed_out
    assert 2.3 < result.over_after < 3.0
    assert plain.lines == ["startup", "begin thread", "abandoned blocking"]

    assert plain.platform.invoke(http_event("/nothing")).over_after < 0.5


def test_a_failing_callback_costs_nothing_but_itself(plain: Function) -> None:
    result = plain.platform.invoke(http_event("/fail/a"))

    assert result.status == 200
    assert result.over_after < 1.0
    assert plain.lines == ["startup", "fails", "begin a", "end a"] or plain.lines == [
        "startup",
        "begin a",
        "fails",
        "end a",
    ]
    assert "this callback fails on purpose" in plain.platform.log


def test_a_crashing_app_answers_500_and_its_work_is_done(plain: Function) -> None:
    result = plain.platform.invoke(http_event("/crash/a"))

    assert result.status == 500
    assert 0.1 < result.over_after < 1.0
    assert plain.lines == ["startup", "begin a", "end a"]


def test_a_background_task_does_not_hold_up_the_response_either(plain: Function) -> None:
    result = plain.platform.invoke(http_event("/background/a"))

    assert result.response_after < 0.4 < 0.5 < result.over_after < 1.5
    assert plain.lines == ["startup", "begin a", "end a"]


def test_nothing_is_lost_or_doubled_over_many_invocations(plain: Function) -> None:
    for number in range(100):
        result = plain.platform.invoke(http_event(f"/quick/{number}"))
        assert result.status == 200
        assert plain.lines[-1] == f"quick {number}", "done before the freeze"

    assert plain.lines == ["startup", *(f"quick {number}" for number in range(100))]


def test_an_event_that_is_no_request_releases_the_hold(plain: Function) -> None:
    result = plain.platform.invoke({"neither": "request nor job"})

    assert "unable to infer a handler" in result.error["errorMessage"]
    assert result.over_after < 1.0


def test_a_scheduled_event_runs_its_job_once_for_its_slot(plain: Function) -> None:
    event = {
        "afterwork": {
            "job": "nightly",
            "slot": "2026-03-08T07:00:00Z",
            "delivery": "one",
            "attempt": "1",
            "payload": {"region": "us"},
        }
    }
    first = plain.platform.invoke(event)
    second = plain.platform.invoke(event)

    assert first.response["status"] == "ok"
    assert second.response["status"] == "duplicate"
    assert plain.lines == [
        "startup",
        "begin us 2026-03-08 07:00:00+00:00",
        "end us 2026-03-08 07:00:00+00:00",
    ]


def test_the_lifespan_is_ended_when_lambda_ends_the_process(function: Function) -> None:
    function.platform.invoke(http_event("/quick/a"))
    took = function.platform.shutdown()

    assert took is not None, function.platform.log
    assert function.lines == ["startup", "quick a", "shutdown"]


def test_unfinished_work_is_cut_and_reported_at_sigterm(plain: Function) -> None:
    """As when the process is ended in the middle of an invocation."""
    plain.platform.freezes = False  # or it would be frozen in its last words
    calling = Thread(target=plain.platform.invoke, args=(http_event("/long/a"),))
    calling.start()
    try:
        until(lambda: "begin a" in plain.lines)
        assert plain.platform.process is not None
        os.kill(plain.platform.process.pid, signal.SIGTERM)
        until(lambda: plain.platform.exited)
    finally:
        calling.join()

    assert plain.lines == ["startup", "begin a", "cancelled a", "abandoned slow", "shutdown"]


def test_an_app_that_hangs_is_lambda_s_timeout_and_the_next_process_serves(
    plain: Function,
) -> None:
    result = plain.platform.invoke(http_event("/hang"))
    assert result.timed_out
    assert result.response is None

    assert plain.platform.invoke(http_event("/quick/a")).status == 200
    assert plain.lines == ["startup", "startup", "quick a"]


def test_on_managed_instances_nothing_is_registered_and_the_work_goes_on(tmp_path: Path) -> None:
    """They do not freeze, and refuse internal extensions that want to be told of invocations."""
    function = Function(tmp_path, environ={"AWS_LAMBDA_MAX_CONCURRENCY": "1"}, freezes=False)
    with function.platform as platform:
        result = platform.invoke(http_event("/slow/a"))
        assert result.status == 200
        assert result.over_after < 0.8
        assert platform.state.extensions == {}
        until(lambda: "end a" in function.lines)


def test_behind_the_web_adapter_the_work_is_done_before_the_freeze(tmp_path: Path) -> None:
    """A server runs the app, and a small adapter of ours turns invocations into requests."""
    command = [sys.executable, "-m", "tests.hosts.lambda_web_adapter", "tests.hosts.lambda_web:app"]
    function = Function(tmp_path, command=command)
    with function.platform as platform:
        for name in ("a", "b"):
            result = platform.invoke(http_event(f"/slow/{name}"))
            assert result.status == 200
            assert result.response_after < 0.5 < 1.0 < result.over_after < 2.0
            assert function.at(f"end {name}") <= result.over_at
        assert platform.invoke(http_event("/nothing")).over_after < 0.5
    assert function.lines == ["startup", "begin a", "end a", "begin b", "end b"]


def test_the_recipe_runs(tmp_path: Path) -> None:
    """As it stands in `integrations/recipes/aws_lambda`, with the events of its template."""
    recipe = ROOT / "integrations" / "recipes" / "aws_lambda"
    store = {"AFTERWORK_STORE": f"sqlite:///{tmp_path / 'afterwork.db'}"}
    with Platform("main.handler", tmp_path, environ=store, code=recipe, timeout=10) as platform:
        result = platform.invoke(http_event("/orders", "POST"))
        assert result.status == 202
        assert json.loads(result.response["body"]) == {"status": "accepted"}
        assert result.response_after < 1.0 < result.over_after
        assert "receipt sent" in platform.log

        template = (recipe / "template.yaml").read_text()
        (line,) = [line for line in template.splitlines() if "Input:" in line]
        text = line.partition("Input: ")[2].strip("'")
        for name, value in {
            "scheduled-time": "2026-03-08T03:00:00Z",
            "execution-id": "one",
            "attempt-number": "1",
        }.items():
            assert f"<aws.scheduler.{name}>" in text
            text = text.replace(f"<aws.scheduler.{name}>", value)
        for status in ("ok", "duplicate"):
            assert platform.invoke(json.loads(text)).response["status"] == status
