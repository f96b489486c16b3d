"""The doctor's look at exported files: do they still say what the code says?"""

from __future__ import annotations

import argparse
import io
import os
from contextlib import redirect_stderr
from importlib import import_module

from . import _export
from ._errors import FAILED, OK
from ._output import Output
from ._point import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._app import Found

FILES = (("vercel.json", "vercel"),)
"""Files that an export edits in place, and its target."""


def points(found: Found) -> list[Point]:
    """One for each exported file that is here and mentions schedules."""
    if not _export.available():
        return []
    known = import_module(_export.MODULE).targets()
    return [
        _compared(found, file, target)
        for file, target in FILES
        if target in known and _mentions_schedules(file)
    ]


def _mentions_schedules(file: str) -> bool:
    if not os.path.isfile(file):
        return False
    with open(file, encoding="utf-8", errors="replace") as opened:
        text = opened.read()
    return '"crons"' in text or '"schedules"' in text


def _compared(found: Found, file: str, target: str) -> Point:
    parser = argparse.ArgumentParser(prog="afterwork export", exit_on_error=False)
    export = import_module(_export.MODULE)
    export.add_arguments(parser)
    said = io.StringIO()
    with redirect_stderr(said):
        try:
            out = Output(data=io.StringIO())
            code = export.run(found.work, parser.parse_args([target, "--check"]), out)
        except (Exception, SystemExit) as error:
            code, problem = None, str(error)
        else:
            problem = said.getvalue().strip()
    command = f"afterwork export {target}"
    if code == OK:
        return Point("export", "ok", f"{file} is in step with the code")
    if code == FAILED:
        text = f"{file} is not in step with the code"
        return Point("export", "problem", f"{text}\n{problem}" if problem else text, command)
    return Point("export", "note", f"{file} could not be compared: {problem}", f"{command} --check")
