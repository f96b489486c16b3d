"""Cronitor: telemetry when a job starts, completes and fails.

```
from afterwork_integrations.cronitor import Cronitor

pings = Cronitor(os.environ["CRONITOR_API_KEY"])
work = Afterwork(around=[pings.around], reporters=[pings])
```

The rules of its events: https://cronitor.io/docs/telemetry-api

Needs `pip install 'afterwork[cronitor]'`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from afterwork import Outcome
from afterwork.errors import InvalidOptionError

try:
    from ._letters import MAX_TIMEOUT, Hidden, Letter, address
    from ._pings import Pings
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.cronitor needs httpx: pip install 'afterwork[cronitor]'"
    ) from error

if TYPE_CHECKING:
    from afterwork import Run

    from ._facts import Facts

__all__ = ["Cronitor"]

BASE_URL = "https://cronitor.link/p"
STATES = {
    None: "run",
    Outcome.SUCCEEDED: "complete",
    Outcome.FAILED: "fail",
    Outcome.TIMED_OUT: "fail",
    Outcome.ABANDONED: "fail",
}
"""No others: a missed run is noticed by Cronitor itself, and it has no word for a cancelled one."""

_KEY = re.compile(r"[A-Za-z0-9._-]+")


class Cronitor:
    """Sends events to a monitor for each job. One object serves as a reporter, which tells the end
    of a run, and with its `around`, which tells the start; without that, Cronitor cannot notice a
    job that hangs.

    `api_key`
        A key that may send telemetry (`monitor:telemetry`).
    `monitors`
        Keys of monitors by the name of the job; None for a job that is not to be told of. Default:
        each job's key is its name, and Cronitor makes a monitor that does not exist.
    `environment`
        Sent as `env`, for monitors that run in several. Default None.
    `base_url`
        Default `"https://cronitor.link/p"`.
    `callbacks`
        Whether those of `after()` are told of too, by their names. Default False.
    `timeout`
        Seconds for an event, tries included. Default 5, which is also the most.

    The states are `run`, `complete` and `fail`, with the run's id as `series`. A failed, timed-out
    or abandoned run is a `fail`; of cancelled and missed ones nothing is told. The message has the
    outcome and the class of the error, never its text. An event that fails or hangs touches no run:
    it is tried up to three times within its time-out, then a warning goes to the logger
    `afterwork.cronitor`, at most one a minute. The key is in no log and no repr.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        api_key: str,
        *,
        monitors: Mapping[str, str | None] | None = None,
        environment: str | None = None,
        base_url: str = BASE_URL,
        callbacks: bool = False,
        timeout: float = MAX_TIMEOUT,
    ) -> None:
        if not isinstance(api_key, str) or not _KEY.fullmatch(api_key):
            raise InvalidOptionError("api_key", "an API key of Cronitor", Hidden(api_key))
        self._monitors = dict(monitors or {})
        for key in self._monitors.values():
            if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
                raise InvalidOptionError("monitors", "a mapping of names to monitor keys", key)
        base = address("base_url", base_url.rstrip("/"))
        self._base = base.copy_with(path=f"{base.path.rstrip('/')}/{api_key}")
        self._environment = environment
        self._pings = Pings("cronitor", self._letter, callbacks=callbacks, timeout=timeout)

    def around(self, run: Run) -> AbstractContextManager[object]:
        """A value for `around=`: tells that a run starts."""
        return self._pings.around(run)

    def __call__(self, run: Run, /) -> None:
        """A value for `reporters=`: tells that a run is over."""
        self._pings.ended(run)

    def flush(self, seconds: float) -> None:
        """Waits until all events are sent, at most so long. Called at shutdown."""
        self._pings.flush(seconds)

    def __repr__(self) -> str:
        return f"<Cronitor {self._base.host}>"

    def _letter(self, facts: Facts) -> Letter | None:
        state = STATES.get(facts.outcome)
        monitor = self._monitors.get(facts.name, facts.name)
        if state is None or monitor is None:
            return None
        params = {"state": state, "series": facts.run_id}
        if self._environment is not None:
            params["env"] = self._environment
        if facts.outcome is not None:
            params["message"] = facts.headline
            if facts.duration is not None:
                params["metric"] = f"duration:{facts.duration:.3f}"
        # The name of a callback may hold what a path cannot.
        key = re.sub(r"[^A-Za-z0-9._-]+", "-", monitor)
        url = self._base.copy_with(path=f"{self._base.path}/{key}")
        return Letter("GET", url.copy_merge_params(params))
