"""integrations/recipes/vercel, inside Vercel's own runtime."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.triggers.site import search_path

from .vercel import ROOT, Function

RECIPE = ROOT / "integrations" / "recipes" / "vercel"
SECRET = "a-secret-for-the-recipe-0123456789"
CRON = {"User_Agent": "vercel-cron/1.0", "X_Vercel_Cron_Schedule": "0 3 * * *"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The app, copied as its README says."""
    return Path(shutil.copytree(RECIPE, tmp_path / "shop")) / "app.py"


def test_it_answers_sends_the_receipt_and_tidies_up(tmp_path: Path, recipe: Path) -> None:
    (entry,) = json.loads((RECIPE / "vercel.json").read_text())["crons"]
    path = f"{entry['path']}?slot=2026-03-08T03:00:00Z"
    store = f"sqlite:///{tmp_path}/runs.db"
    with Function(tmp_path, recipe, CRON_SECRET=SECRET, AFTERWORK_STORE=store) as function:
        answer = function.call("/orders?email=ada@example.org", 60, "POST")
        end = function.ended(answer.invocation)
        stranger = function.call(path, 60, **CRON)
        cron = function.call(path, 60, Authorization=f"Bearer {SECRET}", **CRON)
        again = function.call(path, 60, Authorization=f"Bearer {SECRET}", **CRON)
        function.ended(again.invocation)
        log = function.log

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "thank you"})
    assert end - answer.at > 0.1
    assert log.count("receipt sent to ada@example.org") == 1
    assert (stranger.status, cron.status, again.status) == (401, 200, 200)
    assert [json.loads(each.body)["status"] for each in (cron, again)] == ["ok", "duplicate"]
    assert log.count("tidied up") == 1


def test_its_crons_are_the_ones_of_its_code_and_valid(recipe: Path) -> None:
    command = [sys.executable, "-m", "afterwork", "export", "vercel", "--app", "app:work"]
    environ = {**os.environ, **search_path(), "CRON_SECRET": SECRET}
    done = subprocess.run(
        [*command, "--url", "/cron", "--check"],
        cwd=recipe.parent,
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
    )
    crons = json.loads((RECIPE / "vercel.json").read_text())["crons"]
    schema = json.loads((ROOT / "tests" / "data" / "vercel_schema.json").read_text())

    assert done.returncode == 0, done.stdout + done.stderr
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(crons, schema["crons"])


def test_its_readme_names_what_it_needs() -> None:
    text = (RECIPE / "README.md").read_text()
    for path in RECIPE.iterdir():
        assert path.name == "README.md" or path.suffix == ".pyc" or path.name in text
    assert "CRON_SECRET" in text
    assert "AFTERWORK_STORE" in text
