"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork import _durations
from afterwork.errors import DurationSyntaxError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 2d ", 172_800),
        ("1d2h3m4s", 93_784),
        ("007s", 7),
        ("0s", 0),
        ("100h", 360_000),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: int) -> None:
    assert _durations.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "position", "problem", "hint"),
    [
        ("", 0, "a number is missing", "Write whole numbers with d, h, m or s"),
        ("  ", 2, "a number is missing", "Write whole numbers"),
        ("90", 2, "90 has no unit", "Write 90s for seconds or 90m for minutes."),
        ("1h30", 4, "30 has no unit", "Write 30s"),
        ("1.5h", 1, "fractions are not read", "90m instead of 1.5h"),
        ("1,5h", 1, "fractions are not read", "90m instead of 1.5h"),
        ("30m1h", 4, "h is out of order", "the longest first: 1h30m"),
        ("1h1h", 3, "h is out of order", "Each unit stands once"),
        ("5M", 1, "'M' is no unit", "Write m in lower case."),
        ("1w", 1, "'w' is no unit", "Write whole numbers"),
        ("5 m", 1, "' ' is no unit", "Write whole numbers"),
        ("5min", 2, "a number is missing before 'i'", "Write whole numbers"),
        ("-5m", 0, "a number is missing before '-'", "Write whole numbers"),
        ("m", 0, "a number is missing before 'm'", "Write whole numbers"),
        ("\N{ARABIC-INDIC DIGIT FIVE}m", 0, "a number is missing before", "Write whole"),
        ("1" * 65, 64, "it has 65 characters", "Write whole numbers"),
    ],
)
def test_what_cannot_be_read_is_refused_with_position_and_hint(
    text: str, position: int, problem: str, hint: str
) -> None:
    with pytest.raises(DurationSyntaxError) as caught:
        _durations.parse(text)
    error = caught.value
    assert (error.text, error.position) == (text, position)
    assert problem in str(error)
    assert hint in str(error)
    assert str(error).endswith("^")


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_again(seconds: int) -> None:
    assert _durations.parse(_durations.compact(seconds)) == seconds


@given(st.text(st.sampled_from("0123456789dhms .-M"), max_size=12))
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        assert _durations.parse(text) >= 0
    except DurationSyntaxError as error:
        assert 0 <= error.position <= len(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (60, "1 minute"),
        (5400, "1 hour 30 minutes"),
        (93_784, "1 day 2 hours 3 minutes 4 seconds"),
    ],
)
def test_words(seconds: int, words: str) -> None:
    assert _durations.words(seconds) == words
