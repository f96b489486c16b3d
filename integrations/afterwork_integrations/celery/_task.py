"""The one Celery task: it carries an envelope, and Celery's own retries, results and time limits
have no part in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from afterwork.engines import Envelope
from afterwork.errors import InvalidOptionError, PayloadError

NAME = "afterwork"
NEVER = 10 * 366 * 86_400
"""Seconds: beyond any limit that the worker was started with, which would kill a job in the middle
and count it as done. A job's `timeout` is afterwork's."""

OPTIONS: dict[str, Any] = {
    "name": NAME,
    "acks_late": True,
    "reject_on_worker_lost": True,
    "acks_on_failure": True,
    "acks_on_timeout": False,
    "ignore_result": True,
    "store_errors_even_if_ignored": False,
    "track_started": False,
    "serializer": "json",
    "max_retries": 0,
    "rate_limit": 0,  # None would be the default of the app
    "time_limit": NEVER,
    "soft_time_limit": NEVER,
    "typing": False,
}
"""Forced, whatever the app's own defaults are."""


_apps: WeakSet[Any] = WeakSet()


def register(app: Any, deliver: Callable[[Any], None]) -> None:
    """Adds the task to an app. Raises `InvalidOptionError` where the app has one already."""

    def run(*args: Any, **keywords: Any) -> None:
        deliver([args, keywords])

    # `shared` would give it to every other Celery app of this process too.
    if app in _apps or app.task(lazy=False, shared=False, **OPTIONS)(run).run is not run:
        raise InvalidOptionError(
            "the Celery app", f"one without another CeleryEngine or task named {NAME!r}", app
        )
    _apps.add(app)


def envelope_of(body: Any) -> Envelope:
    """The envelope in a message of that task. Raises `PayloadError` for anything else."""
    match body:
        case [[str(text)], dict(keywords), *_] if not keywords:
            return Envelope.from_json(text)
    raise PayloadError("the message", "the task afterwork with one text", "something else")


def message_of(app: Any, envelope: Envelope, message_id: str, countdown: float | None) -> Any:
    """The Celery message for an envelope. The job's arguments are not in its headers, which
    Celery logs."""
    return app.amqp.create_task_message(
        message_id,
        NAME,
        (envelope.to_json(),),
        {},
        countdown=countdown,
        ignore_result=True,
        argsrepr=f"('{envelope.job}',)",
        kwargsrepr="{}",
    )
