"""The trigger route: group T of the cases."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from afterwork import AfterMiddleware, MemoryStore, Retry, after, current_run
from afterwork.errors import PermanentFailure, RetryLater
from tests.jobs.support import GOOD, NOON, Caller, at, caller, new_work, until
from tests.support import events, fields

HOUR = "0 * * * *"
QSTASH = {"upstash-message-id": "msg_1", "upstash-retried": "0", "user-agent": "Upstash-QStash"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_get_and_post_run_the_job_once(method: str) -> None:
    """T1"""
    work = new_work()
    ran: list[int] = []

    @work.cron(HOUR)
    async def nightly() -> None:
        ran.append(1)

    status, answer = await caller(work)("/nightly", method)

    assert (status, answer["status"]) == (200, "ok")
    assert ran == [1]
    assert answer["slot"] == "2026-03-10T12:00:00Z"
    record = work.store.run(answer["run_id"])
    assert record is not None
    assert (record.state, record.job, record.trigger) == ("succeeded", "nightly", "http")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_no_other_method_runs_anything(method: str) -> None:
    """T2"""
    work = new_work()
    work.job(pytest.fail, name="nightly")  # type: ignore[call-overload]

    answer = await caller(work).client.request(method, "/nightly")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


async def test_the_same_delivery_again_is_a_duplicate_of_the_first_run() -> None:
    """T3: it is answered 200, and the answer names the first run."""
    work = new_work()
    ran: list[int] = []
    work.cron(HOUR, name="nightly")(lambda: ran.append(1))
    call = caller(work)

    _, first = await call("/nightly")
    status, second = await call("/nightly")

    assert (status, second["status"]) == (200, "duplicate")
    assert second["run_id"] == first["run_id"]
    assert second["run_state"] == "succeeded"
    assert ran == [1]


async def test_a_running_job_is_not_run_beside_itself() -> None:
    """T4: the next slot is answered 200 `skipped`, never 409, 423 or 429."""
    work = new_work()
    go = asyncio.Event()
    work.cron(HOUR, name="nightly")(go.wait)
    call = caller(work)
    first = asyncio.create_task(call("/nightly"))
    await until(lambda: work.store.runs(state="running"))

    work.pipeline.clock.advance(3600)  # type: ignore[attr-defined]
    work.store.renew(work.store.runs()[0].id, ttl=60)
    status, answer = await call("/nightly")

    assert (status, answer["status"]) == (200, "skipped")
    assert "is still running" in answer["reason"]
    go.set()
    assert (await first)[1]["status"] == "ok"
    assert [run.state for run in work.store.runs()] == ["skipped", "succeeded"]


async def test_a_redelivery_after_a_failure_is_the_next_attempt_of_the_same_run() -> None:
    """T5"""
    work = new_work()
    attempts: list[int] = []

    @work.cron(HOUR)
    async def nightly() -> None:
        attempts.append(current_run().attempt)
        if len(attempts) == 1:
            raise RuntimeError("the secret is hush")

    call = caller(work)
    status, first = await call("/nightly", headers=QSTASH)
    assert (status, first["status"]) == (500, "failed")
    assert first["error"] == "RuntimeError"
    assert "hush" not in json.dumps(first)
    failed = work.store.run(first["run_id"])
    assert failed is not None
    assert (failed.attempt, failed.state) == (1, "failed")
    assert failed.error == "RuntimeError: the secret is hush"

    work.pipeline.clock.advance(2 * 3600)  # type: ignore[attr-defined]  # QStash comes back later
    status, second = await call("/nightly", headers={**QSTASH, "upstash-retried": "1"})
    assert (status, second["status"], second["attempt"]) == (200, "ok", 2)
    assert second["run_id"] == first["run_id"]
    assert attempts == [1, 2]
    ended = work.store.run(first["run_id"])
    assert ended is not None
    assert (ended.attempt, ended.state) == (2, "succeeded")

    status, third = await call("/nightly", headers={**QSTASH, "upstash-retried": "2"})
    assert (status, third["status"]) == (200, "duplicate")


async def test_a_caller_that_counts_attempts_is_believed() -> None:
    """T5: also where the first attempts never arrived here."""
    work = new_work()
    work.job(name="ask")(lambda: seen.append(current_run().attempt))
    seen: list[int] = []

    status, answer = await caller(work)("/ask", headers={**QSTASH, "upstash-retried": "3"})

    assert (status, answer["attempt"]) == (200, 4)
    assert seen == [4]


@pytest.mark.parametrize(
    ("headers", "code", "extra"),
    [(QSTASH, 489, "true"), ({}, 200, None), ({"x-cloudscheduler": "true"}, 200, None)],
)
async def test_a_permanent_failure_is_not_delivered_again(
    headers: dict[str, str], code: int, extra: str | None
) -> None:
    """T6: QStash is told with its own answer, everybody else with 200."""
    work = new_work()
    attempts: list[int] = []

    @work.job(retry=Retry(5, delay=0))
    def broken() -> None:
        attempts.append(1)
        raise PermanentFailure("the data is wrong")

    answer = await caller(work).client.post("/broken", headers=headers)

    assert answer.status_code == code
    assert answer.headers.get("upstash-nonretryable-error") == extra
    assert answer.json()["status"] == "failed"
    assert attempts == [1]


@pytest.mark.parametrize(("seconds", "header"), [(2.2, "3"), (10**9, "86400"), (0, "0")])
async def test_a_known_wait_is_told(seconds: float, header: str) -> None:
    """T7: `Retry-After` is a whole number of seconds, at most a day."""
    work = new_work()

    @work.job
    async def later() -> None:
        raise RetryLater(seconds)

    answer = await caller(work).client.post("/later")

    assert answer.status_code == 500
    assert answer.headers["retry-after"] == header


async def test_a_wait_that_is_known_sets_the_next_attempt() -> None:
    work = new_work()
    attempts: list[int] = []

    @work.job(retry=Retry(2, delay=50))
    async def later() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise RetryLater(0)

    status, answer = await caller(work)("/later")

    assert (status, answer["status"]) == (200, "ok")
    assert attempts == [1, 1]


async def test_failures_are_not_an_error_for_a_caller_that_never_comes_again() -> None:
    """T6: Vercel Cron does not retry, and a 500 would help nobody."""
    work = new_work()
    work.cron(HOUR, name="nightly")(_fail)

    status, answer = await caller(work)("/nightly", headers={"x-vercel-cron-schedule": HOUR})

    assert (status, answer["status"]) == (200, "failed")


@pytest.mark.parametrize(
    "how", [{"params": {"mode": "accept"}}, {"headers": {"prefer": "respond-async"}}]
)
async def test_accept_answers_before_the_job_is_done(how: dict[str, Any]) -> None:
    """T8: a client that waits only a few seconds has its 202; the run is finished and recorded."""
    work = new_work()
    go = asyncio.Event()
    work.cron(HOUR, name="long")(go.wait)
    app = work.routes(verify=_token())
    answered = asyncio.Event()
    answer: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answer.append(message)
        if message["type"] == "http.response.body":
            answered.set()

    request = httpx_request("/long", **how)
    serving = asyncio.create_task(app(request, receive, send))
    async with asyncio.timeout(5):
        await answered.wait()

    assert answer[0]["status"] == 202
    body = json.loads(answer[1]["body"])
    assert body["status"] == "accepted"
    await until(lambda: work.store.runs(state="running"))
    go.set()
    await serving
    await until(lambda: work.store.runs(state="succeeded"))
    assert work.store.runs()[0].id == body["run_id"]


async def test_accept_says_at_once_what_will_not_run() -> None:
    """T8"""
    work = new_work()
    ran: list[int] = []
    work.cron(HOUR, name="nightly", mode="accept")(lambda: ran.append(1))
    call = caller(work)

    assert (await call("/nightly"))[0] == 202
    status, answer = await call("/nightly")

    assert (status, answer["status"]) == (200, "duplicate")
    assert ran == [1]


async def test_a_client_that_leaves_does_not_end_the_run() -> None:
    """T9: cancelling the call, as servers do then, leaves the run alone; one record."""
    work = new_work()
    go = asyncio.Event()
    work.cron(HOUR, name="long")(go.wait)
    app = AfterMiddleware(work.routes(verify=_token()), work)
    serving = asyncio.create_task(app(httpx_request("/long"), _receive, _send))
    await until(lambda: work.store.runs(state="running"))

    serving.cancel()
    go.set()
    with contextlib.suppress(asyncio.CancelledError):
        await serving

    await until(lambda: work.store.runs(state="succeeded"))
    assert len(work.store.runs()) == 1


async def test_a_client_that_leaves_while_the_store_is_asked_costs_nothing() -> None:
    """T9: also in mode `accept`, before anything was decided."""
    asked, go = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def claim(self, *args: Any, **kwargs: Any) -> Any:
            asked.set()
            go.wait(10)
            return super().claim(*args, **kwargs)

    work = new_work(store=Slow())
    ran: list[int] = []
    work.cron(HOUR, name="nightly", mode="accept")(lambda: ran.append(1))
    serving = asyncio.create_task(
        work.routes(verify=_token())(httpx_request("/nightly"), _receive, _send)
    )
    await until(asked.is_set)

    serving.cancel()
    asyncio.get_running_loop().call_soon(go.set)  # once the call knows that it is cancelled
    with contextlib.suppress(asyncio.CancelledError):
        await serving

    await until(lambda: work.store.runs(state="succeeded"))
    assert ran == [1]


@pytest.mark.parametrize("path", ["/nightly", "/nightly/", "/tick/", "/jobs/", "/health/"])
async def test_a_slash_at_the_end_is_no_other_page(path: str) -> None:
    """T10: never a redirect; T11: never cached, which every call here checks."""
    work = new_work()
    work.cron(HOUR)(nightly)

    status, _ = await caller(work)(path, "GET")

    assert status == 200


async def test_no_answer_is_cached() -> None:
    """T11"""
    work = new_work()
    work.job(_fail, name="broken")  # type: ignore[call-overload]
    call = caller(work, max_body=10)
    answers = [
        await call.client.get("/nobody"),
        await call.client.put("/broken"),
        await call.client.post("/broken"),
        await call.client.post("/broken", content=b"x" * 11),
        await call.client.post("/broken", content=b"{"),
        await call.client.post("/broken", headers={"authorization": "Bearer no"}),
    ]

    assert [answer.status_code for answer in answers] == [404, 405, 500, 413, 400, 401]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_a_schedule_in_the_header_tells_two_jobs_apart() -> None:
    """T12"""
    work = new_work()
    ran: list[str] = []
    work.cron(HOUR, name="hourly")(lambda: ran.append("hourly"))
    work.cron("0 12 * * *", name="daily")(lambda: ran.append("daily"))
    call = caller(work)

    status, answer = await call("/", "GET", headers={"x-vercel-cron-schedule": "0  * * * *"})
    assert (status, answer["job"], ran) == (200, "hourly", ["hourly"])
    assert (await call("/", "GET"))[0] == 400
    assert (await call("/daily", "GET"))[1]["job"] == "daily"
    status, _ = await call("/", "GET", headers={"x-vercel-cron-schedule": "1 1 1 1 *"})
    assert status == 404
    assert ran == ["hourly", "daily"]


async def test_two_jobs_with_one_schedule_both_run() -> None:
    """T12: the first that fails decides what the whole answer says."""
    work = new_work()
    ran: list[str] = []
    work.cron(HOUR, name="one")(lambda: ran.append("one"))
    work.cron(HOUR, name="two")(_fail)

    status, answer = await caller(work)("/", headers={"x-vercel-cron-schedule": HOUR})

    assert (status, answer["status"]) == (200, "failed")
    assert [run["status"] for run in answer["runs"]] == ["ok", "failed"]


SCHEDULED = {
    "x-cloudscheduler": "true",
    "x-cloudscheduler-jobname": "nightly",
    "x-cloudscheduler-scheduletime": "2026-03-10T12:00:00.123+00:00",
}


async def test_the_time_in_cloud_schedulers_header_is_the_slot() -> None:
    """T13"""
    work = new_work(at("2026-03-10 12:31"))
    work.cron(HOUR)(nightly)
    call = caller(work)

    answers = [(await call("/nightly", headers=SCHEDULED))[1] for _ in range(2)]

    assert [answer["status"] for answer in answers] == ["ok", "duplicate"]
    assert {answer["slot"] for answer in answers} == {"2026-03-10T12:00:00Z"}


async def test_a_slot_in_the_future_is_a_run_by_hand() -> None:
    """T14: it claims nothing, so the real delivery runs later."""
    work = new_work(at("2026-03-10 11:31"))
    ran: list[str] = []
    work.cron(HOUR, name="nightly")(lambda: ran.append(current_run().trigger))
    call = caller(work)

    _, answer = await call("/nightly", headers=SCHEDULED)
    assert answer["status"] == "ok"
    assert "slot" not in answer

    work.pipeline.clock.advance(30 * 60)  # type: ignore[attr-defined]
    _, answer = await call("/nightly", headers=SCHEDULED)
    assert (answer["status"], answer["slot"]) == ("ok", "2026-03-10T12:00:00Z")
    assert ran == ["manual", "http"]


async def test_without_a_time_the_slot_is_the_last_one_if_it_is_recent() -> None:
    """T15: within half the interval; later it is a run by hand."""
    work = new_work(at("2026-03-10 12:29"))
    work.cron(HOUR)(nightly)
    call = caller(work)

    assert (await call("/nightly"))[1]["slot"] == "2026-03-10T12:00:00Z"
    work.pipeline.clock.advance(2 * 60)  # type: ignore[attr-defined]
    _, answer = await call("/nightly")
    assert answer["status"] == "ok"
    assert "slot" not in answer
    work.pipeline.clock.advance(29 * 60 - 2)  # type: ignore[attr-defined]  # a moment early
    assert (await call("/nightly"))[1]["slot"] == "2026-03-10T13:00:00Z"


async def test_a_caller_may_say_that_it_is_no_slot() -> None:
    """T15: somebody with curl wants a run now, and not the answer `duplicate`."""
    work = new_work()
    work.cron(HOUR)(nightly)
    call = caller(work)

    answers = [(await call("/nightly?slot=manual"))[1] for _ in range(2)]

    assert [answer["status"] for answer in answers] == ["ok", "ok"]


async def test_vercels_hobby_plan_may_be_an_hour_late() -> None:
    """T16"""
    work = new_work(at("2026-03-10 01:47"))
    work.cron("0 1 * * *")(nightly)

    _, answer = await caller(work)("/nightly", headers={"x-vercel-cron-schedule": "0 1 * * *"})

    assert answer["slot"] == "2026-03-10T01:00:00Z"


async def test_a_tick_runs_what_is_due() -> None:
    """T17: exactly that, one failure stops nobody, and a second tick runs none."""
    work = new_work(at("2026-03-10 11:30"))
    ran: list[int] = []
    for number in range(40):
        schedule = HOUR if number % 2 else "45 * * * *"
        work.cron(schedule, name=f"job-{number}")(lambda number=number: ran.append(number))
    work.cron(HOUR, name="broken")(_fail)
    call = caller(work)
    assert (await call("/tick"))[1] == {"status": "ok", "runs": []}

    work.pipeline.clock.advance(14 * 60 + 59)  # type: ignore[attr-defined]
    assert (await call("/tick"))[1]["runs"] == []
    work.pipeline.clock.advance(15 * 60 + 5)  # type: ignore[attr-defined]
    _, answer = await call("/tick")
    # 11:45 passed fifteen minutes ago, is on time still, and nobody ran it.
    assert sorted(ran) == list(range(40))
    assert answer["status"] == "failed"
    assert {run["job"]: run["status"] for run in answer["runs"]}["broken"] == "failed"
    assert len(answer["runs"]) == 41

    status, answer = await call("/tick")
    assert (status, answer["runs"]) == (200, [])
    assert len(ran) == 40


async def test_a_tick_can_be_accepted() -> None:
    """T17, T8"""
    work = new_work(at("2026-03-10 11:30"), grace=5)
    work.cron(HOUR)(nightly)
    call = caller(work)
    assert (await call("/tick?mode=accept"))[0] == 200

    work.pipeline.clock.advance(3600)  # type: ignore[attr-defined]
    status, answer = await call("/tick?mode=accept")

    assert (status, answer["status"]) == (202, "accepted")
    assert [run["status"] for run in answer["runs"]] == ["accepted"]
    assert [run.state for run in work.store.runs()] == ["succeeded"]


async def test_too_much_or_unreadable_bodies_run_nothing() -> None:
    """T18"""
    work = new_work()
    ran: list[int] = []
    work.job(name="take")(lambda: ran.append(1))
    call = caller(work)

    assert (await call("/take", content=b" " * 5_000_000))[0] == 413
    chunks = (b"x" * 65_536 for _ in range(100))
    assert (await call("/take", content=_stream(chunks)))[0] == 413
    assert (await call("/take", content=b"{'a': 1}"))[0] == 400
    assert (await call("/take", content=b'{"a": NaN}'))[0] == 400
    assert (await call("/take", content=b"[" * 100_000))[0] == 400
    assert (await call("/take", data={"a": "1"}))[0] == 400
    assert ran == []
    assert (await call("/take", content=b""))[0] == 200


async def test_a_body_is_given_to_the_job() -> None:
    """T18: by name to a job with arguments, and as a whole to whoever asks for it."""
    work = new_work()
    seen: list[Any] = []

    @work.job
    async def sync_one(account_id: int, *, force: bool = False) -> None:
        seen.append((account_id, force, current_run().payload))

    work.job(name="raw")(lambda: seen.append(current_run().payload))
    call = caller(work)

    body = {"account_id": 5, "force": True}
    assert (await call("/sync_one", json=body))[0] == 200
    assert (await call("/raw", content=b"\xff\x00", headers={"content-type": "image/png"}))[
        0
    ] == 200
    assert (await call("/raw", json=[1, 2]))[0] == 200
    assert seen == [(5, True, body), b"\xff\x00", [1, 2]]

    for wrong, detail in [
        ({}, "'account_id' is missing"),
        ({"account_id": 1, "extra": 2}, "no argument 'extra'"),
        ([1], "not a JSON object"),
    ]:
        status, answer = await call("/sync_one", json=wrong)
        assert status == 400
        assert detail in answer["detail"]
    assert len(seen) == 3


async def test_an_unknown_job_is_nobodys_business_without_proof(caplog: Any) -> None:
    """T19: 401 without proof; with it 404, and a line in the log."""
    call = caller(new_work())

    assert (await call("/nobody", headers={"authorization": "no"}))[0] == 401
    assert "trigger.unknown_job" not in events(caplog)
    status, answer = await call("/nobody")
    assert (status, answer) == (404, {"status": "unknown_job"})
    assert "there is no job 'nobody'" in fields(caplog, "trigger.unknown_job")["detail"]
    assert (await call("/a/b/c"))[0] == 404


DISPATCH = {
    "ce-specversion": "1.0",
    "ce-type": "com.vercel.schedule.v1beta",
    "ce-source": "/schedule/default/nightly",
    "ce-id": "exec_1",
    "ce-vssscheduleid": "sch_1",
    "ce-vssschedulename": "nightly",
    "ce-vssnamespace": "default",
    "ce-vssscheduledat": "2026-03-10T12:00:00.000Z",
    "ce-vssschedulesource": "static",
}


@pytest.mark.parametrize("path", ["/", "/nightly"])
async def test_a_private_route_takes_vercels_dispatch(path: str) -> None:
    """T20: `ce-id` is the delivery, `ce-vssscheduledat` the slot."""
    work = new_work()
    work.cron(HOUR)(nightly)
    call = caller(work, verify=None, private=True)

    status, answer = await call(path, headers=DISPATCH)
    assert (status, answer["slot"]) == (200, "2026-03-10T12:00:00Z")
    record = work.store.run(answer["run_id"])
    assert record is not None
    assert record.delivery == "exec_1"
    assert (await call(path, headers=DISPATCH))[1]["status"] == "duplicate"

    for name in DISPATCH:
        left = {key: value for key, value in DISPATCH.items() if key != name}
        assert (await call(path, headers=left))[0] == 400
    other = {**DISPATCH, "ce-type": "com.vercel.queue.v1beta"}
    assert (await call(path, headers=other))[0] == 400
    refused = await call.client.get(path, headers=DISPATCH)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_addresses_hold_the_prefix() -> None:
    """T22: under a mount and a root path."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    work = new_work()
    work.cron(HOUR)(nightly)
    app = Starlette(routes=[Mount("/cron", work.routes(verify=_token()))])
    call = Caller(work.wrap(app), "https://app.test")

    _, answer = await call("/cron/jobs", "GET")

    assert [job["url"] for job in answer["jobs"]] == ["https://app.test/cron/nightly"]
    assert (await call("/cron/nightly"))[1]["status"] == "ok"


