"""A shop: an order is answered once QStash has its receipt, which QStash posts back to be sent."""

from __future__ import annotations

import asyncio
import logging
import os

from afterwork_integrations.qstash import QStashEngine, QStashSignature
from fastapi import FastAPI

from afterwork import Afterwork, Retry, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
APP_URL = os.environ["APP_URL"]  # as QStash reaches it, such as https://shop.example
# `lease`: when a run whose process was killed may be begun again.
work = Afterwork(engine=QStashEngine.from_env(url=f"{APP_URL}/jobs/work"), lease=10)
api = FastAPI()


@work.job(durable=True, timeout=60, retry=Retry(5, backoff="exponential"))
async def send_receipt(email: str) -> None:
    await asyncio.sleep(0.5)  # a mail server takes its time
    log.info("receipt sent to %s", email)


@api.post("/orders", status_code=202)
async def order(email: str) -> dict[str, str]:
    after(send_receipt, email)  # the 202 leaves when QStash has it
    return {"status": "thank you"}


api.mount("/jobs", work.routes(verify=QStashSignature.from_env(url=APP_URL)))
app = work.wrap(api)
