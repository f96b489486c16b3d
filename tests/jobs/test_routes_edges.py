"""The edges of the trigger route: proof, odd requests, odd bodies."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from afterwork import AfterMiddleware, Bearer, HeaderSecret, _request_body, current_run
from afterwork._answers import Refused
from afterwork.errors import InvalidOptionError, VerificationError, VerifierUnavailableError
from tests.jobs.support import GOOD, TOKEN, Caller, Token, caller, new_work
from tests.support import Wire, events, fields, lifespan

HOUR = "0 * * * *"
GONE = {"type": "http.disconnect"}


def scope(path: str = "/job", *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    token = (b"authorization", GOOD["authorization"].encode())
    made = {"type": "http", "method": "POST", "path": path, "query_string": b""}
    return {**made, "headers": [token, *headers], **more}


class Says:
    """A verifier that always raises, or lets everybody in."""

    name = "says"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def verify(self, request: Any) -> str:
        if self.error is not None:
            raise self.error
        return "anybody"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        ({}, f"?secret={TOKEN}"),
        ({}, f"?token={TOKEN}&authorization=Bearer+{TOKEN}"),
        ({"user-agent": "vercel-cron/1.0", "x-vercel-cron": "1"}, ""),
        ({"x-cloudscheduler": "true", "x-cloudscheduler-jobname": "job"}, ""),
        ({"authorization": "Bearer "}, ""),
        ({"authorization": "Bearer None"}, ""),
        ({"authorization": "Bearer undefined"}, ""),
        ({"authorization": "Bearer null"}, ""),
        ({"authorization": f"Bearer {TOKEN}x"}, ""),
        ({"authorization": f"Basic {TOKEN}"}, ""),
        ({"authorization": b"Bearer \xe9"}, ""),
    ],
)
async def test_without_the_secret_nothing_runs(headers: Any, query: str, caplog: Any) -> None:
    """A2, A4, A6, A7, A8: neither what anybody can send nor a secret in the address is proof.
    A18: no answer and no line says what was expected."""
    work = new_work()
    work.cron(HOUR, name="job")(pytest.fail)
    call = Caller(work.routes(verify=Bearer(TOKEN)))
    del call.client.headers["authorization"]

    answer = await call.client.post(f"/job{query}", headers=headers)

    assert (answer.status_code, answer.json()) == (401, {"status": "unauthorized"})
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in caplog.text
    assert fields(caplog, "trigger.refused")["path"] == "/job"


async def test_a_secret_that_is_gone_refuses_everybody(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """A2: a late change of the environment never opens the route; 503, since nobody can tell."""
    monkeypatch.setenv("CRON_SECRET", TOKEN)
    work = new_work()
    work.job(name="job")(pytest.fail)
    call = Caller(work.routes(verify=Bearer.from_env("CRON_SECRET")))
    monkeypatch.delenv("CRON_SECRET")

    for header in (f"Bearer {TOKEN}", "Bearer None", "Bearer undefined", "Bearer null", "Bearer "):
        assert (await call("/job", headers={"authorization": header}))[0] == 503

    assert "trigger.unavailable" in events(caplog, logging.ERROR)


async def test_a_thousand_wrong_tries_are_one_line_a_minute(caplog: Any) -> None:
    """A17: the next line says how many were kept back."""
    work = new_work()
    call = caller(work)
    wrong = {"authorization": "Bearer wrong"}
    for _ in range(1000):
        assert (await call("/job", headers=wrong))[0] == 401
    assert events(caplog).count("trigger.refused") == 1
    assert "kept_back" not in fields(caplog, "trigger.refused")

    caplog.clear()
    work.pipeline.clock.advance(60)  # type: ignore[attr-defined]
    await call("/job", headers=wrong)

    assert fields(caplog, "trigger.refused")["kept_back"] == 999


@pytest.mark.parametrize(
    ("verifiers", "code", "event"),
    [
        ([Says(VerificationError("no", "because")), Says()], 200, None),
        ([Says(VerificationError("no"))], 401, "trigger.refused"),
        ([Says(RuntimeError("broken")), Says(VerificationError("no"))], 401, "verifier.failed"),
        ([Says(VerifierUnavailableError("no keys")), Says()], 200, "trigger.unavailable"),
        (
            [Says(VerificationError("no")), Says(VerifierUnavailableError("no keys"))],
            503,
            "trigger.unavailable",
        ),
    ],
)
async def test_one_verifier_that_is_content_is_enough(
    verifiers: list[Says], code: int, event: str | None, caplog: Any
) -> None:
    """One that fails refuses; one that cannot tell makes it 503 if nobody else is content."""
    work = new_work()
    work.job(name="job")(lambda: None)

    assert (await caller(work, verify=verifiers)("/job"))[0] == code
    assert event is None or event in events(caplog)


@pytest.mark.parametrize("verify", [None, [], (), 5, "secret", Bearer, [Token, Token()]])
def test_there_is_no_route_without_proof(verify: Any) -> None:
    """A1: closed by default; a class is no verifier."""
    with pytest.raises(InvalidOptionError, match="verify must be"):
        new_work().routes(verify=verify)


def test_a_private_route_takes_no_proof_and_others_need_one() -> None:
    work = new_work()
    with pytest.raises(InvalidOptionError, match="left out with private=True"):
        work.routes(verify=Token(), private=True)
    for wrong in ({"mode": "later"}, {"max_body": 0}, {"private": 1}):
        with pytest.raises(InvalidOptionError):
            work.routes(**{"verify": Token(), **wrong})  # type: ignore[arg-type]

    assert repr(work.routes(private=True)) == "<Routes private>"
    assert repr(work.routes(verify=(Token(), Token()))) == "<Routes token, token>"
    assert HeaderSecret("x-cron", TOKEN).name in repr(
        work.routes(verify=HeaderSecret("x-cron", TOKEN))
    )


async def test_a_private_route_knows_nobody() -> None:
    """Its health has the verdict only, and its jobs are nobody's business."""
    work = new_work()
    work.cron(HOUR, name="job")(lambda: None)
    call = caller(work, verify=None, private=True)

    assert await call("/health", "GET") == (200, {"status": "ok"})
    assert (await call("/jobs", "GET"))[0] == 400


