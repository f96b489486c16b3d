"""A shop: an order is answered at once, its receipt goes out after that, and a job tidies up."""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI

from afterwork import Afterwork, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
# Azure answers when the call is over, and tracks nothing after that: so the client waits for the
# receipt. It may wait 230 seconds; the work has to leave some for the response. Timers run the job.
work = Afterwork(host="before_end", budget=200, scheduler=False)
api = FastAPI()


async def send_receipt(email: str) -> None:
    await asyncio.sleep(0.5)  # a mail server takes its time
    log.info("receipt sent to %s", email)


@api.post("/orders")
async def order(email: str) -> dict[str, str]:
    after(send_receipt, email)
    return {"status": "thank you"}


@work.cron("0 3 * * *", timeout=60)
async def tidy_up() -> None:
    log.info("tidied up")


app = work.wrap(api)
