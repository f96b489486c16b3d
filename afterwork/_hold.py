"""Holds the first message of a response until the request's durable calls are written.

1. A client that has its 2xx can rely on the work: it was written before the status left.
2. Where writing fails, the app's own `send` raises, as if the server had refused the message, and
   no success goes out. What the framework sends then, an error page, goes through.
3. Where the request is cancelled meanwhile, what was not written yet is reported as cancelled. An
   engine that had it already may run it all the same.
4. Calls made after the first message are written when their turn comes, after the response.
"""

from __future__ import annotations

from ._durable_ticket import DurableTicket, write_all
from ._exchange import STARTS
from ._outcome import Outcome

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
    return [
        work
        for work in list(queue.pending)
        if isinstance(work.ticket, DurableTicket)
        and work.ticket.ready
        and work.options.when == "recorded"
        and _admits(work, exchange)
    ]


def _admits(work: Work, exchange: Exchange) -> bool:
    """Whether its condition is met so far. One that raises is asked again in the drain, which
    reports it."""
    if work.options.on == "always":
        return True
    try:
        return work.options.admits(exchange.response_now(sent=False))
    except Exception:
        return False


async def _write(exchange: Exchange, works: list[Work]) -> None:
    queue = exchange.queue
    assert queue is not None
    try:
        await write_all(exchange.pipeline.jobs, works)
    except Exception:
        for work in works:
            queue.withdraw(work, "not recorded")
        raise
    except BaseException:  # cancelled, so the app may never hear of it: it is reported
        for work in works:
            queue.forget(work)
            work.cut = "its request was cancelled before it was written"
            exchange.pipeline.finish(work, Outcome.CANCELLED, None, inside=False)
        raise
