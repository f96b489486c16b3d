"""Cloud Functions (gen2): Google's own functions framework, in its ASGI form, which serves a
Starlette app of its own on gunicorn with uvicorn's worker. Cloud Run is under it.

It knows functions only, and none of its own hooks wraps its app. But what a function returns is
called as an ASGI app, and so a function may return a whole app: ours.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.servers.journal import until

from .machine import ROOT, Machine
from .runtimes import functions_framework

KILL_AFTER = 10.0
MAIN = """
import functions_framework.aio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from shop import work as run
from afterwork import AfterMiddleware, after

async def order(request):
    seconds = float(request.query_params["seconds"])
    after(run, request.path_params["name"], seconds, False)
    return JSONResponse({"path": request.url.path, "body": (await request.body()).decode()})

app = AfterMiddleware(Starlette(routes=[Route("/orders/{name}", order, methods=["POST"])])%s)

@functions_framework.aio.http
async def serve(request):
    return app
"""
PLAIN = """
@functions_framework.aio.http
async def serve(request):
    after(print, "too late")
    return "thank you"
"""
START = "exec python -m functions_framework --target serve --host 127.0.0.1 --asgi"
NOTE = "host.limited"


def function(
    directory: Path, settings: str = "", *, freezes: bool = False, plain: str = ""
) -> Machine:
    (directory / "main.py").write_text(MAIN % settings + plain)
    environ = {
        "FUNCTION_TARGET": "serve",
        "K_SERVICE": "shop",
        "XDG_RUNTIME_DIR": str(directory),  # gunicorn's control socket
        "HOME": str(directory),
    }
    path = (functions_framework(), ROOT / "tests" / "servers")
    return Machine(directory, START, environ, freezes=freezes, kill_after=KILL_AFTER, path=path)


def test_a_function_returns_a_wrapped_app_which_then_serves_the_request(tmp_path: Path) -> None:
    """Path, body and method go through; the client has its answer before the work; a warning says
    once what the billing does to it."""
    with function(tmp_path) as run:
        answer = run.call("/orders/receipt?seconds=1", "POST", b"two")
        done = run.journal.wait("done", "receipt")
        run.call("/orders/letter?seconds=0", "POST")
        run.journal.wait("done", "letter")
        missing = run.call("/nothing")
        log = run.log

    assert json.loads(answer.body) == {"path": "/orders/receipt", "body": "two"}
    assert (answer.status, missing.status) == (200, 404)
    assert done.at > answer.at
    (note,) = [line for line in log.splitlines() if NOTE in line]
    assert "cloud-run" in note


def test_in_a_plain_function_after_is_an_error_of_the_caller(tmp_path: Path) -> None:
    """No middleware sees its response, so nothing is queued and lost."""
    with function(tmp_path, plain=PLAIN) as run:
        answer = run.call("/")
        until(lambda: "NoRequestError" in run.log, "the error in the log")

    assert answer.status == 500


def test_before_end_is_done_before_the_freeze(tmp_path: Path) -> None:
    with function(tmp_path, ', host="before_end"', freezes=True) as run:
        answer = run.call("/orders/receipt?seconds=0.5", "POST")
        until(lambda: run.frozen, "the CPU to be gone")
        (done,) = run.journal.lines("done", "receipt")
        log = run.log

    assert answer.status == 200
    assert done.at < answer.at
    assert NOTE not in log


def test_sigterm_waits_for_the_work(tmp_path: Path) -> None:
    """The framework tells its functions of no lifespan, so the call waits, and gunicorn for it."""
    with function(tmp_path, ', host="detached"') as run:
        answer = run.call("/orders/receipt?seconds=3", "POST")
        run.journal.wait("started", "receipt")
        took, killed = run.shut_down()

        (done,) = run.journal.lines("done", "receipt")
        assert done.at > answer.at
        assert (killed, took < KILL_AFTER) == (False, True)
