"""Sentry: check-ins for jobs with a schedule, and the errors of failed runs.

```
import sentry_sdk
from afterwork_integrations.sentry import Sentry

sentry_sdk.init(dsn=...)
sentry = Sentry()
work = Afterwork(around=[sentry.around], reporters=[sentry])
```

The rules of check-ins: https://docs.sentry.io/platforms/python/crons/

Needs `pip install 'afterwork[sentry]'`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from math import ceil
from typing import TYPE_CHECKING

from afterwork import Cron, Every, Outcome
from afterwork.errors import InvalidOptionError

try:
    import sentry_sdk
    from sentry_sdk.crons import capture_checkin
    from sentry_sdk.scope import add_global_event_processor
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.sentry needs Sentry's SDK: pip install 'afterwork[sentry]'"
    ) from error

from ._facts import OWN_JOBS

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint, MonitorConfig

    from afterwork import Run

__all__ = ["Sentry"]

MAX_SLUG = 50
"""Characters of a monitor's slug that Sentry takes."""
MINUTE = 60
FAILURES = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.ABANDONED)
STATUSES: dict[Outcome | None, str] = {
    None: "in_progress",
    Outcome.SUCCEEDED: "ok",
    # One that was cancelled began and did not end; Sentry would say so later, as of a time-out.
    **dict.fromkeys((*FAILURES, Outcome.CANCELLED), "error"),
}
"""No others: what was missed is noticed by Sentry itself."""

_NO_SLUG = re.compile(r"[^a-zA-Z0-9_-]+")

_logged: ContextVar[str] = ContextVar("afterwork_logged_to_sentry", default="")
"""The id of the run whose closing line Sentry has just taken from the log."""


class Sentry:
    """Sends check-ins and errors through the SDK that your app has set up (`sentry_sdk.init`). One
    object serves as a reporter and, with its `around`, tells the start of a run; without that,
    Sentry cannot notice a job that hangs.

    `check_ins`
        Whether jobs with a schedule check in. Default True. The monitor's slug is the job's name,
        with `-` for what a slug cannot have. It is made and kept up to date by the check-ins: the
        schedule, the job's own time zone, as margin its `grace` and jitter, as longest run time its
        `timeout`. Runs by hand check in too.
    `errors`
        Whether the error of a run that failed or timed out is captured, after its last attempt,
        with the tags `job` or `callback`, `run_id`, `attempt` and `trigger`. Default True. It
        comes once: Sentry's logging integration takes it from the closing line in the log already,
        and then it is given these tags and not captured again.
    `jobs`
        The names of those that check in. Default None: all with a schedule. Sentry counts monitors.

    An interval that is no whole number of minutes has no monitor: Sentry knows none. All attempts
    of a run are one check-in. The SDK sends in a thread of its own and touches no run; what its
    `before_send` and its rate limits drop is dropped here, too. Where your log goes through
    structlog to `logging`, errors may come twice: call
    `sentry_sdk.integrations.logging.ignore_logger("afterwork")`.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        *,
        check_ins: bool = True,
        errors: bool = True,
        jobs: Collection[str] | None = None,
    ) -> None:
        if isinstance(jobs, str):
            raise InvalidOptionError("jobs", "a list of names", jobs)
        self._check_ins = check_ins
        self._errors = errors
        self._jobs = None if jobs is None else frozenset(jobs)

    def around(self, run: Run) -> AbstractContextManager[object]:
        """A value for `around=`: tells that a run starts."""
        self._check_in(run)
        return nullcontext()

    def __call__(self, run: Run, /) -> None:
        """A value for `reporters=`: tells that a run is over, and its error."""
        failed = run.outcome in FAILURES and run.error is not None
        if self._errors and failed and _logged.get() != run.id:
            _capture(run)
        self._check_in(run)

    def flush(self, seconds: float) -> None:
        """Waits until the SDK has sent what it has, at most so long. Called at shutdown."""
        sentry_sdk.flush(timeout=seconds)

    def _check_in(self, run: Run) -> None:
        if not self._check_ins or (self._jobs is not None and run.name not in self._jobs):
            return
        config = _config(run)
        status = STATUSES.get(run.outcome)
        if config is None or status is None:
            return
        capture_checkin(
            monitor_slug=_NO_SLUG.sub("-", run.name)[:MAX_SLUG],
            check_in_id=run.id.replace("-", ""),
            status=status,
            duration=None if run.outcome is None else run.duration,
            monitor_config=config,
        )


def _config(run: Run) -> MonitorConfig | None:
    """What Sentry has to know of the run's job; None where it cannot watch it."""
    job = run.job
    if job is None or job.name.startswith(OWN_JOBS):
        return None
    schedule, policy = job.schedule, job.policy
    config: MonitorConfig
    if isinstance(schedule, Cron):
        config = {
            "schedule": {"type": "crontab", "value": str(schedule)},
            "timezone": schedule.timezone,
        }
    elif isinstance(schedule, Every) and schedule.seconds % MINUTE == 0:
        minutes = schedule.seconds // MINUTE
        config = {"schedule": {"type": "interval", "value": minutes, "unit": "minute"}}
    else:
        return None
    margin = (policy.grace or MINUTE) + policy.jitter
    config["checkin_margin"] = ceil(margin / MINUTE)
    timeout = job.options.timeout
    if isinstance(timeout, (int, float)):
        config["max_runtime"] = ceil(timeout / MINUTE)
    return config


def _capture(run: Run) -> None:
    with sentry_sdk.new_scope() as scope:
        scope.set_tag("callback" if run.job is None else "job", run.name)
        scope.set_tag("run_id", run.id)
        scope.set_tag("attempt", str(run.attempt))
        scope.set_tag("trigger", run.trigger)
        scope.capture_exception(run.error)


def _tag(event: Event, hint: Hint) -> Event:
    """Gives what Sentry takes from the log of a failed run its tags."""
    record = hint.get("log_record")
    if getattr(record, "event", None) not in [f"run.{outcome}" for outcome in FAILURES]:
        return event
    fields: Mapping[str, object] = getattr(record, "afterwork", {})
    if "run_id" in fields:
        _logged.set(str(fields["run_id"]))
        tags = event.setdefault("tags", {})
        tags.update({"attempt": "1", "trigger": "after"})
        for name in ("job", "callback", "run_id", "attempt", "trigger"):
            if name in fields:
                tags[name] = str(fields[name])
    return event


add_global_event_processor(_tag)