@pytest.mark.parametrize("path", ["", "/"])
def test_a_route_beside_an_app_needs_a_prefix(path: str) -> None:
    with pytest.raises(InvalidOptionError, match="'/cron'"):
        new_work().routes(verify=Token()).beside(new_work().routes(verify=Token()), path)


async def test_a_mount_that_keeps_its_prefix_is_understood() -> None:
    """T22: as the ASGI specification wants it, and as some frameworks do not."""
    work = new_work()
    work.cron(HOUR, name="job")(lambda: None)
    app = work.routes(verify=Token())
    for path, root, code in [
        ("/cron/job", "/cron", 200),
        ("/job", "/cron", 200),
        ("/cron", "/cron/", 400),
        ("/cronjob", "/cron", 404),
    ]:
        wire = Wire(scope(path, root_path=root), [{"type": "http.request", "body": b""}])
        await app(wire.scope, wire.receive, wire.send)
        assert (path, wire.status) == (path, code)


async def test_websockets_are_closed_and_lifespans_answered() -> None:
    """A route may stand alone, and a stranger who wants a websocket is refused."""
    app = new_work().routes(verify=Token())
    async with lifespan(app) as life:
        pass
    assert life.log == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    for kind in ("websocket", "something-new"):
        wire = Wire({"type": kind, "path": "/job", "headers": []}, [{"type": f"{kind}.connect"}])
        await app(wire.scope, wire.receive, wire.send)
        assert wire.messages == [{"type": "websocket.close", "code": 1008}]


async def _post(app: Any, messages: Iterable[Any], *headers: tuple[bytes, bytes]) -> int:
    wire = Wire(scope("/job", (b"content-type", b"image/png"), *headers), messages)
    await app(wire.scope, wire.receive, wire.send)
    return wire.status


