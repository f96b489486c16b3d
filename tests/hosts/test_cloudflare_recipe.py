"""integrations/recipes/cloudflare, with Cloudflare's own SDK in Pyodide."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.triggers.site import search_path

from .isolate.platform import ROOT, Isolate, at, names

RECIPE = ROOT / "integrations" / "recipes" / "cloudflare"
SLOT = 1_793_588_400.0
"""2026-11-02 03:00 UTC, a Monday."""

pytestmark = pytest.mark.timeout(180)  # it may have to install Pyodide


def settings() -> dict[str, object]:
    found: dict[str, object] = json.loads((RECIPE / "wrangler.jsonc").read_text())
    return found


def crons() -> list[str]:
    triggers = settings()["triggers"]
    assert isinstance(triggers, dict)
    return list(triggers["crons"])


def test_it_answers_sends_the_receipt_and_tidies_up(tmp_path: Path) -> None:
    """Exactly this app, with exactly these triggers."""
    shutil.copytree(RECIPE, tmp_path / "shop")
    main = tmp_path / "shop" / str(settings()["main"])
    (cron,) = crons()
    with Isolate(main.parent, main.stem) as isolate:
        order = isolate.settled(isolate.fetch("/orders?email=ada@example.org", "POST"))
        receipt = isolate.wait(lambda event: "receipt sent" in event.text, "the receipt")
        trigger = isolate.settled(isolate.scheduled(cron, SLOT))
        again = isolate.settled(isolate.scheduled(cron, SLOT))
        log = isolate.log

    assert [event.status for event in order if event.event == "response"] == [200]
    assert at(order, "body") < receipt.at < at(order, "settled")
    assert "receipt sent to ada@example.org" in log
    assert names(trigger) == names(again) == ["waitUntil", "returned", "settled"]
    assert log.count("tidied up") == 1


def test_its_crons_are_the_ones_of_its_code_and_valid() -> None:
    command = [sys.executable, "-m", "afterwork", "export", "cloudflare", "--app", "shop:work"]
    done = subprocess.run(
        [*command, "--shape", "json", "--check", "--write", "../wrangler.jsonc"],
        cwd=RECIPE / "src",
        env={**os.environ, **search_path(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    schema = json.loads((ROOT / "tests" / "data" / "wrangler_triggers_schema.json").read_text())

    assert done.returncode == 0, done.stdout + done.stderr
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(settings()["triggers"], schema)


def test_it_says_what_a_python_worker_needs() -> None:
    project = tomllib.loads((RECIPE / "pyproject.toml").read_text())["project"]

    assert settings()["compatibility_flags"] == ["python_workers"]
    assert (RECIPE / str(settings()["main"])).exists()
    assert {"afterwork", "starlette"} < set(project["dependencies"])


def test_its_readme_names_what_it_needs() -> None:
    text = (RECIPE / "README.md").read_text()
    for path in RECIPE.rglob("*.*"):
        local = str(path.relative_to(RECIPE))
        assert local == "README.md" or path.suffix == ".pyc" or local in text
    for cron in crons():
        assert cron.replace(" ", "+") in text
