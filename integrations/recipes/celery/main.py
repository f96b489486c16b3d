"""A shop: answers first, and has a Celery worker send the receipt."""

import asyncio
import logging
import os
from contextlib import asynccontextmanager

from afterwork_integrations.celery import CeleryEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from afterwork import Afterwork, Retry, after

log = logging.getLogger("shop")
engine = CeleryEngine(os.environ.get("BROKER_URL", "amqp://guest:guest@localhost:5672//"))
work = Afterwork(engine=engine, store=os.environ.get("AFTERWORK_STORE", "sqlite:///afterwork.db"))


class Mailer:
    """Stands for what an app opens at its start: a database pool, a client."""

    opened = False

    async def send(self, to: str) -> None:
        assert self.opened, "the app was not started"
        await asyncio.sleep(0.5)
        log.warning("receipt sent to %s", to)


mailer = Mailer()


@work.job(durable=True, timeout="5m", retry=Retry(5, backoff="exponential"))
async def send_receipt(email: str) -> None:
    await mailer.send(email)


async def order(request: Request) -> JSONResponse:
    after(send_receipt, request.query_params["email"])
    return JSONResponse({"status": "thank you"}, 202)


@asynccontextmanager
async def lifespan(_: Starlette):
    mailer.opened = True
    log.warning("opened")
    yield
    mailer.opened = False
    log.warning("closed")


shop = Starlette(routes=[Route("/orders", order, methods=["POST"])], lifespan=lifespan)

app = work.wrap(shop)  # uvicorn main:app
celery = engine.worker(work, lifespan=shop)  # celery -A main:celery worker
