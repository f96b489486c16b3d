"""The durable calls of one `Afterwork`: which engine has them, and the way there."""

from __future__ import annotations

from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._deliveries import Deliveries
    from ._dispatch import Dispatch
    from ._durable_ticket import DurableTicket
    from ._engine import Engine
    from ._envelope import Envelope
    from ._job import Job
    from ._journal import Journal
    from ._options import Options
    from ._work import Work


class DurableCalls:
    """What a dispatch knows of them. Engine and journal are made when they are first asked for."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self._settings = dispatch.pipeline.settings
        self._engine: Engine | None = None
        self._journal: Journal | None = None

    def ticket(
        self,
        job: Job[..., Any],
        options: Options,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> DurableTicket:
        """The ticket of a call that a request makes."""
        from ._durable_call import make_envelope
        from ._durable_ticket import DurableTicket

        envelope = make_envelope(self.dispatch, job, options, args, kwargs)
        return DurableTicket(self.dispatch, job, envelope, options.commit)

    async def enqueue(
        self,
        job: Job[..., Any],
        options: Options,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> str:
        """Writes a call down now; returns the id of its run."""
        from ._durable_call import make_envelope

        if options.commit is not None:
            expected = "left out: call enqueue() after the commit, or give connection="
            raise InvalidOptionError("commit", expected, options.commit)
        envelope = make_envelope(self.dispatch, job, options, args, kwargs)
        ids = await self.engine.enqueue([envelope], connection=options.connection)
        return ids[0]

    @property
    def engine(self) -> Engine:
        """What calls are given to: the app's own choice, or the journal of its store."""
        if self._engine is None:
            engine = self._settings.engine or self.journal
            if engine is None:
                store = type(self.dispatch.chosen_store()).__name__
                raise InvalidOptionError(
                    "engine",
                    "given, or the store be a SQLiteStore or a MemoryStore: "
                    f"{store} keeps no durable calls",
                    None,
                )
            engine.bind(self.deliveries.run)
            self._engine = engine
        return self._engine

    @property
    def deliveries(self) -> Deliveries:
        """What runs that which an engine delivers."""
        from ._deliveries import Deliveries

        return Deliveries(self.dispatch)

    @property
    def used_engine(self) -> Engine | None:
        """The engine, if anything has been given to it."""
        return self._engine

    def chosen_engine(self) -> Engine | None:
        """The engine that the app was given, or None."""
        return None if self._settings.engine is None else self.engine

    @property
    def journal(self) -> Journal | None:
        """The journal of the app's store; None with another engine, and where it keeps none."""
        if self._journal is None and self._settings.engine is None:
            from ._journal import Journal

            if hasattr(self.dispatch.chosen_store(), "journal"):
                self._journal = Journal(self.dispatch)
        return self._journal

    async def write(self, works: list[Work], envelopes: list[Envelope]) -> None:
        """Gives the calls of a request to the engine, all or none where it can."""
        engine = self.engine
        journal = self.journal
        if journal is not None:
            await journal.write(works, envelopes)
            return
        connections = {id(each.options.connection): each.options.connection for each in works}
        for connection in connections.values():
            some = [
                (work, envelope)
                for work, envelope in zip(works, envelopes, strict=True)
                if work.options.connection is connection
            ]
            ids = await engine.enqueue([each for _, each in some], connection=connection)
            for (work, _), run_id in zip(some, ids, strict=True):
                work.id = run_id  # another's, where its key kept this one out

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Takes back a call that waits; asks one that runs to end."""
        if await self.engine.cancel(run_id):
            return True
        await self.dispatch.ask_here(lambda: self.dispatch.cancel(run_id, reason))
        return False
