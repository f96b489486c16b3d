"""Alerts that are posted to a webhook."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from afterwork.errors import InvalidOptionError

from .._letters import MAX_TIMEOUT, Letter, address, send, timeout_of
from ._alert import Alert
from ._bodies import FORMATS, body
from ._watch import Watch

if TYPE_CHECKING:
    from afterwork import Run, Store

__all__ = ["WebhookAlerts"]

NAME_LENGTH = 16


class WebhookAlerts:
    """A reporter that posts to a webhook when a job begins to fail and when it has succeeded again.

    `url`
        The webhook's address. It is in no log, no error and no repr.
    `store`
        The app's store, where the state is kept.
    `format`
        `"json"` (default): `Alert.as_json()`. `"slack"`: text for an incoming webhook of Slack.
        `"discord"`: for a webhook of Discord.
    `after`
        After how many failures in a row a job counts as failing. Default 1.
    `repeat`
        Seconds, or a timedelta, after which a failure of a job that is still failing is told again.
        Default None: never.
    `jobs`
        The names of those to watch. Default None: all.
    `callbacks`
        Whether those of `after()` are watched too, by their names. Default False.
    `include_error`
        Whether it is told how the error's message begins, which may hold secrets. Default False:
        its class alone.
    `name`
        Keeps its state apart from that of other alerts in the same store. Default: made from the
        address, so that a new address begins anew.
    `timeout`
        Seconds for a post, tries included. Default 5, which is also the most.

    A post that fails is tried up to three times within its time-out. If none succeeds, a warning
    goes to the logger `afterwork.alerts`, at most one a minute, and the alert is posted with the
    next failure or success. It may come twice where its answer got lost, and is lost where the
    process dies between keeping the state and posting. Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        url: str,
        store: Store,
        *,
        format: Literal["json", "slack", "discord"] = "json",  # noqa: A002
        after: int = 1,
        repeat: float | timedelta | None = None,
        jobs: Collection[str] | None = None,
        callbacks: bool = False,
        include_error: bool = False,
        name: str | None = None,
        timeout: float = MAX_TIMEOUT,
    ) -> None:
        self._url = address("url", url)
        if format not in FORMATS:
            raise InvalidOptionError("format", "'json', 'slack' or 'discord'", format)
        self._format = format
        self._timeout = timeout_of(timeout)
        self._watch = Watch(
            self._deliver,
            store,
            name=sha256(url.encode()).hexdigest()[:NAME_LENGTH] if name is None else name,
            after=after,
            repeat=repeat,
            jobs=jobs,
            callbacks=callbacks,
            include_error=include_error,
        )

    def __call__(self, run: Run, /) -> None:
        """A value for `reporters=`."""
        self._watch.ended(run)

    def flush(self, seconds: float) -> None:
        """Waits until all is posted, at most so long. Called at shutdown."""
        self._watch.flush(seconds)

    def __repr__(self) -> str:
        return f"<WebhookAlerts {self._url.host} {self._format}>"

    def _deliver(self, alert: Alert) -> None:
        content = body(alert, self._format)
        send(Letter("POST", self._url, content, "application/json"), self._timeout)
