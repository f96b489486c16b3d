"""Vercel: the deployed cron, and `vercel dev` on a developer's machine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .credentials import SECRET
from .site import BEARER, search_path

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start
    from .site import Site

SLOT = "?slot=2026-03-08T03:00:00Z"


def test_a_deployed_cron_runs_what_its_expression_names(site: Site) -> None:
    """T12: one path for all schedules; the header says which. Without it nothing tells which job is
    meant, and that is 400. A schedule that no job has is 404."""
    agent = {"User-Agent": "vercel-cron/1.0"}
    nightly = {**BEARER, **agent, "x-vercel-cron-schedule": "0 3 * * *"}
    unknown = {**BEARER, **agent, "x-vercel-cron-schedule": "5 5 * * *"}

    runs = site.call(f"/{SLOT}", "GET", headers=nightly)
    nameless = site.call("/", "GET", headers={**BEARER, **agent})
    nobodys = site.call("/", "GET", headers=unknown)

    assert (runs.status_code, runs.json()["job"]) == (200, "nightly")
    assert (nameless.status_code, nobodys.status_code) == (400, 404)


def test_a_failure_is_no_error_where_nothing_delivers_again(site: Site) -> None:
    """T6: Vercel Cron never comes again, so the answer is 200 and its status says it."""
    answer = site.call("/flaky", "GET", headers={**BEARER, "User-Agent": "vercel-cron/1.0"})

    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


def test_vercel_dev_sends_nothing_and_is_let_in_on_this_machine(start: Start) -> None:
    """A1, A6: without a secret, in development, and where that was asked for; the log says so. A
    tunnel to this machine is not this machine."""
    site = start(CRON_SECRET="", VERCEL_ENV="development", OPEN_IN_DEV="yes")

    local = site.call(f"/nightly{SLOT}", headers={"Host": f"localhost:{site.port}"})
    proxied = site.call("/nightly", headers={"X-Forwarded-For": "203.0.113.7"})
    tunnelled = site.call("/nightly", headers={"Host": "abc.tunnel.example"})

    assert (local.status_code, local.json()["status"]) == (200, "ok")
    assert proxied.status_code == tunnelled.status_code == 401
    assert "trigger.open" in site.log


@pytest.mark.parametrize("environment", ["production", "preview", ""])
def test_the_same_is_closed_wherever_it_is_deployed(start: Start, environment: str) -> None:
    """A1, A2: 503, since it is the secret that is missing; no word in a header changes that."""
    site = start(CRON_SECRET="", VERCEL_ENV=environment, OPEN_IN_DEV="yes")

    for credentials in ("", "Bearer", "Bearer None", "Bearer undefined", "Bearer null"):
        headers = {"Authorization": credentials} if credentials else {}
        assert site.call("/nightly", headers=headers).status_code == 503
    assert site.store.runs() == []


@pytest.mark.parametrize(
    ("secret", "reason"), [(None, "not set"), ("", "empty"), ("undefined", "a word")]
)
def test_without_a_good_secret_the_server_does_not_start(
    tmp_path: Path, secret: str | None, reason: str
) -> None:
    """A1, A3: the last line names the variable and what is wrong with it, and not its value."""
    environ = search_path() if secret is None else {**search_path(), "CRON_SECRET": secret}
    command = [sys.executable, "-m", "uvicorn", "tests.triggers.app:app", "--port", "0"]

    server = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=15
    )

    assert server.returncode != 0
    last = server.stderr.splitlines()[-1]
    assert "CRON_SECRET" in last
    assert reason in last
    assert SECRET not in server.stderr
