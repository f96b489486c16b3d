"""A small order shop. Orders are answered at once; receipts, invoices and statistics come after.

What the after-work does is written to the file named by SHOP_LOG, one JSON object per line.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from afterwork import AfterMiddleware, after, current_run

LOG = os.environ.get("SHOP_LOG", os.devnull)
lock = threading.Lock()


@contextmanager
def noted(order_id: str, what: str) -> Iterator[None]:
    """Writes down when a piece of after-work ran, and how it ended."""
    start = time.time()
    ended = "failed"
    try:
        yield
        ended = "done"
    finally:
        line = {"order": order_id, "work": what, "start": start, "end": time.time(), "ended": ended}
        with lock, open(LOG, "a") as log:
            log.write(json.dumps(line) + "\n")


async def send_receipt(order_id: str, email: str) -> None:
    """Async: talks to a mail server, which some addresses make unhappy."""
    with noted(order_id, "receipt (async)"):
        await asyncio.sleep(0.15)
        if email.endswith("@invalid"):
            raise ConnectionError(f"the mail server refused {email}")


def print_invoice(order_id: str, items: list[str]) -> None:
    """Sync and slow: runs in a thread, so it holds up neither the loop nor anybody's request."""
    with noted(order_id, "invoice (sync, slow)"):
        time.sleep(0.4)


def count_sale(order_id: str, total: float) -> None:
    """Queues more work from inside a callback."""
    with noted(order_id, "statistics (sync)"):
        after(tell_warehouse, order_id)


async def tell_warehouse(order_id: str) -> None:
    response = current_run().response
    assert response is not None
    with noted(order_id, f"warehouse (nested, after the {response.status})"):
        await asyncio.sleep(0.02)


async def create_order(request: Request) -> JSONResponse:
    order = await request.json()
    after(send_receipt, order["id"], order["email"])
    after(print_invoice, order["id"], order["items"])
    after.options(on="success")(count_sale, order["id"], order["total"])
    return JSONResponse({"accepted": order["id"]}, status_code=201)


app = AfterMiddleware(Starlette(routes=[Route("/orders", create_order, methods=["POST"])]))
