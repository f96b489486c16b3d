"""Records of runs that are over, many at a time, as the journal writes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ._local_steps import counted, known_job
from ._local_tables import Kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._sqlite_tables import SQLiteTables
    from ._store import JobState, RunRecord


def take_down(tables: SQLiteTables, runs: list[RunRecord]) -> None:
    """Keeps the records of runs that are over and that no claim began, and counts them."""
    now = tables.now
    ended = [replace(run, claimed_at=now, ended_at=now, alive_until=None) for run in runs]
    tables.save_runs([Kept(run, claimant=run.id) for run in ended])
    jobs: dict[str, JobState] = {}
    for run in ended:
        job = jobs.get(run.job) or known_job(tables, run.job)
        jobs[run.job] = counted(job, run)
    for job in jobs.values():
        tables.save_job(job)
    for (name, state), number in Counter((run.job, run.state) for run in ended).items():
        tables.count(name, state, number)