async def test_a_body_that_is_cut_off_runs_nothing() -> None:
    """T18: half of it must not be taken for the whole. T9: a caller that has said all that it had
    to say may leave."""
    work = new_work()
    seen: list[Any] = []
    work.job(name="job")(lambda: seen.append(current_run().payload))
    app = work.routes(verify=Token())
    half = {"type": "http.request", "body": b"abc", "more_body": True}

    assert await _post(app, [half, GONE], (b"content-length", b"6")) == 400
    assert await _post(app, [GONE], (b"content-length", b"6")) == 400
    assert await _post(app, [GONE], (b"content-length", b"six")) == 400
    assert await _post(app, [GONE], (b"transfer-encoding", b"chunked")) == 400
    assert seen == []
    assert await _post(app, [GONE]) == 200
    assert await _post(app, [half, GONE], (b"content-length", b"3")) == 200
    assert seen == [None, b"abc"]


async def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    """T18"""
    app = new_work().routes(verify=Token(), max_body=5)

    assert await _post(app, [], (b"content-length", b"6")) == 413
    assert await _post(app, [], (b"content-length", b"9" * 300)) == 413


async def test_a_body_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_request_body, "SECONDS", 0.01)
    wire = Wire(scope())

    async def receive() -> Any:
        await asyncio.Event().wait()

    await new_work().routes(verify=Token())(wire.scope, receive, wire.send)

    assert (wire.status, json.loads(wire.body)) == (408, {"status": "too_slow"})


async def test_how_long_a_body_may_take_is_the_loops_to_say() -> None:
    """Whatever loop that is."""

    class Impatient:
        async def limit(self, awaitable: Any, seconds: float) -> bool:
            awaitable.close()
            return False

    loop: Any = Impatient()

    with pytest.raises(Refused) as caught:
        await _request_body.read_body(scope(), Wire({}).receive, loop, 5)

    assert caught.value.answer.code == 408


async def test_too_many_fields_are_a_mistake_and_said_only_after_the_proof() -> None:
    """T19: and no failure of ours."""
    work = new_work()
    work.job(name="job")(lambda: None)
    call = caller(work)
    many = "/job?" + "&".join(f"a{number}=1" for number in range(51))

    assert (await call(many))[0] == 400
    assert (await call(many, headers={"authorization": "no"}))[0] == 401
    assert (await call("/job?slot=manual&slot=never"))[0] == 200  # the first counts


@pytest.mark.parametrize("query", ["mode=later", "slot=noon", "attempt=x", "delivery=%00"])
async def test_a_query_that_cannot_be_read_runs_nothing(query: str) -> None:
    work = new_work()
    work.job(name="job")(pytest.fail)

    status, answer = await caller(work)(f"/job?{query}")

    assert (status, answer["status"]) == (400, "bad_request")


async def test_a_failure_of_ours_is_answered_and_logged(caplog: Any) -> None:
    """It never reaches the server, which would close the connection."""
    work = new_work()
    work.job(name="job")(pytest.fail)
    work.pipeline.clock.now = None  # type: ignore[assignment]
    app = AfterMiddleware(work.routes(verify=Token()), work)
    wire = Wire(scope(), [{"type": "http.request"}])

    await app(wire.scope, wire.receive, wire.send)

    assert (wire.status, json.loads(wire.body)) == (500, {"status": "error"})
    assert "trigger.failed" in events(caplog)


async def test_a_budget_is_for_callbacks_and_a_timeout_for_a_run() -> None:
    """What ran too long is cut, recorded and answered."""
    work = new_work(budget=0.001)
    work.job(name="short")(lambda: asyncio.sleep(0.02))
    work.job(name="long", timeout=0.02)(asyncio.Event().wait)
    call = caller(work)

    assert (await call("/short"))[1]["status"] == "ok"
    status, answer = await call("/long")

    assert (status, answer["status"]) == (500, "timed_out")
    assert work.store.runs(job="long")[0].state == "timed_out"
