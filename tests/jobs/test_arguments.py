"""What a body holds, and how a job is given it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork._arguments import bind, read, slot_in
from afterwork._callers import BadCallError


@pytest.mark.parametrize(
    ("body", "kind", "payload"),
    [
        (b"", None, None),
        (b"", "image/png", None),
        (b'{"a": 1}', None, {"a": 1}),
        (b'{"a": 1}', "application/cloudevents+json", {"a": 1}),
        (b"[1]", "TEXT/plain; charset=utf-8", [1]),
        (b"5", "application/x-www-form-urlencoded", 5),
        (b"\xff\x00", "image/png", b"\xff\x00"),
    ],
)
def test_a_body_is_json_or_bytes(body: bytes, kind: str | None, payload: object) -> None:
    """T18: an empty body is fine."""
    assert read(body, kind) == payload


@pytest.mark.parametrize(
    "body", [b"{'a': 1}", b"\xff", b"NaN", b"-Infinity", b"[" * 100_000, b"1" * 5000]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """T18"""
    with pytest.raises(BadCallError, match="not JSON"):
        read(body, "application/json")


@given(st.binary(max_size=60), st.sampled_from([None, "application/json", "image/png"]))
def test_any_body_is_read_or_refused(body: bytes, kind: str | None) -> None:
    try:
        read(body, kind)
    except BadCallError:
        pass


def needs(account: int, /) -> None: ...


def takes(account: int = 0, *rest: int, force: bool = False) -> None: ...


def takes_any(account: int, **more: Any) -> None: ...


def with_slot(slot: str) -> None: ...


@pytest.mark.parametrize(
    ("fn", "payload", "arguments"),
    [
        (lambda: None, [1, 2], {}),
        (takes, None, {}),
        (takes, {"account": 5, "force": True}, {"account": 5, "force": True}),
        (takes, {"slot": "60"}, {}),
        (takes_any, {"account": 5, "other": 6}, {"account": 5, "other": 6}),
        (with_slot, {"slot": "60"}, {"slot": "60"}),
        ({}.update, {"a": 1}, {}),
    ],
)
def test_arguments_come_from_an_object_by_name(
    fn: Any, payload: object, arguments: dict[str, object]
) -> None:
    """A function in C that does not tell its arguments is given none."""
    assert bind(fn, payload) == arguments


@pytest.mark.parametrize(
    ("fn", "payload", "words"),
    [
        (takes, [1], "not a JSON object"),
        (takes, b"x", "not a JSON object"),
        (takes_any, {}, "'account' is missing"),
        (needs, None, "'account' is missing"),
        (needs, {"account": 1}, "no argument 'account'"),
        (takes, {"rest": 1}, "no argument 'rest'"),
        (takes, {"x" * 100: 1}, "no argument 'x{60}'$"),
    ],
)
def test_what_does_not_fit_is_told_before_any_work(fn: Any, payload: object, words: str) -> None:
    """T18"""
    with pytest.raises(BadCallError, match=words):
        bind(fn, payload)


def test_a_body_may_name_its_slot() -> None:
    """Unless that is an argument of the job: a body's template is all that some schedulers have."""
    assert slot_in(takes, {"slot": "60"}) == 60
    assert slot_in(takes, {"slot": 60}) == 60
    assert slot_in(takes, {"slot": "1970-01-01T00:01:00Z"}) == 60
    assert slot_in(with_slot, {"slot": "60"}) is None
    assert slot_in(takes, ["slot"]) is None
    assert slot_in(takes, {}) is None
    with pytest.raises(BadCallError, match="slot"):
        slot_in(takes, {"slot": None})
