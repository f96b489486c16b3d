"""A shop: an order is answered at once, its receipt goes out after that, and a Cron Trigger tidies
up."""

from __future__ import annotations

import asyncio
import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from afterwork import Afterwork, after

log = logging.getLogger("shop")
# Each isolate has its own memory, and a Worker has no disk. No scheduler: Cloudflare sets jobs off.
work = Afterwork(store="memory:", scheduler=False)


async def send_receipt(email: str) -> None:
    await asyncio.sleep(0.2)  # a mail service takes its time
    log.warning("receipt sent to %s", email)


async def order(request: Request) -> JSONResponse:
    after(send_receipt, request.query_params["email"])
    return JSONResponse({"status": "thank you"})


@work.cron("0 3 * * 1", timeout=60)
async def tidy_up() -> None:
    log.warning("tidied up")


app = work.wrap(Starlette(routes=[Route("/orders", order, methods=["POST"])]))
