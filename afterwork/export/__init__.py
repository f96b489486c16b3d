"""Exports: the jobs of an app as configuration of the platforms that set them off.

    targets()           the names of the targets
    add_arguments()     the options of the command `export`, for an argparse parser
    run()               prints, writes or checks; gives the exit code
    VercelCrons         what Vercel's Python builder asks for crons
    cloudflare_triggers what each of Cloudflare's Cron Triggers sets off

An export prints, or edits its own part of a file. It never deploys, and never looks at a secret:
it names the variable that holds it. What a target cannot express is refused, with a reason and two
ways out; what it does otherwise where clocks change is a warning.
"""

from __future__ import annotations

from ._cloudflare import triggers as cloudflare_triggers
from ._refusals import ExportRefusedError
from ._registry import TARGETS
from ._run import run
from ._vercel_builder import VercelCrons

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = [
    "ExportRefusedError",
    "VercelCrons",
    "add_arguments",
    "cloudflare_triggers",
    "run",
    "targets",
]


def targets() -> list[str]:
    """The names of the targets."""
    return list(TARGETS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the target and the options of `run` to a parser."""
    from . import _options

    listed = "; ".join(f"{target.name}: {target.help}" for target in TARGETS.values())
    parser.add_argument("target", choices=targets(), metavar="TARGET", help=listed)
    parser.add_argument(
        "--write",
        metavar="FILE",
        nargs="?",
        const="",
        help="write the file, or for systemd and netlify the folder, instead of printing; only our "
        "part of it is touched; without FILE the target's usual one",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing: exit 1 if that file differs from the jobs in the code",
    )
    _options.add_to(parser)
