"""`--lifespan`: jobs that need what the app opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.test_run import make_due

if TYPE_CHECKING:
    from tests.cli.support import Shell

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from afterwork import AfterMiddleware, Afterwork

work = Afterwork()

@asynccontextmanager
async def lifespan(app):
    app.state.pool = "the pool"
    yield
    print("closed")

app = FastAPI(lifespan=lifespan)
app.add_middleware(AfterMiddleware, work=work)

@work.every("1h")
async def hourly():
    print("with", app.state.pool)
"""

BARE = """
from afterwork import Afterwork

work = Afterwork()

@work.job
def job(): ...

class App:
    def __init__(self):
        self.app = None
    async def __call__(self, scope, receive, send):
        {body}

app = App()
"""


def test_a_job_has_what_the_app_opens(empty: Shell) -> None:
    """It ends before that is closed, and the app's own scheduler stays off."""
    empty.write(APP)
    make_due(empty.folder, 1)
    assert empty("run", "hourly").code == 1
    done = empty("run", "hourly", "--lifespan")
    assert done.code == 0
    assert done.out.index("with the pool") < done.out.index("closed")
    runs = empty("due", "--lifespan", "--json").document["runs"]
    assert [run["state"] for run in runs] == ["succeeded"]


def test_work_with_a_lifespan(empty: Shell) -> None:
    empty.write(
        APP.replace(
            'print("with', 'import os, signal; os.kill(os.getpid(), signal.SIGTERM); print("with'
        )
    )
    make_due(empty.folder, 1)
    done = empty("work", "--lifespan")
    assert done.code == 143
    assert done.out.count("with the pool") == 1
    assert "closed" in done.out


@pytest.mark.parametrize(
    ("body", "code", "problem"),
    [
        ("raise RuntimeError('no lifespan here')", 0, ""),
        ("await send({'type': 'lifespan.startup.failed', 'message': 'no database'})", 1, "no data"),
        ("await send({'type': 'lifespan.startup.failed'})", 1, "it did not say why"),
    ],
)
def test_apps_that_do_not_start(empty: Shell, body: str, code: int, problem: str) -> None:
    empty.write(BARE.format(body=body))
    done = empty("run", "job", "--lifespan")
    assert done.code == code
    assert problem in done.err


def test_there_has_to_be_an_app(empty: Shell) -> None:
    empty.write(BARE.format(body="pass").replace("app = App()", ""))
    done = empty("run", "job", "--lifespan")
    assert done.code == 2
    assert "--lifespan needs the app" in done.err
