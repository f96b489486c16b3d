"""The doctor's look at the app: is it wrapped, will something run the jobs, and is the host what it
is taken for?"""

from __future__ import annotations

from .._middleware import AfterMiddleware
from . import _check_routes
from ._point import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._app import Found

WRAP = "wrap the app last, after all other middleware: app = work.wrap(app)"


def points(found: Found) -> list[Point]:
    """Middleware, what sets jobs off, host, routes."""
    return [
        _middleware(found),
        *_triggers(found),
        _host(found),
        *(point for routes in found.findings.routes for point in _check_routes.points(routes)),
    ]


def _middleware(found: Found) -> Point:
    """Whether the app has `after()` and a lifespan that drains, outermost."""
    what, app = "middleware", found.app
    pipeline = found.work.pipeline
    if app is None:
        return Point(
            what,
            "note",
            f"{found.target} has no app beside the Afterwork, so it is not known whether it is "
            "wrapped",
            "name the app that the server runs: --app MODULE:NAME",
        )
    kind = type(app).__name__
    stack = getattr(app, "user_middleware", None)
    if isinstance(stack, list) and not isinstance(app, AfterMiddleware):
        classes = [getattr(each, "cls", None) for each in stack]
        if AfterMiddleware in classes:
            return _place(found, kind, classes)
    if isinstance(app, AfterMiddleware):
        if app.pipeline is pipeline:
            return Point(what, "ok", f"AfterMiddleware is outermost around {_inner(app)}")
        return _without_work(kind)
    if any(each.pipeline is pipeline for each in found.findings.middlewares):
        return Point(
            what,
            "problem",
            f"AfterMiddleware is not outermost: {kind} is around it, so what that adds to the "
            "response happens unseen, and it may get no lifespan",
            WRAP,
        )
    return Point(
        what,
        "problem",
        f"nothing wraps the app ({kind}): after() raises, nothing waits for work at shutdown, and "
        "the scheduler is never started",
        WRAP,
    )


def _place(found: Found, kind: str, classes: Sequence[object]) -> Point:
    position = classes.index(AfterMiddleware)
    if found.findings.bare and found.work.pipeline.dispatch is not None:
        return _without_work(kind)
    if position:
        outer = ", ".join(getattr(each, "__name__", str(each)) for each in classes[:position])
        return Point(
            "middleware",
            "problem",
            f"AfterMiddleware is not outermost in {kind}: {outer} is around it",
            "add it last, app.add_middleware(AfterMiddleware, work=work), since the last one added "
            "is the outermost",
        )
    return Point("middleware", "ok", f"AfterMiddleware is the outermost of {kind}")


def _without_work(kind: str) -> Point:
    return Point(
        "middleware",
        "problem",
        f"the AfterMiddleware of the app ({kind}) was not given this Afterwork: its settings do "
        "not hold, and its scheduler is never started",
        "app = work.wrap(app), or app.add_middleware(AfterMiddleware, work=work)",
    )


def _inner(app: AfterMiddleware) -> str:
    return getattr(app.app, "__name__", type(app.app).__name__)


def _triggers(found: Found) -> list[Point]:
    """Whether something runs the jobs that have a schedule."""
    from .._scheduler import Scheduler

    dispatch = found.dispatch
    if not any(job.schedule is not None for job in dispatch.jobs):
        return []
    setting = dispatch.pipeline.settings.scheduler
    refusal = Scheduler(dispatch).refusal()
    routes = len(found.findings.routes)
    if setting is True and refusal is not None:
        return [
            Point("triggers", "problem", f"scheduler=True, and {refusal}", "leave scheduler= out")
        ]
    if setting is not False and refusal is None:
        also = "; the trigger route is there, too" if routes else ""
        return [Point("triggers", "ok", f"the app's own scheduler runs the jobs{also}")]
    if routes:
        return [
            Point(
                "triggers",
                "ok",
                "the trigger route; make sure that something calls it (see `afterwork export`)",
            )
        ]
    why = "scheduler=False" if refusal is None else refusal
    return [
        Point(
            "triggers",
            "problem",
            f"nothing runs the jobs: there is no trigger route, and no scheduler: {why}",
            "mount work.routes(verify=Bearer.from_env('CRON_SECRET')) and let the platform's "
            "scheduler call it; or run `afterwork work` or `afterwork due` somewhere",
        )
    ]


def _host(found: Found) -> Point:
    """Whether work can outlive a response here."""
    info = found.dispatch.pipeline.host.info
    text = f"{info.name}, mode {info.mode}"
    if info.max_seconds is not None:
        text += f", at most {info.max_seconds:g} s"
    if info.note is not None:
        return Point("host", "note", f"{text}: {info.note}")
    if not info.after_response:
        return Point("host", "note", f"{text}: the client waits for all work")
    return Point("host", "ok", text)
