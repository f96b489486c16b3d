"""Asks the tickets: before a work starts, and after it ended.

Stores block, so this happens in a few threads of its own: callbacks that fill all other threads do
not keep a lease from being given back.
"""

from __future__ import annotations

from ._threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._pipeline import Pipeline
    from ._work import Work

MOST_THREADS = 8


class Admission:
    """The door of one pipeline, for works with a ticket."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.threads = Threads(MOST_THREADS)

    def enter(self, work: Work) -> None:
        """Starts the work as soon as its ticket lets it, or ends it."""
        self.threads.submit(self._enter, work)

    def leave(self, work: Work) -> None:
        """Tells the ticket that the work is over, then lets the work leave its queue."""
        try:
            self.threads.submit(self._leave, work)
        except RuntimeError:
            self._leave(work)  # no thread to be had: better late than never

    def _enter(self, work: Work) -> None:
        ticket = work.ticket
        assert ticket is not None
        verdict = ticket.enter(work)
        if verdict.outcome is not None:
            work.cut = verdict.reason
            self.pipeline.finish(work, verdict.outcome, verdict.error, inside=False)
        elif verdict.wait is not None:
            self.pipeline.soon(self._wait, work, verdict.wait)
        else:
            work.entered = True
            self.pipeline.soon(self.pipeline.submit, work)

    def _wait(self, work: Work, seconds: float) -> None:
        assert work.queue.loop is not None
        work.queue.loop.later(seconds, self.enter, work)

    def _leave(self, work: Work) -> None:
        ticket = work.ticket
        assert ticket is not None
        ticket.leave(work)
        self.pipeline.leave(work)
