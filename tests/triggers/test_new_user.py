"""The first minutes with scheduled jobs: a file, a secret, uvicorn, curl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .credentials import SECRET
from .curl import curl, needs_curl

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

FILE = """\
from starlette.applications import Starlette
from starlette.routing import Mount

from afterwork import Afterwork, Bearer

work = Afterwork()

@work.cron("0 3 * * *", timezone="Europe/Paris")
async def nightly(): ...

app = work.wrap(Starlette(routes=[Mount("/cron", work.routes(verify=Bearer.from_env("CRON_SECRET")))]))
"""  # noqa: E501


@needs_curl
def test_under_ten_lines_make_a_job_that_curl_runs(tmp_path: Path, start: Start) -> None:
    """T1, T3, A1: with the store that is there by itself, a second run of the slot is a duplicate;
    the health page asks for nothing."""
    (tmp_path / "example.py").write_text(FILE)
    assert len([line for line in FILE.splitlines() if line]) < 10
    site = start(module="example:app", AFTERWORK_STORE="")
    call = ("-X", "POST", "-H", f"Authorization: Bearer {SECRET}")
    slot = "slot=2026-03-08T02:00:00Z"

    stranger = curl("-X", "POST", f"{site.base}/nightly")
    run = curl(*call, f"{site.base}/nightly?{slot}")
    again = curl(*call, f"{site.base}/nightly?{slot}")
    by_hand = curl(*call, f"{site.base}/nightly?slot=manual")
    health = curl(f"{site.base}/health")

    assert stranger.status == 401
    assert (run.status, run.json["status"]) == (200, "ok")
    assert (again.status, again.json["status"]) == (200, "duplicate")
    assert (by_hand.status, by_hand.json["status"]) == (200, "ok")
    assert (health.status, health.json["status"]) == (200, "ok")
    assert (tmp_path / "afterwork.db").exists()
