"""When a request's callbacks start, who waits for them, and until when they may run.

1. They start once the app's call has returned. Those marked early start once the final message was
   sent; in mode `before_end` all start when the final message is about to be.
2. Who waits depends on the host's mode and on whether the end of the process will be told.
   Nobody is
   kept waiting who still owes the client an answer, unless nothing else keeps the work alive.
3. A host that fails is logged, and costs at most what it was asked for, never the work.
"""

from __future__ import annotations

from . import _events
from ._closing import cut, outlast
from ._kinds import discard
from ._loop import current_loop
from ._queue import CLOSED, OPEN
from .errors import QueueClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._asgi import Message, Send
    from ._exchange import Exchange
    from ._loop import Loop
    from ._queue import Queue
    from ._work import Work


def watch(exchange: Exchange) -> None:
    """Sets up what has to happen at the final message, at the start of a request whose host or
    settings ask for it."""
    if exchange.host.info.mode == "before_end":
        forward = exchange.forward
        exchange.forward = lambda message: _send_before_end(exchange, forward, message)
    elif exchange.pipeline.settings.early:
        watch_early(exchange)


def watch_early(exchange: Exchange) -> None:
    """From now on the request's final message is waited for, to start what is marked early."""
    queue = exchange.queue
    if exchange.host.info.mode == "before_end" or exchange.finished or (queue and queue.watched):
        return  # the work runs before the final message anyway, it is over, or it is seen to
    if queue is not None:
        queue.watched = True
    if exchange.completed:
        _begin_early(exchange)
    else:
        forward = exchange.forward
        exchange.forward = lambda message: _send_and_begin_early(exchange, forward, message)


def finish(exchange: Exchange, lifespan_loop: object) -> Awaitable[None] | None:
    """The app's call is over: starts what was queued. Returns what the call has to wait for.

    `lifespan_loop`: the token of the loop that the app's lifespan runs on, or None. A request may
    be on another one, which ends with it (Azure's `AsgiMiddleware.main`).
    """
    loop = current_loop()
    queue = exchange.queue
    if loop is None or isinstance(exchange.error, GeneratorExit):
        # The server let go of a request in the middle of it: there is nothing to run it on.
        if queue is not None:
            cut(exchange.pipeline, queue, "the server dropped the request")
            exchange.pipeline.forget(queue)
        return None
    info = exchange.host.info
    if info.note is not None:
        exchange.pipeline.notices.announce(exchange.host)
    if queue is not None:
        # Taking first steps at once is faster, but only where the client has its whole answer.
        # Elsewhere the host is to see that there is work, even if it is over in an instant.
        eager = exchange.finish() and info.mode == "detached"
        exchange.known_response = None  # what early callbacks saw was not the end
        endless = exchange.host is exchange.pipeline.host and exchange.pipeline.endless
        end = None if endless else deadline(exchange)
        if exchange.error is not None and _is_answer_owed(exchange, loop):
            # In its next turn: in this one the server sends what it sends for a crash.
            queue.due = True
            loop.soon(exchange.pipeline.begin, queue, loop, end)
        else:
            give_way = exchange.pipeline.gives_way and info.after_response
            exchange.pipeline.begin(queue, loop, end, eager, give_way)
    if exchange.error is None and (queue is None or queue.state is CLOSED):
        return None
    lifespan_running = lifespan_loop is not None and lifespan_loop is loop.token
    told = lifespan_running or not info.lifespan_is_process
    if told and info.mode == "detached" and loop.detaches:
        return None  # the usual case: the end of the process will be told
    return _wait(exchange, queue, loop, lifespan_running)


def _is_answer_owed(exchange: Exchange, loop: Loop) -> bool:
    """Whether the app crashed without an answer, so that it is the server's turn to send one."""
    return (
        not exchange.completed
        and exchange.host.info.mode == "detached"
        and loop.detaches
        and not loop.is_cancellation(exchange.error)
    )


