"""The app that outside schedulers call in these tests, run by a real uvicorn.

Its verifiers are all that there are, so that every test also shows that the callers of one are not
kept out by the others. What happened is in the journal of `tests.servers`, under the id of the run:
`started` and `done`, once per attempt.
"""

from __future__ import annotations

import os
import time

import anyio
from afterwork_integrations.github import GitHubOIDC
from afterwork_integrations.google import GoogleOIDC
from afterwork_integrations.qstash import QStashSignature
from afterwork_integrations.standard_webhooks import StandardWebhooks
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from afterwork import Afterwork, Bearer, current_run
from afterwork.errors import PermanentFailure
from tests.servers.shop import write
from tests.triggers.credentials import (
    AUDIENCE,
    QSTASH_CURRENT,
    QSTASH_NEXT,
    REPOSITORY,
    SERVICE_ACCOUNT,
    WEBHOOK_SECRET,
)

NOWHERE = "http://127.0.0.1:1/certs"

work = Afterwork(
    store="sqlite:///runs.db",
    lease=float(os.environ.get("LEASE", "60")),
    grace=float(os.environ.get("GRACE", "25")),
    scheduler=False,  # only who is outside sets off jobs here
)


def note(event: str) -> None:
    write(event, str(current_run().id))


@work.cron("0 3 * * *")
async def nightly() -> None:
    note("started")


@work.every("1m", overlap="allow")
def tally() -> None:
    note("started")


@work.cron("30 4 * * *", overlap="skip")
async def long() -> None:
    """Takes longer than any test."""
    note("started")
    await anyio.sleep(60)


@work.job
async def nap(seconds: float) -> None:
    note("started")
    await anyio.sleep(seconds)
    note("done")


@work.job
def nap_in_thread(seconds: float) -> None:
    note("started")
    time.sleep(seconds)
    note("done")


@work.job
async def flaky() -> None:
    """Fails the first time that it is delivered."""
    note("started")
    if current_run().attempt == 1:
        raise RuntimeError("the first attempt fails on purpose")
    note("done")


@work.job
async def hopeless() -> None:
    note("started")
    raise PermanentFailure("no attempt can help, on purpose")


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


routes = work.routes(
    verify=[
        Bearer.from_env("CRON_SECRET", open_in_dev="OPEN_IN_DEV" in os.environ),
        QStashSignature(QSTASH_CURRENT, QSTASH_NEXT),
        GoogleOIDC(
            audience=AUDIENCE,
            service_account=SERVICE_ACCOUNT,
            keys_url=os.environ.get("GOOGLE_KEYS", NOWHERE),
        ),
        GitHubOIDC(
            audience=AUDIENCE,
            repository=REPOSITORY,
            keys_url=os.environ.get("GITHUB_KEYS", NOWHERE),
        ),
        StandardWebhooks(WEBHOOK_SECRET),
    ]
)
app = work.wrap(Starlette(routes=[Route("/", home), Mount("/cron", routes)]))
