"""D10: the answers equal those of Debian's cron, frozen in tests/data/cron_oracle.json."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from afterwork._cron import Cron

WINDOWS = json.loads((Path(__file__).parent / "data" / "cron_oracle.json").read_text())["windows"]


def test_d10_the_oracle_is_whole() -> None:
    """It holds 91 expressions over 28 windows of two days, in 8 zones: 2,366 lists of answers."""
    assert len({window["zone"] for window in WINDOWS}) == 8
    assert {window["kind"] for window in WINDOWS} == {"plain", "gap", "overlap"}
    assert len({text for window in WINDOWS for text in window["fires"]}) == 91
    assert (len(WINDOWS), sum(len(window["fires"]) for window in WINDOWS)) == (28, 2366)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: f"{w['zone']}-{w['kind']}-{w['start']}")
def test_d10_every_answer_equals_the_oracle(window: dict[str, Any]) -> None:
    start = datetime.fromtimestamp(window["start"], UTC)
    end = datetime.fromtimestamp(window["end"], UTC)
    for expression, fires in window["fires"].items():
        cron = Cron(expression, timezone=window["zone"])
        forward: list[int] = []
        time = cron.next(start)
        while time is not None and time <= end:
            forward.append(int(time.timestamp()))
            time = cron.next(time)
        assert forward == fires, expression
        backward: list[int] = []
        time = cron.prev(end + timedelta(seconds=1))
        while time is not None and time > start:
            backward.append(int(time.timestamp()))
            time = cron.prev(time)
        assert backward[::-1] == fires, expression
