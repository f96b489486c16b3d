"""A shop: an order is answered at once, its receipt goes out after that, and a job tidies up."""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI

from afterwork import Afterwork, Bearer, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
# "detached": service.yaml keeps the CPU. With request-based billing take "before_end", and the
# client waits. Between SIGTERM and SIGKILL there are 10 seconds. Cloud Scheduler calls the route.
work = Afterwork(host="detached", grace=8, scheduler=False)
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


api.mount("/cron", work.routes(verify=Bearer.from_env("CRON_SECRET")))
app = work.wrap(api)
