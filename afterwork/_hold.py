"""Holds the first message of a response until the request's durable calls are written.

1. A client that has its 2xx can rely on the work: it was written before the status left.
2. Where writing fails, the app's own `send` raises, as if the server had refused the message, and
   no success goes out. What the framework sends then, an error page, goes through.
3. Calls made after the first message are written when their turn comes, after the response.
"""

from __future__ import annotations

from ._durable_ticket import DurableTicket, write_all
from ._exchange import STARTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._asgi import Message, Send
    from ._exchange import Exchange
    from ._work import Work


def watch(exchange: Exchange) -> None:
    """From now on the request's first message waits for what is to be written before it."""
    if exchange.start is not None or exchange.finished:
        return
    queue = exchange.queue
    assert queue is not None, "what is to be written is in it"
    if queue.held:
        return
    queue.held = True
    forward = exchange.forward
    exchange.forward = lambda message: _send_after_write(exchange, forward, message)


async def _send_after_write(exchange: Exchange, forward: Send, message: Message) -> None:
    if message["type"] in STARTS and message is exchange.start:
        try:
            while works := _unwritten(exchange):
                await _write(exchange, works)
        except BaseException:
            exchange.start = None  # the client has seen nothing yet
            raise
    await forward(message)


def _unwritten(exchange: Exchange) -> list[Work]:
    """The durable calls of the request that are to be written now."""
    queue = exchange.queue
    assert queue is not None
    response = exchange.response_now(sent=False)
    return [
        work
        for work in list(queue.pending)
        if isinstance(work.ticket, DurableTicket)
        and work.ticket.ready
        and work.options.when == "recorded"
        and work.options.admits(response)
    ]


async def _write(exchange: Exchange, works: list[Work]) -> None:
    queue = exchange.queue
    assert queue is not None
    try:
        await write_all(exchange.pipeline.jobs, works)
    except BaseException:
        for work in works:
            queue.withdraw(work, "not recorded")
        raise
