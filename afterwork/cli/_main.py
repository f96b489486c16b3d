"""The parser of all commands, and the one place where their errors become exit codes."""

from __future__ import annotations

import argparse
import os
import sys

from ._errors import FAILED, INTERRUPTED, NOT_FOUND, OK, PIPE_CLOSED, USAGE, Stop
from ._options import Parser, app_options
from ._output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    *("_list", "_next", "_run", "_trigger", "_due", "_work", "_worker", "_runs", "_pause"),
    *("_dead", "_check", "_export", "_metrics", "_store"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """See `afterwork.cli.main`."""
    parser = _parser()
    try:
        args, rest = parser.parse_known_args(argv)
        if rest and (not hasattr(args, "values") or any(each.startswith("-") for each in rest)):
            parser.error(f"this is not known: {' '.join(rest)}")
    except SystemExit as ended:  # argparse has said why, or what was asked
        return USAGE if ended.code else OK
    if not hasattr(args, "run"):
        parser.print_help()
        return USAGE
    if rest:
        args.values += rest  # argparse takes no arguments of a list after an option
    out = Output(json=getattr(args, "json", False))
    try:
        return _run(args, out)
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Stop as stop:
        if stop.before:
            out.complain(stop.before)
        out.complain(f"afterwork: {stop}")
        return stop.code
    except Exception as error:
        code = _code_of(error)
        out.complain(f"afterwork: {error}")
        return code


def _run(args: argparse.Namespace, out: Output) -> int:
    try:
        code: int = args.run(args, out)
        return code
    finally:
        if hasattr(args, "found"):
            args.found.dispatch.chosen_store().close()


def _code_of(error: Exception) -> int:
    """What an error of ours means; what is none of ours is raised."""
    from ..errors import AfterworkError, EngineError, StoreError, UnknownJobError

    if isinstance(error, UnknownJobError):
        return NOT_FOUND
    if isinstance(error, (EngineError, StoreError)):
        return FAILED
    if isinstance(error, AfterworkError):
        return USAGE
    raise error


def _parser() -> Parser:
    from importlib import import_module

    parser = Parser(
        prog="afterwork",
        description="Jobs of an ASGI app: list, run, watch and check them.",
        epilog="Every option can be set by the variable in brackets behind it. Exit codes: 0 ok, 1 "
        "a job failed or problems were found, 2 wrong usage, 3 not found, 4 skipped, 124 timed "
        "out, 130 and 143 stopped by a signal.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    app_options(parser, inherited=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        import_module(f".{name}", __package__).add(commands)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *args: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"afterwork {version('afterwork')}\n")
        parser.exit()
