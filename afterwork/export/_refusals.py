"""What an export may end with instead of a document.

ExportRefusedError    a job that the target cannot express, with the reason and two ways out
UsageError            an option or a file that does not do
"""

from __future__ import annotations

from ..errors import AfterworkError

TICK = (
    "let the target call /tick and the app decide what is due: the same command with --tick, such "
    "as --tick 5m"
)
"""The way out that is always there."""


class ExportRefusedError(AfterworkError, ValueError):
    """A job that a target cannot express. Nothing near it is written instead: a job that runs at
    another time than the code says is worse than one that is not exported."""

    def __init__(self, job: str, target: str, problem: str, way: str) -> None:
        self.job = job
        self.target = target
        self.problem = problem
        self.ways = (way, TICK)
        super().__init__(
            f"{job} is not exported to {target}: {problem}.\n"
            f"    Either {self.ways[0]},\n"
            f"    or {self.ways[1]}."
        )


class Refused(Exception):
    """The same, raised where job and target are not known: the problem, and a way out."""

    def __init__(self, problem: str, way: str) -> None:
        self.problem = problem
        self.way = way
        super().__init__(problem)


class UsageError(AfterworkError, ValueError):
    """An option or a file that does not do."""

    def __init__(self, problem: str, step: str) -> None:
        super().__init__(f"{problem}. {step}.")