async def test_a_route_stands_beside_any_app() -> None:
    """T22: for frameworks that mount no ASGI apps."""
    work = new_work()
    work.cron(HOUR)(nightly)
    seen: list[Any] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], scope.get("path")))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    app = work.wrap(work.routes(verify=_token()).beside(other, "/cron"))
    call = Caller(app)

    assert (await call("/cron/nightly/"))[1]["status"] == "ok"
    assert (await call("/cron/jobs", "GET"))[1]["jobs"][0]["url"] == "http://app.test/cron/nightly"
    assert (await call.client.get("/cronies")).status_code == 204
    assert (await call.client.get("/")).status_code == 204
    assert seen == [("http", "/cronies"), ("http", "/")]


async def test_callbacks_of_a_job_run_within_it() -> None:
    """A job may call `after()`, although no response is there for it to come after."""
    work = new_work()
    log: list[str] = []

    @work.cron(HOUR)
    async def nightly() -> None:
        after(log.append, "callback")
        log.append("job")

    await caller(work)("/nightly")

    assert log == ["job", "callback"]


async def nightly() -> None:
    """Tidies up."""


def _fail() -> None:
    raise RuntimeError("broken")


def _token() -> Any:
    from tests.jobs.support import Token

    return Token()


def httpx_request(path: str, **options: Any) -> dict[str, Any]:
    """A scope as a server makes it."""
    import httpx

    headers = {**GOOD, **options.pop("headers", {})}
    request = httpx.Request("POST", f"http://app.test{path}", headers=headers, **options)
    return {
        "type": "http",
        "method": "POST",
        "path": request.url.path,
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


async def _stream(chunks: Any) -> Any:
    for chunk in chunks:
        yield chunk


assert datetime(2026, 3, 10, 12, 0, 5, tzinfo=UTC) == NOON
