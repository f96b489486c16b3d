"""Writes the YAML that the exporters need: maps, lists and scalars, always quoted where a reader
could take a scalar for something else."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@-]*( [A-Za-z0-9_./@-]+)*\Z")
WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


class Comment(str):
    """A key that is printed as a comment line; its value is left out."""

    __slots__ = ()


class Block(str):
    """A text of several lines, printed as they are."""

    __slots__ = ()


class Tagged:
    """A scalar with a tag, such as `!Sub`."""

    def __init__(self, tag: str, text: str) -> None:
        self.tag = tag
        self.text = text


def dump(value: Any, indent: int = 0) -> str:
    """The lines of a map or list."""
    return "\n".join(_lines(value, indent)) + "\n"


def _lines(value: Any, indent: int) -> list[str]:
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(key, Comment):
                lines.append(f"{pad}# {key}")
            elif isinstance(each, (dict, list)) and each:
                lines += [f"{pad}{_scalar(key)}:", *_lines(each, indent + 2)]
            else:
                lines += _headed(f"{pad}{_scalar(key)}: ", each, indent)
        return lines
    for each in value:
        if isinstance(each, dict):
            inner = _lines(each, indent + 2)
            first = next(i for i, line in enumerate(inner) if not line.lstrip().startswith("# "))
            lines += [f"{pad}{line.lstrip()}" for line in inner[:first]]
            lines += [f"{pad}- {inner[first][indent + 2 :]}", *inner[first + 1 :]]
        else:
            lines += _headed(f"{pad}- ", each, indent)
    return lines


def _headed(head: str, value: Any, indent: int) -> list[str]:
    if isinstance(value, Block):
        pad = " " * (indent + 2)
        return [f"{head}|", *(f"{pad}{line}".rstrip() for line in value.splitlines())]
    return [head + _scalar(value)]


def _scalar(value: Any) -> str:
    if isinstance(value, Tagged):
        return f"{value.tag} {_scalar(value.text)}"
    if isinstance(value, str):
        if PLAIN.match(value) and value.lower() not in WORDS:
            return value
        # JSON's strings are YAML's double-quoted ones.
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
