"""What commands print: data to stdout, everything else to stderr.

1. With `--json` stdout holds one JSON document with `"version": 1`, or one per line where a command
   tells of things as they happen. Times are RFC 3339, and seconds are numbers.
2. Colour is for terminals. `NO_COLOR` takes it away, `FORCE_COLOR` adds it where the output is
   piped; the first goes before the second.
3. A table is cut to the width of the terminal, and not at all where it is piped.
4. What comes from a store or an app is shown without control characters: a terminal obeys them.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO, TypeAlias

    Cell: TypeAlias = str | tuple[str, str]
    """A text, or a text and its colour."""

VERSION = 1
COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
GAP = "  "
NARROWEST = 8
"""A column is not cut below so many characters."""
OUTCOME_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "abandoned": "red",
    "cancelled": "yellow",
    "missed": "yellow",
    "skipped": "dim",
}


class Output:
    """The output of one command. It keeps the streams of its start, so that an app that prints can
    be sent elsewhere."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self._stdout = sys.stdout
        self._stderr = sys.stderr
        self._coloured = {id(each): _colours(each) for each in (self._stdout, self._stderr)}
        self.width = _width(self._stdout)
        """Columns of the terminal; None where there is none."""
        self.interactive = self._stderr.isatty()
        """Whether somebody watches."""

    def line(self, text: str = "", colour: str = "") -> None:
        """One line of data."""
        _write(self._stdout, self._paint(self._stdout, text, colour))

    def say(self, text: str, colour: str = "") -> None:
        """One line about what goes on; not with `--json`, unless it is an error."""
        if not self.json:
            self.complain(text, colour)

    def complain(self, text: str, colour: str = "") -> None:
        """One line for stderr."""
        _write(self._stderr, self._paint(self._stderr, text, colour))

    def document(self, *, compact: bool = False, **fields: Any) -> None:
        """A JSON document; `compact`: on one line."""
        import json

        whole = {"version": VERSION, **fields}
        _write(self._stdout, json.dumps(whole, indent=None if compact else 2))

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Rows under their heads."""
        texts = [[plain(_text(cell)) for cell in row] for row in rows]
        widths = [max(len(each) for each in column) for column in zip(heads, *texts, strict=True)]
        if self.width is not None:
            _narrow(widths, self.width - len(GAP) * (len(widths) - 1))
        self.line(_row([(head, "bold") for head in heads], widths, self._paints()))
        for row, cells in zip(rows, texts, strict=True):
            coloured = [(text, _colour(cell)) for text, cell in zip(cells, row, strict=True)]
            self.line(_row(coloured, widths, self._paints()))

    def _paints(self) -> bool:
        return self._coloured[id(self._stdout)]

    def _paint(self, stream: TextIO, text: str, colour: str) -> str:
        return _painted(text, colour) if self._coloured[id(stream)] else text


def plain(text: str) -> str:
    """A text on one line, its control characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def outcome_cell(state: str) -> tuple[str, str]:
    """A run's state in its colour."""
    return state, OUTCOME_COLOURS.get(state, "")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _colours(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO) -> int | None:
    if not stream.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _narrow(widths: list[int], room: int) -> None:
    """Takes from the widest column until the row fits, or nothing more can be taken."""
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1


def _row(cells: Sequence[tuple[str, str]], widths: Sequence[int], coloured: bool) -> str:
    parts: list[str] = []
    last = len(cells) - 1
    for number, ((text, colour), width) in enumerate(zip(cells, widths, strict=True)):
        cut = text if len(text) <= width else text[: width - 3] + "..."
        padding = " " * (width - len(cut)) if number < last else ""
        parts.append((_painted(cut, colour) if coloured else cut) + padding)
    return GAP.join(parts).rstrip()


def _painted(text: str, colour: str) -> str:
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if colour and text else text


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _colour(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]
