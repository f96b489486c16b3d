"""The log of what runs here, on stderr."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager

from ._options import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


def level(text: str) -> str:
    """The name of a level."""
    if text.lower() not in LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LEVELS)}")
    return text.lower()


def log_option(parser: argparse.ArgumentParser) -> None:
    """`--log-level`."""
    option(
        parser,
        "--log-level",
        read=level,
        default="info",
        metavar="LEVEL",
        about=f"what the log on stderr shows: {', '.join(LEVELS)}; default info. It does nothing "
        "where the app has set up logging itself",
    )


@contextmanager
def streaming(level: str) -> Iterator[None]:
    """The log goes to stderr, unless the app has sent it somewhere."""
    import logging

    root = logging.getLogger()
    if root.handlers:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, "%H:%M:%S"))
    before = root.level
    root.addHandler(handler)
    root.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
