"""A shop: an order is answered once its receipt is a task, and Cloud Tasks posts it back."""

from __future__ import annotations

import asyncio
import logging
import os

from afterwork_integrations.google import GoogleOIDC
from afterwork_integrations.google_cloud_tasks import CloudTasksEngine
from fastapi import FastAPI

from afterwork import Afterwork, Retry, after

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
WORK_URL = os.environ["APP_URL"] + "/jobs/work"
CALLER = os.environ["CALLER"]
# `lease`: when a run whose process was killed may be begun again.
work = Afterwork(
    engine=CloudTasksEngine(os.environ["QUEUE"], url=WORK_URL, service_account=CALLER), lease=10
)
api = FastAPI()


@work.job(durable=True, timeout=60, retry=Retry(5, backoff="exponential"))
async def send_receipt(email: str) -> None:
    await asyncio.sleep(0.5)  # a mail server takes its time
    log.info("receipt sent to %s", email)


@api.post("/orders", status_code=202)
async def order(email: str) -> dict[str, str]:
    after(send_receipt, email)  # the 202 leaves when Cloud Tasks has it
    return {"status": "thank you"}


api.mount("/jobs", work.routes(verify=GoogleOIDC(audience=WORK_URL, service_account=CALLER)))
app = work.wrap(api)
