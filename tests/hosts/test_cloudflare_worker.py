"""Cloudflare's own SDK in real Pyodide on Node, with a stand-in for workerd around it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .isolate.platform import Isolate, at, names

pytestmark = pytest.mark.timeout(180)  # the first one may have to install Pyodide

SLOT = 1_793_415_600.0
"""2026-10-31 03:00 UTC."""
MINUTE = 60.0


@pytest.fixture(scope="module")
def isolate() -> Iterator[Isolate]:
    """One for all tests: it takes seconds to start, and requests share an isolate anyway."""
    with Isolate() as running:
        yield running


def test_the_client_is_done_while_the_work_runs_and_the_worker_waits_for_it(
    isolate: Isolate,
) -> None:
    events = isolate.settled(isolate.fetch("/?sleep=receipt,1"))
    known = names(events)

    assert known.index("response") < known.index("body") < known.index("started")
    assert at(events, "done") - at(events, "body") > 0.5
    assert known.count("waitUntil") == 1
    assert known[-3:] == ["done", "nested", "settled"]  # what a callback queues is waited for


def test_the_work_outlives_the_lifespan_that_the_sdk_runs_for_each_request(
    isolate: Isolate,
) -> None:
    """It is not the process's end, and nothing is held back for it."""
    events = isolate.settled(isolate.fetch("/?sleep=receipt,0.3"))

    assert at(events, "lifespan.shutdown") < at(events, "response") < at(events, "done")


def test_a_streamed_response_is_out_before_the_work(isolate: Isolate) -> None:
    events = isolate.settled(isolate.fetch("/stream?sleep=receipt,0.3"))

    assert next(each.text for each in events if each.event == "body") == "thank you"
    assert at(events, "body") < at(events, "started") < at(events, "done") < at(events, "settled")


def test_a_sync_callback_runs_on_the_loop_after_the_response_is_out(isolate: Isolate) -> None:
    """There are no threads, and it holds up everything, so the response has a head start."""
    events = isolate.settled(isolate.fetch("/?block=report,0.5"))

    assert at(events, "body") < at(events, "started")
    assert at(events, "done") - at(events, "started") > 0.4
    assert isolate.python("import threading; threading.active_count()") == 1


def test_no_response_waits_for_its_own_callback_however_busy_the_isolate_is(
    isolate: Isolate,
) -> None:
    invocations = [isolate.fetch(f"/?block=n{number},0.03") for number in range(30)]
    for invocation in invocations:
        events = isolate.settled(invocation)
        assert at(events, "body") < at(events, "started")


def test_several_callbacks_run_at_once_and_one_that_fails_costs_no_other(isolate: Isolate) -> None:
    path = "/?sleep=one,0.5&fail=paper-jam&sleep=two,0.5&block=three,0.3&sleep=four,0.5"
    events = isolate.settled(isolate.fetch(path))
    done = [event.value for event in events if event.name == "done"]

    assert sorted(done) == ["four", "one", "three", "two"]
    assert at(events, "started", "four") < at(events, "done", "one")
    assert "rejected" not in names(events)
    assert "paper-jam" in isolate.log


def test_requests_at_once_have_a_wait_each(isolate: Isolate) -> None:
    invocations = [isolate.fetch(f"/?sleep=r{number},0.2&tenant=t{number}") for number in range(8)]
    for number, invocation in enumerate(invocations):
        events = isolate.settled(invocation)
        assert [event.value for event in events if event.name == "done"] == [f"r{number}"]
        assert [event.value for event in events if event.name == "tenant"] == [f"t{number}"]
        assert events[-1].waits == 1


def test_a_callback_that_waited_for_a_place_stays_in_its_own_request(isolate: Isolate) -> None:
    """A request's timers end with it, whoever they were meant for."""
    invocations = [isolate.fetch(f"/narrow?sleep=n{number},0.1") for number in range(4)]
    for number, invocation in enumerate(invocations):
        done = [event.value for event in isolate.settled(invocation) if event.name == "done"]
        assert done == [f"n{number}"]


def test_a_callback_sees_context_variables_the_response_and_its_time(isolate: Isolate) -> None:
    events = isolate.settled(isolate.fetch("/?tenant=acme"))
    told = {event.name: event.value for event in events if event.event == "journal"}

    assert (told["tenant"], told["status"]) == ("acme", "200")
    assert 24 < float(told["remaining"]) <= 25


