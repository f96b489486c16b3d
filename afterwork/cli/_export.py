"""`afterwork export`: the jobs as the configuration of a platform. What can be exported is in
`afterwork.export`, which is imported for this command alone."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from . import _app
from ._options import app_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ._output import Output

MODULE = "afterwork.export"


def add(commands: Any) -> None:
    """Adds the command."""
    if not available():
        return
    parser = commands.add_parser(
        "export",
        help="the jobs as the configuration of a platform",
        description="Prints or edits a platform's configuration for the registered jobs.",
    )
    parser.fill = _fill
    parser.set_defaults(run=run)


def _fill(parser: argparse.ArgumentParser) -> None:
    import_module(MODULE).add_arguments(parser)
    app_options(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    found = _app.find(args)
    code: int = import_module(MODULE).run(found.work, args, sys.stdout, sys.stderr)
    return code


def available() -> bool:
    """Whether this distribution has the exporters."""
    spec = find_spec(MODULE)
    return spec is not None and spec.origin is not None
