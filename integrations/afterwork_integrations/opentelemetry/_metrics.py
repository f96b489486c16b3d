"""Metrics of all runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry import metrics as api

if TYPE_CHECKING:
    from afterwork import Run

__all__ = ["metrics"]

DURATIONS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14400)
LAGS = (0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
"""Bounds of the buckets in seconds. The SDK's own are made for milliseconds."""


def metrics(meter_provider: api.MeterProvider | None = None) -> Callable[[Run], None]:
    """A reporter that counts and measures runs.

    `afterwork.runs`
        A counter of runs that are over, in `{run}`.
    `afterwork.run.duration`
        A histogram of how long their last attempts took, in `s`; not of those that never started.
    `afterwork.run.lag`
        A histogram of how late the scheduler started them, in `s`.

    All have the attributes `afterwork.name`, `afterwork.outcome`, `afterwork.trigger` and
    `afterwork.kind` (`job` or `callback`), and `error.type` where a run ended with an error, as in
    https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/. None is made from a
    run's arguments or id, so there are as many series as there are jobs and callbacks in the code:
    do not give callbacks names that are made from data.

    `meter_provider` is for apps with several; the default is the global one. An SDK may advise
    other buckets with a view.
    """
    meter = api.get_meter("afterwork", meter_provider=meter_provider)
    runs = meter.create_counter("afterwork.runs", unit="{run}", description="Runs that are over")
    duration = meter.create_histogram(
        "afterwork.run.duration",
        unit="s",
        description="How long a run's last attempt took",
        explicit_bucket_boundaries_advisory=DURATIONS,
    )
    lag = meter.create_histogram(
        "afterwork.run.lag",
        unit="s",
        description="How late the scheduler started a run",
        explicit_bucket_boundaries_advisory=LAGS,
    )

    def report(run: Run) -> None:
        attributes = {
            "afterwork.name": run.name,
            "afterwork.outcome": str(run.outcome),
            "afterwork.trigger": run.trigger,
            "afterwork.kind": "callback" if run.job is None else "job",
        }
        if run.error is not None:
            attributes["error.type"] = _type_of(run.error)
        runs.add(1, attributes)
        if run.duration is not None:
            duration.record(run.duration, attributes)
        if run.lag is not None:
            # A clock that was put back makes it negative, and histograms take no such value.
            lag.record(max(run.lag, 0.0), attributes)

    return report


def _type_of(error: BaseException) -> str:
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
