"""A call's own `Retry`, as its envelope carries it."""

from __future__ import annotations

import json

from ._options import Options, Unset
from ._retry import Retry
from .errors import InvalidOptionError, PayloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._envelope import Envelope
    from ._job import Job

FIELDS = ("attempts", "backoff", "delay", "jitter", "max_delay")
"""All but `on`: classes are not sent, so the job's own `Retry` says which errors count."""
NONE = Retry(1)
"""The policy of a call that is to have none."""


def to_json(retry: Retry) -> str:
    """The policy as JSON text."""
    return json.dumps({name: getattr(retry, name) for name in FIELDS})


def retry_of(job: Job[..., Any], envelope: Envelope, default: Retry | None) -> Retry | None:
    """The policy of a call; `default` is the app's. Raises `PayloadError`."""
    own = default if isinstance(job.options.retry, Unset) else job.options.retry
    if envelope.retry is None:
        return own
    try:
        values: Any = json.loads(envelope.retry)
        return Retry(**values, on=Exception if own is None else own.on)
    except (ValueError, TypeError, RecursionError):
        raise PayloadError("the envelope's 'retry'", "a policy", "none") from None


def options_for(job: Job[..., Any], envelope: Envelope, default: Retry | None) -> Options:
    """The options of a run of that call. Raises `PayloadError`."""
    retry = retry_of(job, envelope, default)
    return Options(**{**job.options.given, "retry": retry})


def own_retry(options: Options) -> str | None:
    """What the options of a call say of retries, as JSON text; None where they say nothing. Raises
    `InvalidOptionError`."""
    if "retry" not in options.given:
        return None
    retry: Retry | None = options.given["retry"]
    if retry is not None and retry.on != (Exception,):
        expected = "without on= for a durable call; give on= to the Retry of its job"
        raise InvalidOptionError("retry", expected, retry)
    return to_json(NONE if retry is None else retry)
