"""The Lambda handler for an ASGI app.

1. The app runs on a loop of its own thread, and its lifespan once per process, so that what it
   opened at start-up is there for requests and callbacks alike.
2. The handler returns when the response is complete. The app's call and the callbacks go on, and
   the extension keeps Lambda from freezing the process until they are over.
3. An invocation is left in a `finally`, whatever happens: what is not left is held until its
   deadline.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mangum import Mangum

from afterwork import Afterwork

from .._lifespan import Lifespan
from . import _job_events, _queue_events
from ._host import DEFAULT_MARGIN_SECONDS, LambdaHost, check_margin
from ._ledger import Ledger
from ._loop_thread import LoopThread
from ._register import register
from ._request import Request
from ._sigterm import on_sigterm

LAST_WORDS_SECONDS = 0.35
"""How long the app's shutdown may take: Lambda ends the process half a second after SIGTERM."""


class Handler:
    """What Lambda calls: `handler = Handler(app)`, at the top of a module.

    `app`
        The app, wrapped: `work.wrap(app)`, or with its own `AfterMiddleware`. API Gateway, function
        URLs, load balancers and Lambda@Edge are served, by Mangum.
    `work`
        The `Afterwork` whose jobs scheduled events may run; None (default) for none. Such an event
        is `{"afterwork": {"job": "nightly", "slot": "<aws.scheduler.scheduled-time>"}}`, the input
        of an EventBridge schedule, with `delivery`, `attempt` and `payload` where wanted. What the
        job came to is the invocation's result; a failure is raised, so that Lambda tries again.
        Its engine gets what a queue hands over, where it can take that, such as
        `afterwork_integrations.sqs`.
    `margin`
        Seconds before the function's deadline at which unfinished callbacks are cut and reported;
        default 0.5, at least 0.4.
    `options`
        Mangum's other settings, such as `api_gateway_base_path`.

    Make it while the module is imported: it registers an extension, which Lambda allows only before
    the first invocation, and runs the app's start-up. Let Lambda call it, not a function around it:
    an invocation that it does not see is held until just before its deadline.

    On Lambda Managed Instances, which do not freeze, and outside of Lambda it registers nothing,
    and callbacks run in the process as on any server.

    Raises `InvalidOptionError`, and `RuntimeError` where the app's start-up fails.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[Any]],
        work: Afterwork | None = None,
        *,
        margin: float = DEFAULT_MARGIN_SECONDS,
        **options: Any,
    ) -> None:
        if not callable(app):
            raise TypeError(f"Handler wraps an ASGI app; it was given {app!r}")
        self._margin = check_margin(margin)
        if "lifespan" in options:
            raise TypeError("Handler runs the lifespan itself, once per process; leave it out")
        self._app = app
        mangum: Any = Mangum  # its types are narrower than what it takes
        self._mangum = mangum(app, lifespan="off", **options)
        self._jobs = None if work is None else _job_events.JobEvents(work)
        self._work = work
        self._extension = register()
        self._ledger = Ledger() if self._extension is None else self._extension.ledger
        self._thread = LoopThread()
        self._lifespan = Lifespan(app, self._host("start-up", 0.0))
        self._thread.start(self._lifespan.startup()).result()
        self._forget_sigterm = None if self._extension is None else on_sigterm(self._end)
        if self._extension is not None:
            self._extension.begin()

    def __call__(self, event: Any, context: Any) -> Any:
        """One invocation. Returns the response while its work goes on."""
        request_id = context.aws_request_id
        self._ledger.enter(request_id)
        try:
            ends = time.time() + context.get_remaining_time_in_millis() / 1000 - self._margin
            host = self._host(request_id, ends)
            if _queue_events.is_one(event):
                running = _queue_events.handle(self._work, event, ends - time.time())
                return self._thread.start(running).result()
            call = _job_events.read(event)
            if call is not None:
                return self._run_job(call, request_id, host, ends)
            adapter = self._mangum.infer(event, context)
            scope: dict[str, Any] = {**adapter.scope, "state": self._lifespan.state.copy()}
            if host is not None:
                scope["afterwork"] = host
            request = Request(scope, adapter.body, None if host is None else ends)
            return adapter(self._answer(request, self._app, request_id))
        finally:
            self._ledger.leave(request_id)
            if self._extension is None:
                self._ledger.wait(request_id, 0.0)  # nobody else forgets it

    def close(self) -> None:
        """Ends the app's lifespan and the loop's thread, for tests."""
        if self._forget_sigterm is not None:
            self._forget_sigterm()
        self._thread.start(self._lifespan.shutdown()).result()
        self._thread.close()

    def _host(self, request_id: str, ends: float) -> LambdaHost | None:
        return None if self._extension is None else LambdaHost(self._ledger, request_id, ends)

    def _run_job(
        self, call: dict[str, Any], request_id: str, host: LambdaHost | None, ends: float
    ) -> dict[str, Any]:
        if self._jobs is None:
            raise ValueError(
                f"an event asks for the job {call['job']!r}, but this handler was given no jobs: "
                "make it with the Afterwork that has them, Handler(app, work)"
            )
        request = self._jobs.request(call, host, None if host is None else ends)
        return self._jobs.result(call, self._answer(request, self._jobs.app, request_id))

    def _answer(self, request: Request, app: Any, request_id: str) -> dict[str, Any]:
        """Runs a request on the loop and waits for its answer, not for its end."""
        self._ledger.enter(request_id)
        running = self._thread.start(request.run(app))
        running.add_done_callback(lambda _: self._ledger.leave(request_id))
        return request.answer.result()

    def _end(self) -> None:
        """Lambda ends the process: cuts what is left, ends the lifespan, and leaves."""
        try:
            self._thread.start(self._last_words()).result(LAST_WORDS_SECONDS)
        except Exception:
            pass  # the time is over, and the process ends either way
        os._exit(0)

    async def _last_words(self) -> None:
        await self._ledger.cancel_all()
        await self._lifespan.shutdown()
