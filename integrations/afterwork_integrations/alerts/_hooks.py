"""Alerts that call functions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

from afterwork.errors import InvalidOptionError

from ._alert import Alert
from ._watch import Watch

if TYPE_CHECKING:
    from afterwork import Run, Store

__all__ = ["Alerts"]


class Alerts:
    """A reporter that calls `on_failure(alert)` when a job begins to fail and `on_recovery(alert)`
    when it has succeeded again.

    `store`
        The app's store, where the state is kept.
    `on_failure`, `on_recovery`
        Plain functions of an `Alert`; None for none. They are called in a thread of their own, one
        after the other, and may block. One that raises is called again with the next failure or
        success, and a warning goes to the logger `afterwork.alerts`.
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
        Whether alerts have the beginning of the error's message, which may hold secrets. Default
        False: its class alone.
    `name`
        Keeps its state apart from that of other alerts in the same store: give two of them two
        names. Default `"hooks"`.

    An alert is lost where the process dies between keeping the state and telling. Raises
    `InvalidOptionError`.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_failure: Callable[[Alert], object] | None = None,
        on_recovery: Callable[[Alert], object] | None = None,
        after: int = 1,
        repeat: float | timedelta | None = None,
        jobs: Collection[str] | None = None,
        callbacks: bool = False,
        include_error: bool = False,
        name: str = "hooks",
    ) -> None:
        self._on_failure = _hook("on_failure", on_failure)
        self._on_recovery = _hook("on_recovery", on_recovery)
        self._watch = Watch(
            self._deliver,
            store,
            name=name,
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
        """Waits until all is told, at most so long. Called at shutdown."""
        self._watch.flush(seconds)

    def _deliver(self, alert: Alert) -> None:
        hook = self._on_recovery if alert.recovered else self._on_failure
        if hook is not None:
            hook(alert)


def _hook(name: str, value: Callable[[Alert], object] | None) -> Callable[[Alert], object] | None:
    if value is not None and (not callable(value) or iscoroutinefunction(value)):
        expected = "a plain function of an Alert: what an async one returns nobody would await"
        raise InvalidOptionError(name, expected, value)
    return value
