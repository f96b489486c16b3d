"""What an engine is: an existing queue system that carries durable calls to a worker.

1. Each adapter registers one task of its own, named `afterwork`; all it carries is an envelope.
2. The policy for another attempt is afterwork's. To deliver again what a dead worker had is the
   engine's.
3. An adapter says what it can do (`Capabilities`). What it cannot do is refused at the call.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any, Literal, Protocol, TypeAlias

    from ._envelope import Envelope

    RunEnvelope: TypeAlias = Callable[[Envelope], Awaitable[Envelope | None]]

    class RunUntil(Protocol):
        """A `RunEnvelope` that can be told when its time is over."""

        async def __call__(
            self, envelope: Envelope, /, *, deadline: float | None = None
        ) -> Envelope | None:
            """Runs a call; at `deadline`, by `time.monotonic()`, it is cut and comes again."""
            ...
else:
    Protocol = object


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do with its settings as they are."""

    mode: Literal["pull", "push"] = "pull"
    """`pull`: `serve` takes calls out of the queue. `push`: the engine calls the trigger route."""
    max_delay: float | None = None
    """The longest delay in seconds that it keeps itself; None for no limit, 0 for none at all. A
    longer one is made of several."""
    delay_resolution: float = 0.0
    """By how many seconds a delayed call may start late because of it. Never early."""
    keys: Literal["none", "waiting", "active", "window", "forever"] = "none"
    """How long a key keeps another call with it out: while the first waits, until it is over, for
    a time of the engine's, or for ever."""
    priority: bool = False
    """Whether calls with a higher priority go first."""
    status: bool = False
    """Whether it knows where a call stands."""
    cancel: bool = False
    """Whether it can take back a call that waits."""
    transaction: bool = False
    """Whether `enqueue` can write in the caller's own database transaction."""
    limits: bool = False
    """Whether `concurrency=` and `rate=` of a job hold over all workers."""
    survives: Literal["nothing", "process", "machine", "power"] = "machine"
    """What an accepted call survives: the end of its process, of its machine, a power cut of the
    engine; or nothing."""
    recovery_seconds: float | None = None
    """After how long at most a call of a worker that was killed is delivered again, with the
    settings as they are; None where that cannot be said."""
    max_payload: int | None = None
    """The most bytes of an envelope; None for no limit of its own."""


class Engine(Protocol):
    """An adapter to a queue system: `Afterwork(engine=...)`. Write your own by keeping the rules of
    `afterwork.testing.engine_contract`."""

    @property
    def name(self) -> str:
        """What logs call it, without a password."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def bind(self, run: RunUntil) -> None:
        """Is called once, by the `Afterwork` that it is given to. `run` runs an envelope to its end
        and never raises anything but cancellation. It returns None when the call is over, one way
        or the other: then the engine forgets it. Or it returns the envelope of the next attempt:
        the engine takes that in, not to be run before its `run_at`, and then forgets the first."""
        ...

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """Takes calls in, all or none where it can. When it returns they survive what
        `capabilities.survives` says. Returns the ids of the calls that stand for them: another's
        where its key kept this one out. `connection`: write in its transaction (`transaction`).
        Raises `EngineError`; nothing is known then of what was taken in."""
        ...

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """Takes calls out and runs them, at most `concurrency` at a time, until `stop` is done;
        then takes no more, and returns when those under way are over. In mode `push` it is not
        called. Raises `EngineError` where it cannot go on."""
        ...

    async def status(self, run_id: str) -> str | None:
        """`waiting`, `running`, `failed` or `succeeded`; None for a call that it does not know, or
        no longer, or where `capabilities.status` is False."""
        ...

    async def cancel(self, run_id: str) -> bool:
        """Takes back a call that waits. Returns whether it did."""
        ...

    async def close(self) -> None:
        """Lets go of connections. What is used after that connects again."""
        ...
