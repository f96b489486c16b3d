"""The doctor's look at exported files: do they still say what the code says?"""

from __future__ import annotations

import argparse
import io
import os
from importlib import import_module

from . import _export
from ._errors import FAILED, OK
from ._point import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._app import Found

SIGN = ">>> afterwork"
"""What exporters write above their part of a file that has comments."""
FILES = (
    ("vercel.json", "vercel", '"crons"'),
    ("vercel.json", "vercel-schedules", '"schedules"'),
    (".github/workflows/afterwork.yml", "github", SIGN),
    ("k8s/afterwork.yaml", "kubernetes", SIGN),
    ("wrangler.toml", "cloudflare", SIGN),
    ("render.yaml", "render", SIGN),
    ("afterwork.crontab", "crontab", SIGN),
    ("afterwork.sql", "pg-cron", SIGN),
    ("afterwork.tf", "cloud-scheduler-terraform", SIGN),
    ("afterwork-schedules.yaml", "eventbridge", SIGN),
)
"""The usual file of a target, the target, and what is in it if the target wrote there."""


def points(found: Found) -> list[Point]:
    """One for each exported file that is here."""
    if not _export.available():
        return []
    known = import_module(_export.MODULE).targets()
    return [
        _compared(found, file, target)
        for file, target, mark in FILES
        if target in known and _holds(file, mark)
    ]


def _holds(file: str, mark: str) -> bool:
    if not os.path.isfile(file):
        return False
    with open(file, encoding="utf-8", errors="replace") as opened:
        return mark in opened.read()


def _compared(found: Found, file: str, target: str) -> Point:
    """What `export TARGET --check` says, with options from the environment alone."""
    export = import_module(_export.MODULE)
    parser = argparse.ArgumentParser(prog="afterwork export")
    export.add_arguments(parser)
    args = parser.parse_args([target, "--check"])
    difference, said = io.StringIO(), io.StringIO()
    code = export.run(found.work, args, difference, said)
    problem = said.getvalue().strip()
    command = f"afterwork export {target} --write"
    if code == OK:
        return Point("export", "ok", f"{file} is in step with the code")
    if code == FAILED:
        text = f"{file} is not in step with the code"
        return Point("export", "problem", f"{text}\n{problem}" if problem else text, command)
    return Point(
        "export",
        "note",
        f"{file} could not be compared: {problem}",
        "set AFTERWORK_URL to the address of the trigger route, or see "
        f"`afterwork export {target} --help`",
    )
