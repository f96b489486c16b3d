from __future__ import annotations

import asyncio

import pytest
import trio
from afterwork_integrations._side_by_side import side_by_side

from afterwork.errors import EngineError


async def test_ten_at_a_time_and_the_results_in_order() -> None:
    running = most = 0

    async def double(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (number % 3))
        running -= 1
        return 2 * number

    assert await side_by_side(double, range(35)) == [2 * number for number in range(35)]
    assert await side_by_side(double, []) == []
    assert most == 10


async def test_the_first_error_ends_it_and_what_is_under_way_ends_before() -> None:
    begun: list[int] = []
    over: list[int] = []
    failed = asyncio.Event()

    async def call(number: int) -> None:
        begun.append(number)
        if number == 3:
            failed.set()
            raise EngineError("fake", "take calls in", "no")
        await failed.wait()
        over.append(number)

    with pytest.raises(EngineError, match="no"):
        await side_by_side(call, range(100))
    assert len(begun) == 10
    assert sorted(over) == [number for number in sorted(begun) if number != 3]


def test_it_works_on_trio() -> None:
    async def call(number: int) -> int:
        await trio.sleep(0)
        return number

    assert trio.run(side_by_side, call, range(3)) == [0, 1, 2]
