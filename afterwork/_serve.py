"""Runs that a request asked for: some it waits for, others go on after its response."""

from __future__ import annotations

from ._current import current_exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._dispatch import Dispatch
    from ._exchange import Exchange
    from ._loop import Loop, Signal
    from ._ticket import Verdict
    from ._work import Work


async def _see_all_through(
    dispatch: Dispatch, works: list[Work], loop: Loop, deadline: float | None
) -> None:
    """Begins several runs at once and waits until all are over."""
    if loop.detaches:
        for work in works:
            dispatch.begin(work, loop, deadline)
        for work in works:
            await dispatch.see_through(work, loop)
    elif works:  # there a drain has the loop for itself, so all share one queue
        queue = works[0].queue
        dispatch.pipeline.queues[queue] = None
        for work in works:
            work.queue = queue
            queue.add(work)
        dispatch.pipeline.begin(queue, loop, deadline)
        await dispatch.see_through(works[0], loop)


async def serve(
    dispatch: Dispatch,
    now: list[Work],
    later: list[Work],
    exchange: Exchange,
    loop: Loop,
    deadline: float | None,
) -> list[Work]:
    """Runs some and waits until they are over; lets others go after the response to this
    request. Returns those of the others that may not go, and are over.

    All are under way before anything is waited for: a caller that leaves costs none its run.
    """
    decided, refused = _accept(dispatch, later, exchange, loop)
    await _see_all_through(dispatch, now, loop, deadline)
    await decided.wait(None)
    for work in refused:
        await dispatch.see_through(work, loop)
    return refused


def _accept(
    dispatch: Dispatch, works: list[Work], exchange: Exchange, loop: Loop
) -> tuple[Signal, list[Work]]:
    """Decides which runs may go, and lets those go after the response. Returns what is set once
    it is decided, and a list in which there are then those that may not.

    On trio nothing can be decided outside a drain, so there it is decided after the response.
    """
    decided = loop.signal()
    verdicts: dict[Work, Verdict] = {}
    refused: list[Work] = []

    def decide(work: Work, verdict: Verdict) -> None:
        verdicts[work] = verdict
        if len(verdicts) == len(works):
            # Not one by one: in a request whose callbacks take turns their order counts.
            for each in works:
                if not _let_go(dispatch, each, exchange, loop, verdicts[each]):
                    refused.append(each)
            decided.set()

    for work in works:
        if loop.detaches:
            work.queue.loop = loop
            dispatch.pipeline.queues[work.queue] = None  # so that a shutdown waits for it
            dispatch.pipeline.admission.decide(work, decide)
        else:
            _join(work, exchange)
    if not works or not loop.detaches:
        decided.set()
    return decided, refused


def _let_go(
    dispatch: Dispatch, work: Work, exchange: Exchange, loop: Loop, verdict: Verdict
) -> bool:
    """Puts a run where it goes on; returns whether it may go at all."""
    queue = work.queue
    if verdict.outcome is not None:
        dispatch.begin(work, loop, None)
        return False
    if exchange.finished:  # the client left while the store was asked
        dispatch.begin(work, loop, None)
    else:
        _join(work, exchange)
        dispatch.pipeline.forget(queue)
    return True


def _join(work: Work, exchange: Exchange) -> None:
    """Makes a run one of the callbacks of a request that is not over."""
    work.queue = exchange.pipeline.queue_of(exchange)
    work.exchange = exchange
    work.context.run(current_exchange.set, exchange)  # what it queues is this request's too
    work.queue.add(work)
