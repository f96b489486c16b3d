"""`afterwork metrics`: the store's numbers in Prometheus' text format, for a textfile collector or
a cron job that pushes them.

The counters outlive pruning. Times are seconds since the epoch, as Prometheus wants them.
"""

from __future__ import annotations

from . import _app, _reading
from ._errors import OK
from ._options import app_options, json_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, TypeAlias

    from .._dispatch import Dispatch
    from .._job import Job
    from .._store import JobState
    from ._output import Output

    Sample: TypeAlias = tuple[dict[str, str], float]

OUTCOMES = (*("succeeded", "failed", "timed_out", "cancelled", "skipped", "missed", "abandoned"),)
FAMILIES = (
    ("afterwork_runs_total", "counter", "Runs that ended, by outcome."),
    ("afterwork_last_run_timestamp_seconds", "gauge", "When the last run ended."),
    ("afterwork_last_success_timestamp_seconds", "gauge", "When a run last succeeded."),
    ("afterwork_last_run_duration_seconds", "gauge", "How long the last run took."),
    ("afterwork_next_run_timestamp_seconds", "gauge", "When the schedule fires next."),
    ("afterwork_failures_in_a_row", "gauge", "Failed runs since the last success."),
    ("afterwork_job_late", "gauge", "1 if a slot is overdue by more than its grace."),
    ("afterwork_job_paused", "gauge", "1 if the job is paused."),
)


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "metrics",
        help="the store's numbers for Prometheus",
        description="Prints counts, times and states of all jobs in Prometheus' text format.",
    )
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    dispatch = _app.find(args).dispatch
    store = _reading.opened(dispatch)
    families = collect(dispatch, {} if store is None else store.jobs())
    if out.json:
        out.document(
            metrics={
                name: [{**labels, "value": value} for labels, value in samples]
                for name, samples in families.items()
            }
        )
        return OK
    for name, kind, about in FAMILIES:
        out.line(f"# HELP {name} {about}")
        out.line(f"# TYPE {name} {kind}")
        for labels, value in families[name]:
            out.line(f"{name}{_labels(labels)} {_number(value)}")
    return OK


def collect(dispatch: Dispatch, states: dict[str, JobState]) -> dict[str, list[Sample]]:
    """All samples, by family: of the jobs in the code, and counts of those in the store alone."""
    found: dict[str, list[Sample]] = {name: [] for name, _, _ in FAMILIES}
    now = dispatch.clock.now()
    names = [job.name for job in dispatch.jobs]
    for name in [*names, *sorted(set(states) - set(names))]:
        counts = {} if name not in states else states[name].counts
        for outcome in OUTCOMES:
            labels = {"job": name, "outcome": outcome}
            found["afterwork_runs_total"].append((labels, counts.get(outcome, 0)))
    for job in dispatch.jobs:
        for family, value in _gauges(job, states.get(job.name), now).items():
            if value is not None:
                found[family].append(({"job": job.name}, value))
    return found


def _gauges(job: Job[..., Any], state: JobState | None, now: float) -> dict[str, float | None]:
    from .. import _due, _slots

    last = None if state is None else state.last_run
    late: float | None = None
    if job.schedule is not None and state is not None:
        due = _slots.after(job.schedule, _due.since(state))
        allowed = _due.grace_of(job, job.schedule, now) + job.policy.jitter
        late = float(state.pause is None and due is not None and now > due + allowed)
    return {
        "afterwork_last_run_timestamp_seconds": None if last is None else last.ended_at,
        "afterwork_last_success_timestamp_seconds": (
            None if state is None else state.last_success_at
        ),
        "afterwork_last_run_duration_seconds": None if last is None else last.duration,
        "afterwork_next_run_timestamp_seconds": (
            None if job.schedule is None else _slots.after(job.schedule, now)
        ),
        "afterwork_failures_in_a_row": 0 if state is None else state.failures_in_a_row,
        "afterwork_job_late": late,
        "afterwork_job_paused": float(state is not None and state.pause is not None),
    }


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    """A label's value: names of jobs need none of it, names of callbacks in a store may."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
