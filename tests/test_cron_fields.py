"""What a cron expression may say, and what is refused with its place and a hint."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork._cron import Cron
from afterwork._cron_field import values
from afterwork._cron_fields import ALIASES, Fields
from afterwork.errors import CronSyntaxError


def refusal(expression: str) -> CronSyntaxError:
    with pytest.raises(CronSyntaxError) as caught:
        Fields(expression)
    return caught.value


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("5", [5]),
        ("05", [5]),
        ("1,3,5", [1, 3, 5]),
        ("5,1-3,2", [1, 2, 3, 5]),
        ("7-7", [7]),
        ("*/20", [0, 20, 40]),
        ("10-30/10", [10, 20, 30]),
        ("58-59/10", [58]),
        ("*/60", [0]),
        ("*/99999999999999999999", [0]),
        ("50-59/4,*/30", [0, 30, 50, 54, 58]),
    ],
)
def test_a_field_is_a_list_of_values_ranges_and_steps(field: str, expected: list[int]) -> None:
    assert values(Fields(f"{field} * * * *").minutes) == expected


def test_a_star_is_every_value() -> None:
    fields = Fields("* * * * *")
    assert values(fields.minutes) == list(range(60))
    assert values(fields.hours) == list(range(24))
    assert values(fields.days) == list(range(1, 32))
    assert values(fields.months) == list(range(1, 13))
    assert values(fields.weekdays) == list(range(7))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0", [0]),
        ("7", [0]),
        ("5-7", [0, 5, 6]),
        ("0-7", [0, 1, 2, 3, 4, 5, 6]),
        ("mon-fri", [1, 2, 3, 4, 5]),
        ("Sun,WED", [0, 3]),
        ("sat-7", [0, 6]),
        ("*/2", [0, 2, 4, 6]),
        ("1-7/3", [0, 1, 4]),
    ],
)
def test_d12_sunday_is_0_and_7_and_names_in_any_case(field: str, expected: list[int]) -> None:
    """D12"""
    assert values(Fields(f"0 0 * * {field}").weekdays) == expected


def test_d12_months_have_names() -> None:
    """D12"""
    assert values(Fields("0 0 1 jan,MAR-May,12 *").months) == [1, 3, 4, 5, 12]


def test_a_step_beyond_the_range_leaves_its_start() -> None:
    """`*/25` for hours is hour 0, as in Debian's cron."""
    assert values(Fields("0 */25 * * *").hours) == [0]


@pytest.mark.parametrize(
    ("expression", "either", "follows"),
    [
        ("0 0 13 * 5", True, False),
        ("0 0 */2 * 5", False, False),
        ("0 0 13 * */5", False, False),
        ("0 0 *,13 * 5", False, False),
        ("0 0 13,* * 5", True, False),
        ("0 0 * * *", False, False),
        ("* 0 1 * 5", True, True),
        ("0 */2 1 * 5", True, True),
        ("1,* 1,* * * *", False, False),
    ],
)
def test_d11_a_star_field_is_one_that_starts_with_a_star(
    expression: str, either: bool, follows: bool
) -> None:
    """D11"""
    fields = Fields(expression)
    assert (fields.either_day, fields.follows_clock) == (either, follows)


@pytest.mark.parametrize("alias", [*ALIASES, "@DAILY", " @Hourly "])
def test_an_alias_means_its_expression_and_prints_as_written(alias: str) -> None:
    fields, meaning = Fields(alias), Fields(ALIASES[alias.strip().lower()])
    assert fields.text == alias.strip()
    for name in Fields.__slots__:
        if name != "text":
            assert getattr(fields, name) == getattr(meaning, name)


