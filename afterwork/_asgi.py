"""The ASGI types that everything shares. This file imports nothing at run time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any, TypeAlias

    Scope: TypeAlias = MutableMapping[str, Any]
    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    ASGIApp: TypeAlias = Callable[..., Awaitable[Any]]
    """Loose on purpose: every framework has types of its own for the three arguments."""

SCOPE_KEY = "afterwork"
"""The one key afterwork uses in a scope.

A middleware marks with it the scopes that it looks after, for a nested one. An adapter outside the
middleware may put a host there (`scope["afterwork"] = my_host`) to answer for that request only.
"""
