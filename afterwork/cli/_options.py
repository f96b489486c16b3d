"""Options of commands, each of which can also be set by a variable of the environment.

1. The variable is `AFTERWORK_` and the option's name. What is on the command line goes first.
2. A variable is read as strictly as an option. One that makes no sense is a mistake in usage, and
   only for the commands that have the option.
"""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

PREFIX = "AFTERWORK_"
TRUE = ("1", "true", "yes", "on")
FALSE = ("", "0", "false", "no", "off")


class Parser(argparse.ArgumentParser):
    """A parser that may be given its arguments when it is first used: what they need is then
    imported for this command alone."""

    fill: Callable[[argparse.ArgumentParser], object] | None = None

    if TYPE_CHECKING:
        pass  # it is what argparse says
    else:

        def parse_known_args(self, args=None, namespace=None):
            """Adds what is left to add, then parses."""
            fill, self.fill = self.fill, None
            if fill is not None:
                fill(self)
            return super().parse_known_args(args, namespace)


class _Flag(argparse.Action):
    """An option without a value."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True)


def option(
    parser: argparse.ArgumentParser,
    *names: str,
    about: str,
    default: str | None = None,
    read: Callable[[str], Any] = str,
    metavar: str | None = None,
    inherited: bool = False,
) -> None:
    """Adds an option with a value. `inherited`: it may also stand before the command, and what
    stands there counts if it is not given again."""
    variable, value = _variable(names)
    parser.add_argument(
        *names,
        type=read,
        metavar=metavar,
        default=argparse.SUPPRESS if inherited else (value or default),
        help=_described(about, variable),
    )


def flag(parser: argparse.ArgumentParser, *names: str, about: str, inherited: bool = False) -> None:
    """Adds an option that is given or not. Its variable is `1` or `0`, or the like."""
    variable, value = _variable(names)
    parser.add_argument(
        *names,
        action=_Flag,
        type=truth,
        default=argparse.SUPPRESS if inherited else (value or False),
        help=_described(about, variable),
    )


def truth(text: str) -> bool:
    """The value of a flag's variable."""
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise argparse.ArgumentTypeError(f"it is set to {text!r} and must be 1 or 0")
    return word in TRUE


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def duration(text: str) -> float:
    """Seconds, from a text such as `90s` or `1h30m`, or from a number of seconds."""
    from .._durations import parse
    from ..errors import DurationSyntaxError

    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return float(parse(text))
    except DurationSyntaxError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def zone(text: str) -> str:
    """The name of a time zone that this machine knows."""
    from .._zones import load
    from ..errors import UnknownTimezoneError

    try:
        load(text)
    except UnknownTimezoneError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def app_options(parser: argparse.ArgumentParser, *, inherited: bool = True) -> None:
    """`--app` and `--factory`."""
    option(
        parser,
        "--app",
        metavar="MODULE:NAME",
        about="where the app or its Afterwork is, such as main:app or shop/main.py. Default: "
        "[tool.afterwork] app or [tool.fastapi] entrypoint in pyproject.toml, else main.py, "
        "app.py, api.py, app/main.py and so on",
        inherited=inherited,
    )
    flag(
        parser,
        "--factory",
        about="NAME is a function that makes the app",
        inherited=inherited,
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    flag(parser, "--json", about="print one JSON document")


def lifespan_option(parser: argparse.ArgumentParser) -> None:
    """`--lifespan`."""
    flag(
        parser,
        "--lifespan",
        about="start the app before and shut it down after, as a server does, for jobs that need "
        "what it opens",
    )


def zone_option(parser: argparse.ArgumentParser, about: str) -> None:
    """`--tz`."""
    option(parser, "--tz", metavar="ZONE", read=zone, about=about)


def _variable(names: Sequence[str]) -> tuple[str, str | None]:
    long = next(name for name in names if name.startswith("--"))
    variable = PREFIX + long[2:].replace("-", "_").upper()
    return variable, os.environ.get(variable)


def _described(about: str, variable: str) -> str:
    return f"{about} [{variable}]".replace("%", "%%")
