"""Schedules in plain words."""

from __future__ import annotations

import pytest

from afterwork._cron import Cron


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/10 * * * *", "every 10 minutes"),
        ("*/7 * * * *", "at minutes 0, 7, 14 and so on to 56 of every hour"),
        ("5-59/10 * * * *", "at minutes 5, 15, 25 and so on to 55 of every hour"),
        ("0 * * * *", "at minute 0 of every hour"),
        ("0 * * 6 *", "at minute 0 of every hour in June"),
        ("30 2 * * *", "at 02:30 every day"),
        ("0,30 2,14 * * *", "at 02:00, 02:30, 14:00 and 14:30 every day"),
        ("48 */2 * * *", "at minute 48 of hours 0, 2, 4 and so on to 22 every day"),
        ("* 5 * * *", "every minute of hour 5 every day"),
        ("*/30 9-17 * * 1-5", "every 30 minutes of hours 9 to 17 on every Monday to Friday"),
        ("1,2,4 1,2,4 * * *", "at minutes 1, 2 and 4 of hours 1, 2 and 4 every day"),
        ("0 */25 * * *", "at 00:00 every day"),
        ("0 0 29 2 *", "at 00:00 on day 29 of February"),
        ("0 0 1,15 1-3 *", "at 00:00 on days 1 and 15 of January to March"),
        ("0 9 * * MON", "at 09:00 on every Monday"),
        ("0 9 * jan,jul 0,6", "at 09:00 on every Sunday and Saturday in January and July"),
        ("@weekly", "at 00:00 on every Sunday"),
    ],
)
def test_words_say_when(expression: str, words: str) -> None:
    assert Cron(expression).words() == f"{words}, UTC time"


def test_d11_words_say_whether_one_day_field_is_enough_or_both_must_hold() -> None:
    """D11"""
    assert Cron("0 0 13 * 5", timezone="America/New_York").words() == (
        "at 00:00 on day 13 of every month, and also on every Friday (one of the two is enough), "
        "America/New_York time"
    )
    assert Cron("0 0 1 6 1,3").words() == (
        "at 00:00 on day 1 of June, and also on every Monday and Wednesday in June "
        "(one of the two is enough), UTC time"
    )
    assert Cron("0 0 */2 * 5").words() == (
        "at 00:00 on days 1, 3, 5 and so on to 31 of every month, but only where that is Friday "
        "(both must hold), UTC time"
    )
    assert Cron("0 0 */16 * 1,3").words() == (
        "at 00:00 on days 1 and 17 of every month, but only where that is Monday or Wednesday "
        "(both must hold), UTC time"
    )


@pytest.mark.parametrize("expression", ["0 0 1-31 * 5", "0 0 5 * 0-6", "0 0 */1 * */1"])
def test_words_say_every_day_where_no_day_is_left_out(expression: str) -> None:
    assert Cron(expression).words() == "at 00:00 every day, UTC time"
