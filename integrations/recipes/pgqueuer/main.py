"""A shop: an order is answered once its receipt is in the database, and a worker sends it."""

from __future__ import annotations

import asyncio
import logging
import os

from afterwork_integrations.pgqueuer import PgQueuerEngine
from fastapi import FastAPI

from afterwork import Afterwork, Retry, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
engine = PgQueuerEngine(os.environ["DATABASE_URL"], schema="apply")
# `lease`: when a run whose worker was killed is begun again. `grace`: how long a worker that is
# told to stop waits for what it runs.
work = Afterwork(engine=engine, lease=10, grace=25)
api = FastAPI()


@work.job(durable=True, timeout=60, retry=Retry(5, backoff="exponential"))
async def send_receipt(email: str) -> None:
    await asyncio.sleep(0.5)  # a mail server takes its time
    log.info("receipt sent to %s", email)


@api.post("/orders", status_code=202)
async def order(email: str) -> dict[str, str]:
    after(send_receipt, email)  # the 202 leaves when PostgreSQL has it
    return {"status": "thank you"}


app = work.wrap(api)
