"""How the work of one Lambda invocation outlives its response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, MutableMapping
from typing import Any

from afterwork import HostInfo
from afterwork.errors import InvalidOptionError

from ._ledger import Ledger

MIN_MARGIN_SECONDS = 0.4
"""Cut work has 0.25 seconds to end, and the extension lets go 0.1 seconds before the deadline."""
MAX_MARGIN_SECONDS = 600.0
DEFAULT_MARGIN_SECONDS = 0.5


def check_margin(margin: float) -> float:
    """Raises `InvalidOptionError`."""
    number = isinstance(margin, int | float) and not isinstance(margin, bool)
    if not number or not MIN_MARGIN_SECONDS <= margin <= MAX_MARGIN_SECONDS:
        expected = f"seconds from {MIN_MARGIN_SECONDS} to {MAX_MARGIN_SECONDS:.0f}"
        raise InvalidOptionError("margin", expected, margin)
    return float(margin)


class LambdaHost:
    """The host of one invocation. `ends` is when its work must be over, as `time.time()`."""

    info = HostInfo("aws-lambda", "handover", lifespan_is_process=False)

    def __init__(self, ledger: Ledger, request_id: str, ends: float) -> None:
        self._ledger = ledger
        self._request_id = request_id
        self._ends = ends

    def wait_until(self, scope: MutableMapping[str, Any], work: Awaitable[None]) -> None:
        """Keeps Lambda from freezing the process until `work` is done."""
        self._ledger.keep(self._request_id, asyncio.ensure_future(work))

    def deadline(self, scope: MutableMapping[str, Any]) -> float:
        return self._ends
