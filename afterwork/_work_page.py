"""The page `/work` of the trigger route: where an engine that calls delivers durable calls.

1. The body is an envelope, and nothing else says what is run: not the path, no header.
2. 200 means that the engine is to forget the delivery: the call is over (`ok`), one way or the
   other, or its next attempt has been given to the engine as a message of its own (`again`).
3. Where that could not be given, 503: the engine delivers the same message once more, and the store
   knows what has run of it.
4. What is no envelope is not delivered again: 200 and `bad_message` (QStash: 489, so that it is in
   its dead letter queue). With 400 Cloud Tasks would repeat it for days, and slow down all others.
   Of a newer version of this library it is 503: a newer worker may be there soon.
"""

from __future__ import annotations

import json

from . import _answers, _events
from ._answers import NON_RETRYABLE, Answer, Refused
from ._envelope import VERSION, Envelope
from .errors import PayloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._verify import TriggerRequest

NAME = "work"


async def answer(dispatch: Dispatch, request: TriggerRequest, deadline: float | None) -> Answer:
    """Runs the call that the request delivers, until `deadline` by the monotonic clock. Raises
    `Refused` where the app has no engine that could call."""
    engine = dispatch.durable.chosen_engine()
    if engine is None:
        dispatch.notices.say_each_minute(
            "trigger.unknown_job",
            _events.ERROR,
            detail="a durable call was delivered, and the app has no engine: Afterwork(engine=...)",
        )
        raise Refused(Answer(404, "unknown_job"))
    try:
        envelope = Envelope.from_json(request.body)
    except PayloadError as error:
        return _bad_message(dispatch, request, error)
    following = await dispatch.durable.deliveries.run(envelope, deadline=deadline)
    if following is None:
        return Answer(200, "ok", run_id=envelope.id)
    try:
        await engine.enqueue([following])
    except Exception as error:
        dispatch.notices.say_each_minute(
            "engine.error",
            _events.ERROR,
            error,
            doing="take in the next attempt",
            job=envelope.job,
            run_id=envelope.id,
        )
        return _answers.unavailable(run_id=envelope.id)
    return Answer(200, "again", run_id=envelope.id)


def _bad_message(dispatch: Dispatch, request: TriggerRequest, error: PayloadError) -> Answer:
    newer = _is_newer(request.body)
    dispatch.notices.say_each_minute(
        "engine.bad_message",
        _events.ERROR,
        error,
        kind="newer" if newer else "",
        client=request.client,
    )
    if newer:
        return _answers.unavailable()
    if request.header("upstash-message-id") is not None:
        code, headers = NON_RETRYABLE
        return Answer(code, "bad_message", headers)
    return Answer(200, "bad_message")


def _is_newer(body: bytes) -> bool:
    """Whether it says that it is an envelope of a later version."""
    try:
        values: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    version = values.get("v") if isinstance(values, dict) else None
    return type(version) is int and version > VERSION
