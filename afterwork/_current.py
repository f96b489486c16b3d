"""Where the code is: in which request, and inside which work."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._exchange import Exchange
    from ._work import Work

current_exchange: ContextVar[Exchange | None] = ContextVar("afterwork.exchange", default=None)
current_work: ContextVar[Work | None] = ContextVar("afterwork.work", default=None)
