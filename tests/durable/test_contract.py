"""The journal in a file, with workers that are killed."""

from __future__ import annotations

from afterwork.testing.engine_contract import SharedEngineContract


def no_engine(_: str) -> None:
    """The store's own journal."""


class TestJournalInProcesses(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        return f"{__name__}:no_engine", ""
