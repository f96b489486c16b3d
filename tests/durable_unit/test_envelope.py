"""An envelope is read exactly as it was written, or refused as a whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork.engines import Envelope
from afterwork.errors import PayloadError

text = st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)
times = st.floats(0, 1e12, exclude_max=True) | st.integers(0, 10**12 - 1)
envelopes = st.builds(
    Envelope,
    id=text,
    job=text,
    payload=st.text(),
    run_at=st.none() | times,
    key=st.none() | text,
    priority=st.integers(-1000, 1000),
    attempt=st.integers(1, 1_000_000),
    crashes=st.integers(0, 1_000_000),
    retry=st.none() | text,
    trace=st.none() | text,
    enqueued_at=times,
)


@given(envelopes)
def test_what_is_read_is_what_was_written(envelope: Envelope) -> None:
    body = envelope.to_json()
    assert body.isascii()
    assert Envelope.from_json(body) == envelope
    assert Envelope.from_json(body.encode()) == envelope


ONE = {"v": 1, "id": "i", "job": "j"}


def test_the_least_has_an_id_and_a_job() -> None:
    assert Envelope.from_json(json.dumps(ONE)) == Envelope(id="i", job="j")
    for missing in ("id", "job"):
        with pytest.raises(PayloadError, match="must be an id and a job; it is none"):
            Envelope.from_json(json.dumps({k: v for k, v in ONE.items() if k != missing}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""), ("id", 1), ("id", "x" * 65), ("id", None),
        ("job", ""), ("job", "x" * 101), ("job", ["j"]),
        ("payload", None), ("payload", []),
        ("run_at", -1), ("run_at", "1"), ("run_at", True), ("run_at", 1e12), ("run_at", None),
        ("key", ""), ("key", "x" * 201), ("key", None),
        ("priority", 1001), ("priority", -1001), ("priority", 1.0), ("priority", True),
        ("attempt", 0), ("attempt", 1_000_001), ("attempt", True),
        ("crashes", -1), ("crashes", 1_000_001),
        ("retry", ""), ("retry", "x" * 1001),
        ("trace", ""), ("trace", "x" * 201),
        ("enqueued_at", -0.1), ("enqueued_at", []),
        ("more", 1),
    ],
)  # fmt: skip
def test_each_field_is_checked(field: str, value: Any) -> None:
    with pytest.raises(PayloadError) as caught:
        Envelope.from_json(json.dumps({**ONE, field: value}))
    assert caught.value.where == f"the envelope's {field!r}"


@pytest.mark.parametrize("version", [0, 2, -1, 10**30])
def test_another_version_is_refused_with_the_advice_to_update(version: int) -> None:
    with pytest.raises(PayloadError, match="must be version 1; it is another; update the worker"):
        Envelope.from_json(json.dumps({**ONE, "v": version}))


@pytest.mark.parametrize("version", [True, 1.0, "1", None, [1]])
def test_a_version_is_a_whole_number(version: Any) -> None:
    with pytest.raises(PayloadError, match="an object with its version"):
        Envelope.from_json(json.dumps({**ONE, "v": version}))


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "1", "null", b"\xff\xfe\x00", "[" * 100_000, "9" * 5000,
     '{"v": 1, "id": "i", "job": "j", "run_at": NaN}'],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(body: str | bytes) -> None:
    with pytest.raises(PayloadError):
        Envelope.from_json(body)


@given(st.binary() | st.text() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ONE, "key"]), inner),
).map(json.dumps))  # fmt: skip
def test_anything_is_read_or_refused(body: str | bytes) -> None:
    try:
        read = Envelope.from_json(body)
    except PayloadError:
        return
    assert Envelope.from_json(read.to_json()) == read


@given(envelopes, st.data())
def test_a_changed_one_is_read_or_refused(envelope: Envelope, data: st.DataObject) -> None:
    body = envelope.to_json()
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + data.draw(st.text('"{}[],:019-eE', max_size=3)) + body[at + 1 :]
    try:
        Envelope.from_json(changed)
    except PayloadError:
        pass


def test_the_next_attempt_is_the_same_call_without_its_key() -> None:
    envelope = Envelope(id="i", job="j", key="k", run_at=1.0, attempt=2, crashes=1, priority=3)
    following = replace(envelope, key=None, run_at=9.0, attempt=3)
    assert envelope.again(9.0) == following
    assert envelope.again(9.0, crashed=True) == replace(following, crashes=2)
