"""Healthchecks.io, or your own Healthchecks: pings when a job starts, succeeds and fails.

```
from afterwork_integrations.healthchecks import Healthchecks

pings = Healthchecks(os.environ["HC_PING_KEY"], create=True)
work = Afterwork(around=[pings.around], reporters=[pings])
```

The service raises the alarm when a ping is late. So it notices what nothing inside the app can:
that the app is not there. The rules of its pings: https://healthchecks.io/docs/http_api/

Needs `pip install 'afterwork[healthchecks]'`.
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
        "afterwork_integrations.healthchecks needs httpx: pip install 'afterwork[healthchecks]'"
    ) from error

if TYPE_CHECKING:
    from httpx import URL

    from afterwork import Run

    from ._facts import Facts

__all__ = ["Healthchecks"]

BASE_URL = "https://hc-ping.com"
ENDPOINTS = {
    None: "/start",
    Outcome.SUCCEEDED: "",
    Outcome.FAILED: "/fail",
    Outcome.TIMED_OUT: "/fail",
    Outcome.ABANDONED: "/fail",
    # They leave the check as it is: it has a clock of its own, and knows what did not come.
    Outcome.CANCELLED: "/log",
    Outcome.MISSED: "/log",
}

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NO_SLUG = re.compile(r"[^a-z0-9_-]+")


class Healthchecks:
    """Pings a check for each job. One object serves as a reporter, which tells the end of a run,
    and with its `around`, which tells the start; without that, run times are not measured.

    `ping_key`
        The project's ping key: the check of a job is the one whose slug is the job's name, in small
        letters and with `-` for what a slug cannot have. Default None: only those in `checks`.
    `checks`
        Checks by the name of the job: a ping URL, the UUID of a check, a slug, or None for a job
        that is not to be pinged for. Example: `{"nightly": "https://hc-ping.com/<uuid>"}`.
    `create`
        Whether the service makes a check that does not exist, where it is known by its slug.
        Default False.
    `base_url`
        Default `"https://hc-ping.com"`. Your own Healthchecks: `"https://example.org/ping"`.
    `callbacks`
        Whether those of `after()` are pinged for too, by their names. Default False.
    `timeout`
        Seconds for a ping, tries included. Default 5, which is also the most.

    Success, failure and start go to their endpoints, each with the run's id as `rid`. A failed,
    timed-out or abandoned run is a failure. Cancelled and missed ones are logged at the check and
    change nothing. The body has outcome, class of the error, duration and attempt; never the text
    of an error. A ping that fails or hangs touches no run: it is tried up to three times within its
    time-out, then a warning goes to the logger `afterwork.healthchecks`, at most one a minute. URLs
    and keys are in no log and no repr.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        ping_key: str | None = None,
        *,
        checks: Mapping[str, str | None] | None = None,
        create: bool = False,
        base_url: str = BASE_URL,
        callbacks: bool = False,
        timeout: float = MAX_TIMEOUT,
    ) -> None:
        if ping_key is None and not checks:
            raise InvalidOptionError("ping_key", "given where checks= is not", ping_key)
        if ping_key is not None and not (isinstance(ping_key, str) and _KEY.fullmatch(ping_key)):
            raise InvalidOptionError("ping_key", "a project's ping key", Hidden(ping_key))
        self._base = address("base_url", base_url.rstrip("/"))
        self._ping_key = ping_key
        self._create = create
        self._checks = {name: self._check(value) for name, value in (checks or {}).items()}
        self._pings = Pings("healthchecks", self._letter, callbacks=callbacks, timeout=timeout)

    def around(self, run: Run) -> AbstractContextManager[object]:
        """A value for `around=`: tells that a run starts."""
        return self._pings.around(run)

    def __call__(self, run: Run, /) -> None:
        """A value for `reporters=`: tells that a run is over."""
        self._pings.ended(run)

    def flush(self, seconds: float) -> None:
        """Waits until all pings are sent, at most so long. Called at shutdown."""
        self._pings.flush(seconds)

    def __repr__(self) -> str:
        return f"<Healthchecks {self._base.host}>"

    def _check(self, value: object) -> URL | None:
        """The ping URL of a check."""
        if value is None:
            return None
        if not isinstance(value, str) or "/" in value:
            return address("checks", value)
        if _UUID.fullmatch(value):
            return self._below(value)
        if self._ping_key is None or _NO_SLUG.search(value) or not value:
            expected = "a ping URL, a check's UUID or, with a ping key, a slug such as 'nightly'"
            raise InvalidOptionError("checks", expected, Hidden(value))
        return self._by_slug(value)

    def _by_slug(self, slug: str) -> URL:
        url = self._below(f"{self._ping_key}/{slug}")
        return url.copy_add_param("create", "1") if self._create else url

    def _below(self, path: str) -> URL:
        return self._base.copy_with(path=f"{self._base.path.rstrip('/')}/{path}")

    def _letter(self, facts: Facts) -> Letter | None:
        url = self._checks.get(facts.name)
        if url is None:
            if facts.name in self._checks or self._ping_key is None:
                return None
            url = self._by_slug(_NO_SLUG.sub("-", facts.name.lower()))
        endpoint = ENDPOINTS[facts.outcome]
        url = url.copy_with(path=f"{url.path.rstrip('/')}{endpoint}")
        return Letter("POST", url.copy_set_param("rid", facts.run_id), _body(facts).encode())


def _body(facts: Facts) -> str:
    lines = [f"{facts.name} {facts.headline}", f"attempt: {facts.attempt}"]
    if facts.duration is not None and facts.outcome is not None:
        lines.append(f"duration: {facts.duration:.3f} s")
    if facts.scheduled_for is not None:
        lines.append(f"scheduled for: {facts.scheduled_for.isoformat()}")
    return "\n".join(lines)
