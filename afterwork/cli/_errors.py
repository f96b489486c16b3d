"""How a command ends when it cannot do what it was asked, and its exit codes."""

from __future__ import annotations

OK = 0
FAILED = 1
"""A job failed, or problems were found."""
USAGE = 2
NOT_FOUND = 3
SKIPPED = 4
TIMED_OUT = 124
"""As `timeout(1)`."""
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 141
"""Whoever read the output went away, as `| head` does."""


class Stop(Exception):
    """Ends the command with an exit code. Its text goes to stderr: what is wrong, and in the lines
    after the first what to do. `before` is shown above it, as it is."""

    def __init__(self, code: int, text: str, before: str = "") -> None:
        self.code = code
        self.before = before
        super().__init__(text)
