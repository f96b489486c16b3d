"""From a call of a durable job to the envelope that says all of it. Mistakes are shown here, at the
caller's line."""

from __future__ import annotations

from . import _retry_codec, _trace
from ._envelope import Envelope
from ._ids import run_id
from .errors import InvalidOptionError, PayloadError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._engine import Capabilities, Engine
    from ._job import Job
    from ._options import Options

NOT_CARRIED = ("name", "timeout")
"""Options of a call that its run, in whatever process, would not know."""
GROWTH = 100
"""How many bytes longer an envelope of a later attempt may be than the first."""
QUEUE = "Choose an engine that has it, or leave the option out."


def make_envelope(
    dispatch: Dispatch,
    job: Job[..., Any],
    options: Options,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Envelope:
    """The envelope of a call. Raises `InvalidOptionError`, `PayloadError`, `UnsupportedError`, and
    `TypeError` for arguments that the job does not take."""
    for name in NOT_CARRIED:
        if name in options.given:
            expected = f"left out for a durable call; give it to the job {job.name!r}"
            raise InvalidOptionError(name, expected, options.given[name])
    engine = dispatch.durable.engine
    check(engine, job, options)
    payload = job.codec.encode(args, kwargs)
    most = dispatch.pipeline.settings.max_payload
    if len(payload) > most:
        raise PayloadError(
            "the arguments together",
            f"at most {most} characters of JSON (setting max_payload)",
            f"{len(payload)} long; keep the data elsewhere and give its id",
        )
    now = dispatch.clock.now()
    envelope = Envelope(
        id=run_id(),
        job=job.name,
        payload=payload,
        run_at=_moment(options.delay, now),
        key=options.key,
        priority=options.priority,
        retry=_retry_codec.own_retry(options),
        trace=_trace.capture(),
        enqueued_at=now,
    )
    limit = engine.capabilities.max_payload
    if limit is not None and len(envelope.to_json()) + GROWTH > limit:
        raise PayloadError(
            "the arguments together",
            f"small enough for {engine.name}, which takes {limit} bytes",
            "larger; keep the data elsewhere and give its id",
        )
    return envelope


def check(engine: Engine, job: Job[..., Any], options: Options) -> None:
    """Raises `UnsupportedError` if the engine cannot do what the call or its job asks."""
    can: Capabilities = engine.capabilities
    if options.key is not None:
        if len(options.key) > 200:
            raise InvalidOptionError("key", "a text of at most 200 characters", options.key[:40])
        if can.keys == "none":
            raise UnsupportedError(engine.name, "keys (key=)", QUEUE)
    if options.delay is not None and can.max_delay == 0:
        raise UnsupportedError(engine.name, "delays (delay=)", QUEUE)
    if options.priority and not can.priority:
        raise UnsupportedError(engine.name, "priorities (priority=)", QUEUE)
    if options.connection is not None and not can.transaction:
        hint = "Use commit= instead: then the call is enqueued once the transaction is committed."
        raise UnsupportedError(engine.name, "way into your transaction (connection=)", hint)
    limited = job.policy.concurrency is not None or job.policy.rate is not None
    if limited and not can.limits:
        hint = "Take them out of the job, and limit its workers instead."
        raise UnsupportedError(engine.name, "limits over all workers (concurrency=, rate=)", hint)


def _moment(delay: Any, now: float) -> float | None:
    if delay is None:
        return None
    if isinstance(delay, float):
        return now + delay if delay else None
    moment: float = delay.timestamp()
    return moment if moment > now else None