@pytest.mark.parametrize(
    ("expression", "position", "problem", "hint"),
    [
        ("60 * * * *", 0, "minute 60 does not exist", "Use 0-59."),
        ("* 24 * * *", 2, "hour 24 does not exist", "Use 0-23."),
        ("* * 0 * *", 4, "day of month 0 does not exist", "Use 1-31."),
        ("* * * 13 *", 6, "month 13 does not exist", "Use 1-12 or jan-dec."),
        ("* * * * 1,8", 10, "day of week 8 does not exist", "Use 0-7 or sun-sat."),
        ("1-70 * * * *", 2, "minute 70 does not exist", "Use 0-59."),
        ("* * * *", 7, "it has 4 of five fields", "missing: day of week."),
        ("", 0, "it has 0 of five fields", "They are minute, hour"),
        ("  ", 2, "it has 0 of five fields", "They are minute, hour"),
        ("0 0  0 * * *", 11, "it has 6 fields and not five", "no field for seconds"),
        ("*/0 * * * *", 2, "a step of 0 leads nowhere", "Use a step of 1 or more."),
        ("*/ * * * *", 2, "a value of the minute is missing", "Expected a step of 1 or more."),
        ("*/-5 * * * *", 2, "'-' cannot stand in '-5'", "Expected a step of 1 or more."),
        ("*/5/5 * * * *", 3, "'/' cannot stand in '5/5'", "Expected a step"),
        ("5-1 * * * *", 2, "the range 5-1 falls", "Ranges rise: write 5-59,0-1."),
        ("0 22-2 * * *", 5, "the range 22-2 falls", "Ranges rise: write 22-23,0-2."),
        ("0 23-0 * * *", 5, "the range 23-0 falls", "Ranges rise: write 23,0."),
        ("0 0 * * fri-mon", 12, "the range fri-mon falls", "Ranges rise: write 5-6,0-1."),
        ("0 0 * * fri-sun", 12, "the range fri-sun falls", "Sunday ends a week as 7: 5-7."),
        ("0 0 * * 7-1", 10, "the range 7-1 falls", "Ranges rise: write 7,0-1."),
        ("0 0 * nov-feb *", 10, "the range nov-feb falls", "Ranges rise: write 11-12,1-2."),
        ("\N{ARABIC-INDIC DIGIT FIVE} * * * *", 0, "cannot stand in", "Use the digits 0 to 9."),
        ("1\N{FULLWIDTH DIGIT FIVE} * * * *", 1, "cannot stand in", "Use the digits 0 to 9."),
        ("\N{SUPERSCRIPT TWO} * * * *", 0, "cannot stand in", "Use the digits 0 to 9."),
        ("+5 * * * *", 0, "'+' cannot stand in '+5'", "Expected 0-59."),
        ("-1 * * * *", 0, "a value of the minute is missing", "Expected 0-59."),
        ("1- * * * *", 2, "a value of the minute is missing", "Expected 0-59."),
        ("1,,2 * * * *", 2, "a value of the minute is missing", "Expected 0-59."),
        ("1, * * * *", 2, "a value of the minute is missing", "Expected 0-59."),
        ("1-2-3 * * * *", 3, "'-' cannot stand in '2-3'", "Expected 0-59."),
        ("5/10 * * * *", 1, "a step needs a range or *", "Write 5-59/10."),
        ("0 0 * * mon/2", 11, "a step needs a range or *", "Write mon-6/2."),
        ("*5 * * * *", 0, "'*' cannot stand in '*5'", "* stands alone or before a step"),
        ("0 0 ? * 1", 4, "'?' cannot stand in '?'", "Use * for any."),
        ("0 0 L * *", 4, "'L' cannot stand in 'L'", "belong to other dialects"),
        ("0 0 * * 5#2", 9, "'#' cannot stand in '5#2'", "belong to other dialects"),
        ("0 0 * * monday", 8, "'m' cannot stand in 'monday'", "Names have three letters: mon."),
        ("mon * * * *", 0, "'m' cannot stand in 'mon'", "Expected 0-59."),
        ("0 0 * * *\n", 9, r"'\n' is no space", "Only spaces and tabs"),
        ("0\N{NO-BREAK SPACE}0 * * *", 1, "is no space", "Only spaces and tabs"),
        ("@dayly", 0, "'@dayly' names no schedule", "Known are @yearly"),
        (" @reboot", 1, "'@reboot' names no schedule", "app's lifespan"),
        ("@every 5m", 0, "'@every' names no schedule", 'Every("10m")'),
        ("@daily 3", 7, "@daily stands alone", "Remove what follows it."),
        ("CRON_TZ=UTC 0 0 * * *", 0, "a time zone is no part of it", "timezone="),
        ("TZ=UTC @daily", 0, "a time zone is no part of it", "timezone="),
    ],
)
def test_d14_refused_with_position_and_hint(
    expression: str, position: int, problem: str, hint: str
) -> None:
    """D14"""
    error = refusal(expression)
    assert (error.position, error.expression) == (position, expression)
    sentence, text, caret = str(error).split("\n")
    assert problem in sentence
    assert hint in sentence
    assert caret.index("^") == position + 4
    assert len(text) == len(expression) + 4


def test_d14_a_thousand_characters_are_refused_within_a_millisecond() -> None:
    """D14"""
    for text in ("1," * 500, "*" * 1000, " " * 1000, "9" * 1000, "@" * 1000, "\u0665" * 1000):
        seconds: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            assert refusal(text).position == 512
            seconds.append(time.perf_counter() - began)
        # the best of twenty, so that a busy machine does not decide
        assert min(seconds) < 0.001
    assert "it has 1000 characters" in str(refusal("1," * 500))
    assert len(str(refusal("1," * 500))) < 500


def test_all_five_fields_written_out_are_not_too_long() -> None:
    text = " ".join(
        ",".join(map(str, range(low, high + 1)))
        for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    )
    assert values(Fields(text).minutes) == list(range(60))


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("0 0 31 2 *", "day 31 in Feb"),
        ("0 0 30,31 feb *", "day 30 in Feb"),
        ("0 0 31 4,6,9,11 *", "day 31 in Apr, Jun, Sep, Nov"),
        ("0 0 30 2 */2", "day 30 in Feb"),
    ],
)
def test_d13_a_date_that_never_comes_is_refused(expression: str, missing: str) -> None:
    """D13"""
    error = refusal(expression)
    assert f"it never fires, there is no {missing}" in str(error)
    assert error.position == 4


@pytest.mark.parametrize(
    "expression",
    ["0 0 29 2 *", "0 0 31 2,3 *", "0 0 31 2 1", "0 0 */31 2 *", "0 0 30-31,1 2 *"],
)
def test_d13_a_date_that_comes_is_taken(expression: str) -> None:
    """D13: `0 0 31 2 1` fires on the Mondays of February: one of the two is enough."""
    Fields(expression)


@given(st.text(st.sampled_from("0123456789*/-,@ \tmonjasuL#?+\u0665\uff15"), max_size=30))
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        cron = Cron(text)
    except CronSyntaxError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert str(Cron(str(cron))) == str(cron)


def test_the_caret_stays_on_the_line_in_a_long_text() -> None:
    error = refusal(",".join(["10"] * 60) + ",60 * * * *")
    _, line, caret = str(error).split("\n")
    assert line[caret.index("^") :].startswith("60 *")
    assert len(line) <= 80
