"""The command line: the jobs of an app as a person at a terminal, a CI job or a platform sees them.

Commands import what they need when they run, so that `--help` is there at once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 for success, 1 for a job that failed or problems
    that were found, 2 for wrong usage, 3 for what is not there, 4 for a run that was skipped, 124
    for one that timed out, 130 and 143 where a signal ended it."""
    from ._main import main

    return main(argv)
