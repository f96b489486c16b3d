"""Another app with the same job: what a second service of one system is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.schedules.clockwork import new_work, site

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.schedules.clockwork import Receive, Send


async def other(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    await site(scope, receive, send)


app = new_work().wrap(other)