def test_work_that_is_not_done_in_time_is_cut_and_reported(isolate: Isolate) -> None:
    """The time counts from the response, not from the request's begin."""
    slow = isolate.settled(isolate.fetch("/short?wait=0.5&sleep=kept,0.1"))
    events = isolate.settled(isolate.fetch("/short?sleep=endless,60"))

    assert "done" in names(slow)
    assert 0.2 < at(events, "cut") - at(events, "waitUntil") < 10
    assert at(events, "cut") < at(events, "abandoned") <= at(events, "settled")
    assert "after.dropped" in isolate.log
    assert "deadline" in isolate.log


def test_a_request_without_callbacks_has_nothing_to_wait_for(isolate: Isolate) -> None:
    events = isolate.settled(isolate.fetch("/"))

    assert events[-1].waits == 0
    assert names(events)[-3:] == ["response", "body", "settled"]


def test_a_job_that_a_request_queues_runs_too(isolate: Isolate) -> None:
    events = isolate.settled(isolate.fetch("/?job=nightly"))

    assert at(events, "body") < at(events, "nightly") < at(events, "nightly over")


def test_a_cron_trigger_runs_its_job_once_for_each_slot(isolate: Isolate) -> None:
    first = isolate.settled(isolate.scheduled("0 3 * * *", SLOT))
    again = isolate.settled(isolate.scheduled("0 3 * * *", SLOT + 7))
    next_day = isolate.settled(isolate.scheduled("0 3 * * *", SLOT + 86400))

    ran = [event.value for event in first if event.name == "nightly"]
    assert ran == ["2026-10-31 03:00:00+00:00"]
    assert names(first) == ["waitUntil", "nightly", "nightly over", "returned", "settled"]
    assert names(again) == ["waitUntil", "returned", "settled"]
    assert "nightly" in names(next_day)


def test_a_trigger_is_known_by_the_text_that_the_export_writes(isolate: Isolate) -> None:
    """There Monday is not 1; and a sync job runs on the loop."""
    events = isolate.settled(isolate.scheduled("30 4 * * MON", SLOT + 30 * MINUTE))
    wrong = isolate.settled(isolate.scheduled("30 4 * * 1", SLOT))

    assert "weekly" in names(events)
    assert "raised" in names(wrong)
    assert "weekly" not in names(wrong)


def test_a_job_that_fails_fails_its_trigger_after_all_are_over(isolate: Isolate) -> None:
    """What the platform waits for fails, which is what its list of past events shows."""
    events = isolate.settled(isolate.scheduled("0 5 * * *", SLOT))
    (raised,) = [event for event in events if event.event == "raised"]

    (rejected,) = [event for event in events if event.event == "rejected"]

    assert "beside" in names(events)
    for each in (raised, rejected):
        assert "CronEventError" in each.text
        assert "failing" in each.text


def test_nothing_is_left_of_requests_that_are_over() -> None:
    """No proxy, no task and no queue, whether the platform copies what it is given or not. Timers
    end by themselves: the short deadline keeps the test short."""
    for copies in (True, False):
        with Isolate(copies=copies) as isolate:
            isolate.settled(
                isolate.fetch("/short?sleep=warm,0.05&block=up,0.1&fail=first&tenant=t")
            )
            before = lowest(isolate)
            for number in range(20):
                path = f"/short?sleep=n{number},0.05&fail=again&tenant=t"
                assert "rejected" not in names(isolate.settled(isolate.fetch(path)))
            assert lowest(isolate, before) == before
            assert isolate.python(LEFT) == "1 task, 0 queues"


LEFT = """
import asyncio, worker
f"{len(asyncio.all_tasks())} task, {len(worker.work.pipeline.queues)} queues"
"""


def lowest(isolate: Isolate, wanted: int = 0) -> int:
    """How many proxies are left once those of timers are gone, which takes a deadline."""
    end = time.monotonic() + (5.0 if wanted else 1.0)
    while (count := isolate.proxies()) > wanted and time.monotonic() < end:
        time.sleep(0.1)
    return count


def test_where_the_sdk_has_no_wait_until_the_client_waits_and_a_warning_says_so() -> None:
    """The request's own context is the way out."""
    with Isolate(wait_until=False) as isolate:
        without = isolate.settled(isolate.fetch("/?sleep=receipt,0.3&block=report,0.2"))
        given = isolate.settled(isolate.fetch("/ctx?sleep=receipt,0.3&block=report,0.2"))
        trigger = isolate.settled(isolate.scheduled("0 3 * * *", SLOT))
        log = isolate.log

    assert at(without, "done", "receipt") < at(without, "response")
    assert at(without, "done", "report") < at(without, "response")
    assert without[-1].waits == 0
    assert "no wait_until" in log
    assert at(given, "body") < at(given, "started")
    assert given[-1].waits == 1
    assert "nightly over" in names(trigger)
