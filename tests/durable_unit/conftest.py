from __future__ import annotations

import pytest

from afterwork import _job_ticket, _run_record


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries of a store that is down."""
    monkeypatch.setattr(_job_ticket, "PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(_run_record, "PAUSE_SECONDS", 0.002)