async def _wait(
    exchange: Exchange, queue: Queue | None, loop: Loop, lifespan_running: bool
) -> None:
    info = exchange.host.info
    # Where nobody will tell when the process ends, servers wait for the ASGI call, or cancel it.
    last_chance = (
        info.lifespan_is_process
        and info.mode == "detached"
        and loop.detaches
        and not lifespan_running
    )
    cancelled = last_chance and loop.is_cancellation(exchange.error)
    try:
        if queue is not None and queue.state is not CLOSED:
            if info.mode == "handover" and _hand_over(exchange, queue, loop):
                return
            # Without an answer it is the server's turn to send one: it is not held up, unless it
            # has cancelled the call and waits for no answer any more.
            begun = exchange.error is None and exchange.start is not None
            answered = exchange.completed or begun
            if (
                info.mode in ("inline", "before_end")
                or not loop.detaches
                or (last_chance and (answered or cancelled))
            ):
                await _hold(exchange, queue, loop)
    except BaseException as error:
        cancelled = last_chance and loop.is_cancellation(error)
        raise
    finally:
        if cancelled:
            # daphne cancels all calls and then waits for the first of them to be over, not for the
            # last. So none is over before all work is.
            await outlast(exchange.pipeline, loop, exchange.pipeline.settings.grace)


def begin_late(work: Work, exchange: Exchange) -> None:
    """The first `after()` of a request that is over already, made by something that outlived it.

    On a server that goes on running it is as good as any other. Where the platform waits for this
    request's work, it has stopped waiting: taken back, and raises `QueueClosedError`.
    """
    if work.queue.state is not OPEN:
        return  # it joined the drain
    loop = current_loop()
    if loop is not None and loop.detaches and exchange.host.info.mode == "detached":
        exchange.finish()
        exchange.pipeline.begin(work.queue, loop, deadline(exchange))
    elif work.queue.withdraw(work, "too late"):
        exchange.pipeline.forget(work.queue)
        exchange.queue = None
        raise QueueClosedError


async def _send_before_end(exchange: Exchange, forward: Send, message: Message) -> None:
    """In mode `before_end` the final message waits until the work is done."""
    loop = current_loop()
    queue = exchange.queue
    if queue is not None and queue.pending and loop is not None and exchange.is_final(message):
        exchange.pipeline.notices.announce(exchange.host)
        # More may be queued after the response, for example by a framework's background task.
        queue.hold_open = True
        try:
            exchange.known_response = exchange.response_now(sent=False)
            exchange.pipeline.begin(queue, loop, deadline(exchange))
            await _hold(exchange, queue, loop)
        finally:
            queue.hold_open = False
            exchange.known_response = None
    await forward(message)


async def _send_and_begin_early(exchange: Exchange, forward: Send, message: Message) -> None:
    await forward(message)
    if exchange.is_final(message):
        _begin_early(exchange)


def _begin_early(exchange: Exchange) -> None:
    loop = current_loop()
    # On trio nothing can be started before the ASGI call is ready to wait for it.
    if loop is not None and loop.detaches and exchange.queue is not None:
        exchange.known_response = exchange.response_now()
        exchange.pipeline.begin_early(exchange.queue, loop)


def _hand_over(exchange: Exchange, queue: Queue, loop: Loop) -> bool:
    """Gives the work to the host. Returns whether the host took it."""
    host = exchange.host
    handle = loop.handle(queue, lambda: _give_up(exchange, queue))
    try:
        host.wait_until(exchange.scope, handle)
    except Exception as error:
        _events.emit(_events.ERROR, "host.failed", error, host=host.info.name, call="wait_until")
        discard(handle)
        return False
    return True


async def _hold(exchange: Exchange, queue: Queue, loop: Loop) -> None:
    """Keeps the ASGI call until the drain is over."""
    grace = exchange.pipeline.settings.grace
    await loop.hold(queue, grace, lambda: _give_up(exchange, queue))


def _give_up(exchange: Exchange, queue: Queue) -> None:
    cut(exchange.pipeline, queue, "cancelled by the server")


def deadline(exchange: Exchange, budget: bool = True) -> float | None:
    """When the work of a request must be over, by the monotonic clock. A host that fails here costs
    the deadline, not the work. `budget`: whether the app's own limit counts too."""
    host = exchange.host
    pipeline = exchange.pipeline
    now = pipeline.clock.monotonic()
    limits = [
        now + seconds
        for seconds in (host.info.max_seconds, pipeline.settings.budget if budget else None)
        if seconds is not None
    ]
    try:
        latest = host.deadline(exchange.scope)
        if latest is not None:
            limits.append(now + float(latest) - pipeline.clock.now())
    except Exception as error:
        _events.emit(_events.ERROR, "host.failed", error, host=host.info.name, call="deadline")
    return min(limits, default=None)
