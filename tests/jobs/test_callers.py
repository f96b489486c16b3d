"""What callers say of their deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork._callers import BadCallError, Call, identify, identify_dispatch, read_instant
from afterwork._occurrence import Occurrence
from afterwork.verify import TriggerRequest


def request(headers: dict[str, str]) -> TriggerRequest:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return TriggerRequest({"type": "http", "method": "POST", "path": "/", "headers": pairs})


def call(headers: dict[str, str] | None = None, **query: str) -> Call:
    return identify(request(headers or {}), query)


@pytest.mark.parametrize(
    ("headers", "caller", "delivery", "attempt", "retries"),
    [
        ({}, "http", None, None, False),
        ({"user-agent": "curl/8"}, "http", None, None, False),
        ({"upstash-message-id": "m"}, "qstash", "m", 1, True),
        ({"upstash-message-id": "m", "upstash-retried": "2"}, "qstash", "m", 3, True),
        ({"x-cloudscheduler": "true"}, "cloud-scheduler", None, None, True),
        ({"x-cloudtasks-taskname": "t"}, "cloud-tasks", "/t", 1, True),
        (
            {
                "x-cloudtasks-taskname": "t",
                "x-cloudtasks-queuename": "q",
                "x-cloudtasks-taskretrycount": "4",
            },
            "cloud-tasks",
            "q/t",
            5,
            True,
        ),
        (
            {"user-agent": "Amazon/EventBridge/ApiDestinations"},
            "eventbridge",
            None,
            None,
            True,
        ),
        ({"user-agent": "vercel-cron/1.0"}, "vercel-cron", None, None, False),
        ({"x-vercel-cron-schedule": "0 * * * *"}, "vercel-cron", None, None, False),
        ({"webhook-id": "w"}, "webhook", "w", None, True),
    ],
)
def test_a_caller_is_told_by_its_headers(
    headers: dict[str, str],
    caller: str,
    delivery: str | None,
    attempt: int | None,
    retries: bool,
) -> None:
    found = call(headers)

    assert (found.caller, found.delivery, found.attempt, found.retries) == (
        caller,
        delivery,
        attempt,
        retries,
    )


def test_anybody_may_name_slot_delivery_and_attempt() -> None:
    """In the query, or in headers; the query counts more."""
    found = call(
        {"afterwork-slot": "60", "afterwork-delivery": "d", "afterwork-attempt": "2"}, slot="120"
    )

    assert (found.slot, found.delivery, found.attempt, found.retries) == (120, "d", 2, True)
    assert call(slot="manual").manual


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-03-08T07:00:00Z", 1772953200),
        ("2026-03-08T08:00:00.5+01:00", 1772953200.5),
        ("1772953200", 1772953200),
        ("1772953200000", 1772953200),
        ("0", 0),
    ],
)
def test_a_time_may_be_written_in_several_ways(text: str, seconds: float) -> None:
    assert read_instant("slot", text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-03-08T07:00:00",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "-1",
        "1" * 16,
        "\u0665",
        "9999-12-31T23:59:59-23:59",
        "1e5",
    ],
)
def test_a_time_that_cannot_be_read_is_the_callers_mistake(text: str) -> None:
    with pytest.raises(BadCallError, match="slot is not a time such as"):
        read_instant("slot", text)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_mistake(text: str) -> None:
    try:
        assert read_instant("slot", text) >= 0
    except BadCallError:
        pass


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"upstash-message-id": "m", "upstash-retried": "x"}, "Upstash-Retried is not a number"),
        ({"upstash-message-id": "m", "upstash-retried": "1000001"}, "Upstash-Retried"),
        ({"x-cloudscheduler": "true", "x-cloudscheduler-scheduletime": "soon"}, "ScheduleTime"),
        ({"x-cloudtasks-taskname": "t", "x-cloudtasks-taskretrycount": "-1"}, "TaskRetryCount"),
        ({"afterwork-attempt": "two"}, "attempt is not a number"),
        ({"afterwork-slot": "noon"}, "slot is not a time"),
        ({"afterwork-delivery": "d" * 4097}, "more than 4096 characters"),
        ({"webhook-id": "a\0b"}, "a character that no store takes"),
    ],
)
def test_what_cannot_be_read_is_no_guess_of_ours(headers: dict[str, str], words: str) -> None:
    with pytest.raises(BadCallError, match=words):
        call(headers)


def test_a_dispatch_names_what_is_missing() -> None:
    """T20"""
    with pytest.raises(BadCallError, match="ce-specversion is missing"):
        identify_dispatch(request({}))


def test_the_key_of_a_long_delivery_is_short_and_still_its_own() -> None:
    """What cannot be encoded is no obstacle."""
    long: Any = ["x" * 300, "x" * 301, "\ud800" * 300, "x" * 200]
    keys = {Occurrence("http", delivery=each, caller="http").keys for each in long}

    assert len(keys) == 4
    assert all(len(key) < 220 for (key,) in keys)
    assert Occurrence("http", slot=5, delivery="d", caller="c").keys == ("delivery:c:d", "slot:5")
