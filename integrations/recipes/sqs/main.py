"""A shop: an order is answered once its receipt is in SQS, and a worker or Lambda sends it."""

from __future__ import annotations

import asyncio
import logging
import os

from afterwork_integrations.sqs import SQSEngine
from fastapi import FastAPI

from afterwork import Afterwork, Retry, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
log.setLevel(logging.INFO)  # on Lambda the root logger is set up already
# `visibility`: when another worker gets what a dead one had. `lease`: when that may begin.
engine = SQSEngine(os.environ["QUEUE_URL"], visibility=int(os.environ.get("VISIBILITY", "60")))
work = Afterwork(engine=engine, lease=10, grace=25)
api = FastAPI()


@work.job(durable=True, timeout=60, retry=Retry(5, backoff="exponential"))
async def send_receipt(email: str) -> None:
    await asyncio.sleep(0.5)  # a mail server takes its time
    log.info("receipt sent to %s", email)


@api.post("/orders", status_code=202)
async def order(email: str) -> dict[str, str]:
    after(send_receipt, email)  # the 202 leaves when SQS has it
    return {"status": "thank you"}


app = work.wrap(api)
