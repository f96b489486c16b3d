"""A shop on AWS Lambda: the order is accepted at once, and its receipt is sent before Lambda
freezes the process. EventBridge Scheduler runs the nightly job."""

from __future__ import annotations

import asyncio
import logging
import os

from afterwork_integrations.aws_lambda import Handler
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from afterwork import Afterwork, Retry, after

log = logging.getLogger("shop")
log.setLevel(logging.INFO)

# On Lambda only /tmp can be written, and each environment has its own. Give the URL of a Redis or
# PostgreSQL that all share, so that a job's slot runs once over all of them.
work = Afterwork(store=os.environ.get("AFTERWORK_STORE", "sqlite:////tmp/afterwork.db"))


async def send_receipt() -> None:
    await asyncio.sleep(1)  # your mail provider
    log.info("receipt sent")


async def create_order(request: Request) -> JSONResponse:
    after(send_receipt)
    return JSONResponse({"status": "accepted"}, status_code=202)


@work.job(retry=Retry(3))
async def nightly_report(region: str = "eu") -> str:
    """Its schedule is in template.yaml. Keep it within the function's timeout."""
    log.info("report for %s", region)
    return region


app = work.wrap(Starlette(routes=[Route("/orders", create_order, methods=["POST"])]))
handler = Handler(app, work)
