"""A durable call goes on in the trace that it was made in."""

from __future__ import annotations

import sys
from contextvars import Context
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from afterwork import after
from afterwork._trace import capture, restore
from tests.durable_unit.support import ListEngine, deliveries, new_work

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_run_is_in_the_trace_of_the_call() -> None:
    tracer = TracerProvider().get_tracer("test")
    engine = ListEngine()
    work = new_work(engine)
    seen: list[trace.SpanContext] = []

    @work.job(durable=True)
    async def job() -> None:
        seen.append(trace.get_current_span().get_span_context())

    with tracer.start_as_current_span("request") as span:
        await after.enqueue(job)
        made_in = span.get_span_context()
    assert await deliveries(work).run(engine.envelopes[0]) is None
    assert (seen[0].trace_id, seen[0].span_id) == (made_in.trace_id, made_in.span_id)
    assert seen[0].is_remote


def test_without_a_span_there_is_no_trace() -> None:
    assert capture() is None


@pytest.mark.parametrize("missing", ["opentelemetry.propagate", "opentelemetry.context"])
def test_without_opentelemetry_nothing_is_done(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: Any = sys.modules
    monkeypatch.delitem(modules, missing)
    context = Context()
    restore(PARENT, context)
    assert len(context) == 0
    assert capture() is None
    assert missing not in sys.modules


@pytest.mark.parametrize(("text", "valid"), [(PARENT, True), ("nonsense", False), (None, False)])
def test_what_is_no_trace_is_none(text: str | None, valid: bool) -> None:
    context = Context()
    restore(text, context)
    span = context.run(trace.get_current_span)
    assert span.get_span_context().is_valid is valid
