from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from afterwork_integrations.opentelemetry import metrics, spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from afterwork import AfterMiddleware, Outcome, after
from afterwork.testing import drain
from tests.jobs.support import at, caller, new_work, until
from tests.support import answering, call, lifespan, respond

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


async def test_the_span_of_a_job_says_which_and_where_it_is_defined() -> None:
    traces = Traces()
    work = new_work(around=[spans(traces.provider)])

    @work.cron("0 * * * *")
    async def nightly() -> None: ...

    await caller(work)("/nightly")
    await work.run(nightly)

    scheduled, by_hand = traces.exporter.get_finished_spans()
    assert scheduled.attributes is not None
    assert scheduled.attributes["afterwork.job"] == "nightly"
    assert scheduled.attributes["afterwork.trigger"] == "http"
    assert scheduled.attributes["afterwork.slot"] == "2026-03-10T12:00:00+00:00"
    assert str(scheduled.attributes["code.callsite"]).startswith(__file__)
    assert by_hand.attributes is not None
    assert by_hand.attributes["afterwork.trigger"] == "manual"
    assert "afterwork.slot" not in by_hand.attributes


class Measurements:
    """A meter provider that keeps what was measured."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def points(self, name: str) -> dict[str, Any]:
        """The data points of an instrument, by run name and outcome."""
        return {
            f"{point.attributes['afterwork.name']} {point.attributes['afterwork.outcome']}": point
            for point in self.metric(name).data.data_points
        }

    def metric(self, name: str) -> Any:
        data = self.reader.get_metrics_data()
        assert data is not None
        (found,) = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return found


async def test_runs_are_counted_and_measured() -> None:
    measured = Measurements()
    work = new_work(reporters=[metrics(measured.provider)])
    clock: Any = work.pipeline.clock

    class OddError(Exception):
        pass

    async def fail() -> None:
        raise OddError

    def divide() -> None:
        raise ZeroDivisionError

    work.job(name="good")(lambda: clock.advance(2))
    work.job(name="bad")(fail)
    for name in ("good", "good", "bad"):
        await work.run(name)
    async with lifespan(work.wrap(answering(lambda: after(divide)))) as life:
        await call(life.app)

    runs = measured.metric("afterwork.runs")
    assert (runs.unit, runs.data.is_monotonic) == ("{run}", True)
    points = measured.points("afterwork.runs")
    callback = next(name for name in points if name.endswith("divide failed"))
    assert {name: point.value for name, point in points.items()} == {
        "good succeeded": 2,
        "bad failed": 1,
        callback: 1,
    }
    assert dict(points["good succeeded"].attributes) == {
        "afterwork.name": "good",
        "afterwork.outcome": "succeeded",
        "afterwork.trigger": "manual",
        "afterwork.kind": "job",
    }
    assert points["bad failed"].attributes["error.type"] == f"{__name__}.{OddError.__qualname__}"
    assert points[callback].attributes["error.type"] == "ZeroDivisionError"
    assert points[callback].attributes["afterwork.kind"] == "callback"
    assert points[callback].attributes["afterwork.trigger"] == "after"

    duration = measured.metric("afterwork.run.duration")
    assert duration.unit == "s"
    point = measured.points("afterwork.run.duration")["good succeeded"]
    assert (point.count, point.sum) == (2, 4.0)
    assert point.explicit_bounds[0] == 0.005


async def test_the_lag_of_scheduled_runs_is_measured() -> None:
    measured = Measurements()
    work = new_work(at("2026-03-10 11:59"), reporters=[metrics(measured.provider)])
    work.cron("0 * * * *", name="job")(lambda: None)
    clock: Any = work.pipeline.clock
    async with lifespan(work.wrap(answering(lambda: None))):
        await until(lambda: clock._sleepers)
        clock.advance(75)
        await until(lambda: work.store.runs(state="succeeded"))
        await drain()

    lag = measured.metric("afterwork.run.lag")
    assert lag.unit == "s"
    point = measured.points("afterwork.run.lag")["job succeeded"]
    assert (point.count, point.sum) == (1, 15.0)


async def test_what_never_started_has_no_duration() -> None:
    measured = Measurements()
    work = new_work(reporters=[metrics(measured.provider)])
    job = work.cron("0 * * * *", name="nightly")(lambda: None)
    await work.run("nightly")
    work.dispatch.tell(job, work.store.runs()[0], Outcome.MISSED)
    assert measured.points("afterwork.runs")["nightly missed"].value == 1
    assert "nightly missed" not in measured.points("afterwork.run.duration")


def test_without_the_library_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if "_integrations.opentelemetry" in name]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'afterwork\[opentelemetry\]'"):
        import afterwork_integrations.opentelemetry  # noqa: F401
