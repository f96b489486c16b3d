"""`trigger`: against a real HTTP server."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.support import Shell

SECRET = "a-secret-for-tests-only-0123456789"


class Deployment:
    """A server that writes down what it is asked and answers what it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.code = 200
        self.body = b'{"status": "ok", "run_id": "7"}'
        self.hangs = Event()
        self.let_go = Event()
        deployment = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                deployment.asked.append((self.path, headers, self.rfile.read(length)))
                if deployment.hangs.is_set():
                    deployment.let_go.wait(20)
                self.send_response(deployment.code)
                if deployment.code == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(deployment.body)

            def log_request(self, code: object = "-", size: object = "-") -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cron/"


@pytest.fixture
def deployment(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    monkeypatch.setenv("CRON_SECRET", SECRET)
    found = Deployment()
    thread = Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.let_go.set()
    found.server.shutdown()
    found.server.server_close()
    thread.join(10)


def test_it_signs_and_sends(empty: Shell, deployment: Deployment) -> None:
    done = empty("trigger", "nightly", "--url", deployment.url, "--json-args", '{"days": 3}')
    assert (done.code, done.out) == (0, "nightly ok (HTTP 200)  run_id=7\n")
    ((path, headers, body),) = deployment.asked
    assert path == "/cron/nightly"
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["afterwork-delivery"].startswith("cli-")
    assert json.loads(body) == {"days": 3}
    assert SECRET not in done.out + done.err


def test_slot_mode_and_header(
    empty: Shell, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "another-secret-for-tests-987654")
    deployment.code, deployment.body = 202, b'{"status": "accepted"}'
    done = empty(
        *("trigger", "a b", "--url", deployment.url + "?x=1", "--slot", "2026-03-08T07:00:00Z"),
        *("--mode", "accept", "--secret-env", "OTHER", "--header", "X-Cron-Secret", "--json"),
    )
    assert done.code == 0
    assert done.document == {"version": 1, "http_status": 202, "answer": {"status": "accepted"}}
    ((path, headers, body),) = deployment.asked
    assert path == "/cron/a%20b?x=1&slot=2026-03-08T07%3A00%3A00Z&mode=accept"
    assert headers["x-cron-secret"] == "another-secret-for-tests-987654"
    assert "authorization" not in headers
    assert body == b""


@pytest.mark.parametrize(
    ("http", "status", "code", "hint"),
    [
        (200, "duplicate", 4, ""),
        (200, "failed", 1, ""),
        (500, "failed", 1, ""),
        (500, "timed_out", 124, ""),
        (401, "unauthorized", 1, "the secret is not the one"),
        (404, "unknown_job", 3, "no such job"),
        (503, "unavailable", 1, "is down"),
        (302, "", 1, ""),
    ],
)
def test_answers_become_exit_codes(
    empty: Shell, deployment: Deployment, http: int, status: str, code: int, hint: str
) -> None:
    """A redirect is not followed: it would take the secret elsewhere."""
    deployment.code = http
    deployment.body = json.dumps({"status": status}).encode()
    done = empty("trigger", "nightly", "--url", deployment.url)
    assert done.code == code
    assert hint in done.err
    assert len(deployment.asked) == 1
    if status == "duplicate":
        assert empty("trigger", "nightly", "--url", deployment.url, "--ok-if-skipped").code == 0


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_something_else_answers(empty: Shell, deployment: Deployment, body: bytes) -> None:
    deployment.body = body
    done = empty("trigger", "nightly", "--url", deployment.url)
    assert done.code == 1
    assert "no answer of a trigger route" in done.out


def test_no_answer(empty: Shell, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment.hangs.set()
    done = empty("trigger", "nightly", "--url", deployment.url, "--timeout", "1")
    assert done.code == 124
    deployment.let_go.set()
    done = empty("trigger", "nightly", "--url", "http://127.0.0.1:1/cron")
    assert done.code == 1
    assert "could not be called" in done.err

    def late(*args: Any, **kwargs: Any) -> None:
        from urllib.error import URLError

        raise URLError(TimeoutError())

    monkeypatch.setattr("urllib.request.OpenerDirector.open", late)
    assert empty("trigger", "nightly", "--url", deployment.url).code == 124


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "where is the deployment?"),
        (["--url", "shop.example"], "--url is an address"),
        (["--url", "https://u:p@shop.example"], "without a password"),
        (["--url", "http://shop.example"], "--url is not https"),
        (["--url", "https://shop.example", "--secret-env", "NOBODY"], "NOBODY is not set"),
        (["--url", "https://shop.example", "--secret-env", "WEAK"], "is refused"),
        (["--url", "https://shop.example", "--header", "a: b"], "--header is the name"),
        (["--url", "https://shop.example", "--json-args", "{"], "no JSON"),
    ],
)
def test_wrong_usage(
    empty: Shell, monkeypatch: pytest.MonkeyPatch, argv: list[str], problem: str
) -> None:
    monkeypatch.setenv("CRON_SECRET", SECRET)
    monkeypatch.setenv("WEAK", "short")
    done = empty("trigger", "nightly", *argv)
    assert done.code == 2
    assert problem in done.err
