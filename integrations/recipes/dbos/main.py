"""A shop: an order is answered once it is in the database, and a worker ships it in steps."""

from __future__ import annotations

import asyncio
import logging
import os

from afterwork_integrations.dbos import DBOSEngine, step
from fastapi import FastAPI

from afterwork import Afterwork, Retry, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
engine = DBOSEngine(os.environ["DATABASE_URL"])
# `lease`: when a run whose worker was killed is begun again. `grace`: how long a worker that is
# told to stop waits for what it runs.
work = Afterwork(engine=engine, lease=10, grace=25)
api = FastAPI()


async def charge(email: str) -> str:
    await asyncio.sleep(0.2)  # a bank takes its time
    return f"receipt for {email}"


async def send(email: str, receipt: str) -> None:
    await asyncio.sleep(0.2)
    log.info("%s sent to %s", receipt, email)


@work.job(durable=True, timeout=60, retry=Retry(5, backoff="exponential"))
async def send_receipt(email: str) -> None:
    receipt = await step("charge", charge, email)  # not again, if only sending fails
    await step("send", send, email, receipt)


@api.post("/orders", status_code=202)
async def order(email: str) -> dict[str, str]:
    after(send_receipt, email)  # the 202 leaves when the database has it
    return {"status": "thank you"}


app = work.wrap(api)
