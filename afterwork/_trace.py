"""The trace that a durable call is part of, as text: W3C `traceparent`, over OpenTelemetry where
the app has it. It is never imported from here."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context
    from typing import Any

KEY = "traceparent"


def capture() -> str | None:
    """The current span's `traceparent`, or None."""
    propagate: Any = sys.modules.get("opentelemetry.propagate")
    if propagate is None:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(KEY)


def restore(trace: str | None, context: Context) -> None:
    """Makes that span the current one of a context."""
    propagate: Any = sys.modules.get("opentelemetry.propagate")
    contexts: Any = sys.modules.get("opentelemetry.context")
    if trace is not None and propagate is not None and contexts is not None:
        context.run(lambda: contexts.attach(propagate.extract({KEY: trace})))
