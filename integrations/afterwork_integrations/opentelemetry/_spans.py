"""A span for every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from afterwork import Run

__all__ = ["spans"]


def spans(
    tracer_provider: trace.TracerProvider | None = None,
) -> Callable[[Run], AbstractContextManager[object]]:
    """A value for `around=` that opens a span around every attempt of a run.

    The span is a child of the one that was current where `after()` was called, usually the server's
    span, which has ended by then: OpenTelemetry allows that, and viewers show the callback behind
    the response. It also links to it. Spans opened inside the callback are its children. An error
    sets the span's status and is recorded on it. Its attributes are `afterwork.run_id`,
    `afterwork.attempt`, `afterwork.trigger` and `code.callsite`, which for a job is where it is
    defined; for a job also `afterwork.job` and, where it has one, `afterwork.slot`. Arguments are
    never recorded.

    `tracer_provider` is for apps with several; the default is the global one.
    """
    tracer = trace.get_tracer("afterwork", tracer_provider=tracer_provider)

    @contextmanager
    def around(run: Run) -> Iterator[None]:
        parent = trace.get_current_span().get_span_context()
        with tracer.start_as_current_span(
            run.name,
            kind=trace.SpanKind.INTERNAL,
            links=[trace.Link(parent)] if parent.is_valid else [],
            attributes=_attributes(run),
        ):
            yield

    return around


def _attributes(run: Run) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "afterwork.run_id": run.id,
        "afterwork.attempt": run.attempt,
        "afterwork.trigger": run.trigger,
        "code.callsite": run.queued_at[0],
    }
    if run.job is not None:
        attributes["afterwork.job"] = run.job.name
    if run.scheduled_for is not None:
        attributes["afterwork.slot"] = run.scheduled_for.isoformat()
    return attributes
