from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations.opentelemetry import spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from afterwork import AfterMiddleware, after
from tests.support import call, respond

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


class Traces:
    """A tracer provider that keeps what has ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def ended(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_r64_each_callback_has_its_own_span_behind_the_servers(kind: str) -> None:
    traces = Traces()

    def inner() -> None:
        assert "server" in traces.ended
        with traces.tracer.start_as_current_span("inner"):
            pass

    async def inner_async() -> None:
        inner()

    async def instrumented(scope: Scope, receive: Receive, send: Send) -> None:
        with traces.tracer.start_as_current_span("server"):
            after.options(name="callback")(inner if kind == "sync" else inner_async)
            await respond(send)

    await call(AfterMiddleware(instrumented, around=[spans(traces.provider)]))

    server, callback, deep = (traces.ended[name] for name in ("server", "callback", "inner"))
    assert server.end_time is not None
    assert callback.start_time is not None
    assert server.end_time <= callback.start_time
    assert callback.parent is not None
    assert server.context is not None
    assert callback.parent.span_id == server.context.span_id
    assert [link.context.span_id for link in callback.links] == [server.context.span_id]
    assert deep.parent is not None
    assert callback.context is not None
    assert deep.parent.span_id == callback.context.span_id
    assert callback.attributes is not None
    assert callback.attributes["afterwork.attempt"] == 1
    assert str(callback.attributes["code.callsite"]).startswith(__file__)


async def test_a_failure_is_recorded_on_the_span_which_needs_no_parent(caplog: Any) -> None:
    traces = Traces()

    def fail() -> None:
        raise RuntimeError("no")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(fail)
        await respond(send)

    await call(AfterMiddleware(app, around=[spans(traces.provider)]))

    (span,) = traces.ended.values()
    assert span.parent is None
    assert span.links == ()
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_without_the_library_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "afterwork_integrations.opentelemetry")
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[opentelemetry\]'"):
        import afterwork_integrations.opentelemetry  # noqa: F401
