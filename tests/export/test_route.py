"""The addresses of the documents, called on the route itself."""

from __future__ import annotations

import re

import httpx
import pytest

from afterwork import Afterwork, Bearer, export
from afterwork.testing import FakeClock
from tests.export.support import NOW, App, shop

TOKEN = "a-secret-for-tests-only-0123456789"
COMMANDS = ("railway", "render")
ADDRESS = re.compile(r"https://app\.example\.com(/api/cron/[A-Za-z0-9._-]+(?:\?mode=accept)?)")
PATH = re.compile(r'"path": "([^"]+)"')


async def nobody(scope: object, receive: object, send: object) -> None:
    raise AssertionError("the address is not below the route")


@pytest.mark.parametrize("target", [each for each in export.targets() if each not in COMMANDS])
async def test_t22_every_exported_address_runs_its_job(target: str) -> None:
    """The app is served with the route under a prefix; each address that a document holds is
    answered by the job whose name it ends with."""
    app: App = shop()
    shape = ("--shape", "worker") if target == "cloudflare" else ()
    out = app.export(target, *shape).out
    paths = set((PATH if target.startswith("vercel") else ADDRESS).findall(out))
    assert len(paths) == 4
    served = app.work.routes(verify=Bearer(TOKEN)).beside(nobody, "/api/cron")
    transport = httpx.ASGITransport(app=served)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as client:
        for path in sorted(paths):
            answer = await client.post(path, headers=headers)
            assert answer.status_code == (202 if path.endswith("?mode=accept") else 200)
            assert answer.json()["job"] == path.partition("?")[0].rpartition("/")[2]


async def test_the_body_that_eventbridge_and_pg_cron_send_names_the_slot() -> None:
    """Two deliveries of one slot are one run."""
    work = Afterwork(store="memory:", clock=FakeClock(NOW), scheduler=False)
    runs: list[int] = []

    @work.every("1h", name="job")
    def job() -> None:
        runs.append(1)

    served = work.routes(verify=Bearer(TOKEN)).beside(nobody, "/cron")
    transport = httpx.ASGITransport(app=served)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as client:
        body = {"slot": "2026-01-05T00:00:00Z"}
        first = await client.post("/cron/job", headers=headers, json=body)
        again = await client.post("/cron/job", headers=headers, json=body)
    assert first.json()["slot"] == "2026-01-05T00:00:00Z"
    assert again.json()["status"] == "duplicate"
    assert runs == [1]
