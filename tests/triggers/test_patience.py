"""Callers that lose patience: EventBridge gives up after five seconds, here after one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from .site import BEARER

if TYPE_CHECKING:
    from .site import Site

EVENTBRIDGE = {**BEARER, "User-Agent": "Amazon/EventBridge/ApiDestinations"}
PATIENCE_SECONDS = 1.0
NAP = {"seconds": 2.0}


def test_a_job_that_takes_longer_than_its_caller_waits_is_accepted(site: Site) -> None:
    """T8: 202 in time, and the run goes on, ends and is recorded. What is delivered again
    meanwhile, and afterwards, is a duplicate."""
    path = "/nap?mode=accept&slot=2026-03-08T04:00:00Z"
    began = time.monotonic()

    answer = site.call(path, headers=EVENTBRIDGE, json=NAP, timeout=PATIENCE_SECONDS)
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    run = answer.json()["run_id"]

    during = site.call(path, headers=EVENTBRIDGE, json=NAP, timeout=PATIENCE_SECONDS)
    assert site.ended(run).state == "succeeded"
    after = site.call(path, headers=EVENTBRIDGE, json=NAP, timeout=PATIENCE_SECONDS)
    for again, state in ((during, "running"), (after, "succeeded")):
        assert (again.status_code, again.json()["status"]) == (200, "duplicate")
        assert (again.json()["run_id"], again.json()["run_state"]) == (run, state)
    assert site.started(run) == len(site.journal.lines("done", run)) == 1
    assert (site.record(run).duration or 0) >= NAP["seconds"]


def test_a_caller_that_gives_up_does_not_end_the_run_and_comes_again_in_vain(site: Site) -> None:
    """T9, T3: in mode wait its time-out costs it the answer and the run nothing; its redelivery is
    told about the run that it set off."""
    path = "/nap?slot=2026-03-08T05:00:00Z"
    with pytest.raises(httpx.ReadTimeout):
        site.call(path, headers=EVENTBRIDGE, json=NAP, timeout=PATIENCE_SECONDS)

    again = site.call(path, headers=EVENTBRIDGE, json=NAP, timeout=PATIENCE_SECONDS)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["run_state"] == "running"
    run = again.json()["run_id"]

    assert site.ended(run).state == "succeeded"
    assert site.record(run).attempt == 1
    assert site.started(run) == len(site.journal.lines("done", run)) == 1


def test_the_next_slot_of_a_job_that_still_runs_is_skipped_and_never_an_error(site: Site) -> None:
    """T4: 200, so that no caller delivers it again or switches the schedule off."""
    first = site.call("/long?mode=accept&slot=2026-03-08T04:30:00Z", headers=EVENTBRIDGE)
    site.journal.wait("started", first.json()["run_id"])

    second = site.call("/long?slot=2026-03-09T04:30:00Z", headers=EVENTBRIDGE)

    assert first.status_code == 202
    assert (second.status_code, second.json()["status"]) == (200, "skipped")
    assert site.started(second.json()["run_id"]) == 0
