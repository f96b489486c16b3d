"""The trigger route: the door for outside schedulers.

1. In this order: method, size, proof, name, body. Nothing runs, and nothing is said of jobs, before
   the proof is good.
2. Every answer is JSON and is never cached. A path is served with and without a slash at its end,
   since some schedulers follow no redirect.
3. Whatever goes wrong here is answered, and never reaches the server.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from . import (
    _answers,
    _arguments,
    _callers,
    _check,
    _due,
    _events,
    _health,
    _run_page,
    _slots,
    _work_page,
)
from ._answers import NO_FAILURES, Answer, Refused
from ._callers import BadCallError, Call
from ._current import current_exchange
from ._drain import deadline
from ._gate import Gate
from ._loop import current_loop
from ._occurrence import Occurrence
from ._request_body import read_body
from ._run_page import RunStream
from ._serve import serve
from ._status import status_of
from ._verify import TriggerRequest
from .errors import (
    InvalidOptionError,
    StoreError,
    UnknownJobError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ._asgi import ASGIApp, Receive, Scope, Send
    from ._dispatch import Dispatch
    from ._exchange import Exchange
    from ._job import Job
    from ._loop import Loop
    from ._verify import Verifier
    from ._work import Work

MODES = ("wait", "accept")
MAX_FIELDS = 50
"""How many fields of a query are read."""
PAGES = ("health", "jobs", "runs", "tick", "work")


class Routes:
    """The trigger route of one `Afterwork`, an ASGI app. `Afterwork.routes` makes it."""

    def __init__(
        self,
        dispatch: Dispatch,
        wrap: Callable[[ASGIApp], ASGIApp],
        *,
        verify: Verifier | Sequence[Verifier] | None,
        private: bool,
        mode: str,
        max_body: int,
    ) -> None:
        self._dispatch = dispatch
        self._private = _check.flag("private", private)
        self._gate = Gate(verify, private, dispatch.notices)
        self._mode = _check.choice("mode", mode, MODES)
        self._max_body = _check.count("max_body", max_body)
        self._app = wrap(self._serve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """Of which one has to be content."""
        return self._gate.verifiers

    def beside(self, app: ASGIApp, path: str) -> ASGIApp:
        """An app that serves this route under `path` and everything else, the lifespan included,
        with `app`. For frameworks that mount no ASGI apps."""
        prefix = "/" + path.strip("/")
        if prefix == "/":
            raise InvalidOptionError("path", "a prefix such as '/cron'", path)

        async def both(scope: Scope, receive: Receive, send: Send) -> None:
            local = _local_path(scope) if scope["type"] == "http" else ""
            if local == prefix or local.startswith(prefix + "/"):
                root = scope.get("root_path", "").rstrip("/")
                below = {**scope, "root_path": root + prefix, "path": root + local}
                await self(below, receive, send)
            else:
                await app(scope, receive, send)

        return both

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self.verifiers) or "private"
        return f"<Routes {names}>"

    # -- one request

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _no_lifespan(receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        answer: Answer | RunStream
        try:
            answer = await self._answer(scope, receive)
        except Refused as refused:
            answer = refused.answer
        except BadCallError as error:
            answer = Answer(400, "bad_request", detail=str(error))
        except StoreError as error:
            self._say("store.error", error, doing="answer a trigger")
            answer = _answers.unavailable()
        except Exception as error:
            _events.emit(_events.ERROR, "trigger.failed", error, path=scope["path"])
            answer = Answer(500, "error")
        await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | RunStream:
        loop = current_loop()
        assert loop is not None, "a server runs a loop"
        name = _local_path(scope).strip("/")
        allowed = self._methods(name)
        if scope["method"] not in allowed:
            raise Refused(Answer(405, "method_not_allowed", {"Allow": ", ".join(allowed)}))
        request = TriggerRequest(scope, await read_body(scope, receive, loop, self._max_body))
        if name == "health":
            return await self._health(request, loop)
        if self._private:
            schedule, call = _callers.identify_dispatch(request)
            name = name or schedule
            query = _query(scope)
        else:
            await self._gate.verify(request)
            if name == _work_page.NAME:
                end = deadline(_exchange(), budget=False)
                return await _work_page.answer(self._dispatch, request, end)
            query = _query(scope)
            call = _callers.identify(request, query)
        if name.startswith(_run_page.PAGE):
            run_id = name.removeprefix(_run_page.PAGE)
            return await self._run_status(run_id, request, query, receive, loop)
        if name == "jobs":
            return await self._list(request, loop)
        if name == "tick":
            return await self._tick(query, request, loop)
        jobs = self._named(name, call)
        payload = _arguments.read(request.body, request.header("content-type"))
        modes = [self._mode_of(job, query, request) for job in jobs]
        works = [self._order(job, call, payload) for job in jobs]
        answers = await self._run(works, modes, call, loop)
        return answers[0] if name or len(answers) == 1 else _several(answers)

    def _methods(self, name: str) -> tuple[str, ...]:
        if name in ("health", "jobs") or name.startswith(_run_page.PAGE):
            return ("GET",)
        return ("POST",) if self._private or name == _work_page.NAME else ("GET", "POST")

    def _say(self, event: str, error: BaseException | None, **fields: Any) -> None:
        self._dispatch.notices.say_each_minute(event, _events.ERROR, error, **fields)

    # -- jobs

    def _named(self, name: str, call: Call) -> list[Job[..., Any]]:
        """The jobs that are meant. Raises `Refused`."""
        if name:
            try:
                return [self._dispatch.jobs.get(name)]
            except UnknownJobError as error:
                self._say("trigger.unknown_job", None, detail=str(error))
                raise Refused(Answer(404, "unknown_job")) from None
        if call.expression is None:
            raise BadCallError("name a job in the path, or send x-vercel-cron-schedule")
        wanted = " ".join(call.expression.split())
        found = [
            job
            for job in self._dispatch.jobs
            if job.schedule is not None and str(job.schedule) == wanted
        ]
        if not found:
            self._say("trigger.unknown_job", None, detail=f"no job has the schedule {wanted!r}")
            raise Refused(Answer(404, "unknown_job"))
        return found

    def _order(self, job: Job[..., Any], call: Call, payload: Any) -> Work:
        kwargs = _arguments.bind(job.fn, payload)
        now = self._dispatch.clock.now()
        slot = call.slot
        if slot is None and not call.manual:
            slot = _arguments.slot_in(job.fn, payload)
        manual = call.manual
        schedule = job.schedule
        if slot is not None and slot > now + _slots.MAX_EARLY_SECONDS:
            slot, manual = None, True  # Cloud Scheduler's run by hand has the next slot's time
        # A redelivery belongs to the slot of its first attempt, and must not take a later one.
        again = call.delivery is not None and (call.attempt or 1) > 1
        if slot is None and not manual and not again and schedule is not None:
            tolerance = _due.grace_of(job, schedule, now)
            slot = _slots.most_recent(schedule, now, tolerance)
            manual = slot is None and call.delivery is None
        occurrence = Occurrence(
            "manual" if manual else "http",
            slot=None if slot is None or manual else int(slot),
            delivery=call.delivery,
            caller=call.caller,
            attempt=call.attempt,
            reopens=call.retries,
            filtered=True,
            payload=payload,
        )
        return self._dispatch.order(job, occurrence, (), kwargs)

    async def _run(
        self, works: list[Work], modes: list[str], call: Call, loop: Loop
    ) -> list[Answer]:
        """Runs works, each in its mode, and answers about each."""
        exchange = _exchange()
        if not _may_accept(exchange):
            modes = ["wait"] * len(modes)
        later = [work for work, mode in zip(works, modes, strict=True) if mode == "accept"]
        now = [work for work in works if work not in later]
        end = deadline(exchange, budget=False)
        refused = await serve(self._dispatch, now, later, exchange, loop, end)
        return [
            _answers.accepted(work, _ticket(work))
            if work in later and work not in refused
            else _answers.ended(work, _ticket(work), call)
            for work in works
        ]

    def _mode_of(
        self, job: Job[..., Any] | None, query: dict[str, str], request: TriggerRequest
    ) -> str:
        if job is not None and job.policy.mode is not None:
            return job.policy.mode
        asked = query.get("mode")
        if asked is not None:
            if asked not in MODES:
                raise BadCallError("mode is 'wait' or 'accept'")
            return asked
        prefer = request.header("prefer") or ""
        return "accept" if "respond-async" in prefer.lower() else self._mode

    # -- pages

    async def _tick(self, query: dict[str, str], request: TriggerRequest, loop: Loop) -> Answer:
        """Runs what is due, all at once. One that fails does not stop the others."""
        dispatch = self._dispatch
        mode = self._mode_of(None, query, request)
        now = dispatch.clock.now()
        due = await dispatch.ask(loop, lambda: _due.sweep(dispatch, now))
        works = dispatch.order_slots(due)
        answers = await self._run(works, [mode] * len(works), Call("tick"), loop)
        entries = [answer.body for answer in answers]
        statuses = {each["status"] for each in entries}
        accepted = "accepted" in statuses
        failed = not statuses.issubset(NO_FAILURES)
        status = "failed" if failed else "accepted" if accepted else "ok"
        return Answer(202 if accepted else 200, status, runs=entries)

    async def _run_status(
        self,
        run_id: str,
        request: TriggerRequest,
        query: dict[str, str],
        receive: Receive,
        loop: Loop,
    ) -> Answer | RunStream:
        wanted = request.header("accept") or ""
        if "text/event-stream" in wanted or query.get("stream") in ("1", "true"):
            status = await status_of(self._dispatch, run_id)
            if status is not None:
                return RunStream(self._dispatch, run_id, status, receive, loop)
        return await _run_page.answer(self._dispatch, run_id)

    async def _list(self, request: TriggerRequest, loop: Loop) -> Answer:
        _, entries = await self._check(loop)
        base = request.url.partition("?")[0].rstrip("/").removesuffix("/jobs")
        for each in entries:
            each["url"] = f"{base}/{each['job']}"
        return Answer(200, "ok", jobs=entries)

    async def _health(self, request: TriggerRequest, loop: Loop) -> Answer:
        verdict, entries = await self._check(loop)
        code = 200 if verdict == _health.OK else 503
        if not await self._gate.knows(request):
            return Answer(code, verdict)
        return Answer(code, verdict, jobs=entries)

    async def _check(self, loop: Loop) -> tuple[str, list[dict[str, Any]]]:
        dispatch = self._dispatch
        return await dispatch.ask(loop, lambda: _health.check(dispatch, dispatch.clock.now()))


def _local_path(scope: Scope) -> str:
    """The path below the place where an app is mounted. Some frameworks leave that place at the
    path's beginning, as the ASGI specification wants it, and some take it off. Some servers name a
    prefix that is not in the path; Starlette tells it (`app_root_path`) from where it mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    mount = root.removeprefix(scope.get("app_root_path", "").rstrip("/"))
    for place in (root, mount):
        if place and (path == place or path.startswith(place + "/")):
            return path[len(place) :]
    return path


def _exchange() -> Exchange:
    exchange = current_exchange.get()
    assert exchange is not None, "the route is wrapped by the middleware"
    return exchange


def _may_accept(exchange: Exchange) -> bool:
    """Whether the host can run anything after the response: else a caller has to wait."""
    unavailable = getattr(exchange.host, "unavailable", None)
    return unavailable is None or unavailable(exchange.scope) is None


def _query(scope: Scope) -> dict[str, str]:
    """The fields of a query; the first, where one is there twice. Raises `BadCallError`."""
    text = bytes(scope.get("query_string", b"")).decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadCallError(f"the query has more than {MAX_FIELDS} fields") from None
    return dict(reversed(pairs))


def _ticket(work: Work) -> Any:
    return work.ticket


def _several(answers: list[Answer]) -> Answer:
    """One answer about several runs: the first that is a failure decides."""
    worst = max(answers, key=lambda each: (each.code, each.body["status"] not in NO_FAILURES))
    return Answer(
        worst.code,
        str(worst.body["status"]),
        worst.headers,
        runs=[answer.body for answer in answers],
    )


async def _no_lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
