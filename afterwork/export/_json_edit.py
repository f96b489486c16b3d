"""Edits one list or object of a JSON document and leaves every other character as it was.

Comments and commas at the end, as in `wrangler.jsonc`, are read; in the part that is edited there
may be none, since it is written anew.
"""

from __future__ import annotations

import json
import re

from ._refusals import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SKIPPED = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
ATOM = re.compile(r"[^\s,\]}/]+")

Span = tuple[int, int]


class Container:
    """An object or a list in a text: where it stands, and where its parts stand."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.start = at
        self.members: list[tuple[str, Span, Span]] = []
        """Key (empty in a list), span of the whole part, span of its value."""
        self.kind = text[at]
        close = "}" if self.kind == "{" else "]"
        at = _skip(text, at + 1)
        while text[at : at + 1] != close:
            begin, key = at, ""
            if self.kind == "{":
                at = _string(text, at)
                key = json.loads(text[begin:at])
                at = _skip(text, _expect(text, _skip(text, at), ":"))
            end = _value(text, at)
            self.members.append((key, (begin, end), (at, end)))
            at = _skip(text, end)
            if text[at : at + 1] != close:
                at = _skip(text, _expect(text, at, ","))
        self.end = at + 1

    def value(self, key: str) -> int | None:
        """Where a key's value begins."""
        for name, _, value in self.members:
            if name == key:
                return value[0]
        return None

    def comments(self) -> bool:
        """Whether something else than white space stands between its parts."""
        rest = list(self.text[self.start : self.end])
        for _, (begin, end), _ in self.members:
            rest[begin - self.start : end - self.start] = " " * (end - begin)
        return "/" in "".join(rest)


def load(text: str) -> Any:
    """The document's value. Raises `UsageError`."""
    try:
        return _load(text, _skip(text, 0))
    except (ValueError, IndexError, RecursionError):
        raise UsageError("the file is not JSON", "Put it right, or choose another") from None


def replace_list(text: str, path: Sequence[str], ours: Sequence[Any], mine: Any) -> str:
    """The text in which the list at `path` holds `ours` in place of the elements for which
    `mine(element)` is true. Elements that stay as they are keep their text and place."""
    return _replace(text, path, [("", each) for each in ours], lambda key, each: mine(each), "[")


def replace_object(text: str, path: Sequence[str], ours: dict[str, Any], mine: Any) -> str:
    """The same for an object; `mine(key, value)` tells our members."""
    return _replace(text, path, list(ours.items()), mine, "{")


def _replace(
    text: str, path: Sequence[str], ours: list[tuple[str, Any]], mine: Any, kind: str
) -> str:
    load(text)
    at = _skip(text, 0)
    if text[at] != "{":
        raise UsageError("the file holds no JSON object", "Choose another")
    holder = Container(text, at)
    for depth, key in enumerate(path):
        found = holder.value(key)
        if found is None:
            if not ours:
                return text
            value: Any = [each for _, each in ours] if kind == "[" else dict(ours)
            for name in reversed(path[depth + 1 :]):
                value = {name: value}
            return _insert(holder, key, value)
        wanted = kind if depth == len(path) - 1 else "{"
        if text[found] != wanted:
            name = "a list" if wanted == "[" else "an object"
            shape = "--shape object" if wanted == "[" else "--shape array"
            raise UsageError(
                f"{'.'.join(path[: depth + 1])} in the file is not {name}",
                f"If the target takes the other form, add {shape}",
            )
        holder = Container(text, found)
    return _refill(holder, ours, mine)


def _refill(holder: Container, ours: list[tuple[str, Any]], mine: Any) -> str:
    text = holder.text
    left = list(ours)
    kept: list[str] = []
    changed = False
    for key, (begin, end), (start, _) in holder.members:
        value = _load(text, start)
        if (key, value) in left:
            left.remove((key, value))
            kept.append(text[begin:end])
            continue
        if mine(key, value):
            changed = True
            same = [each for each in left if each[0] == key and _place(each[1]) == _place(value)]
            if same:
                left.remove(same[0])
                kept.append(_part(holder, *same[0]))
        elif key and any(key == name for name, _ in left):
            raise UsageError(
                f"the file has an entry {key!r} that is not ours", "Rename the job or the entry"
            )
        else:
            kept.append(text[begin:end])
    if not changed and not left:
        return text
    if holder.comments():
        raise UsageError(
            "there are comments inside the part that has to be edited, and they would be lost",
            "Move them above it",
        )
    kept.extend(_part(holder, *each) for each in left)
    return text[: holder.start] + _rebuilt(holder, kept) + text[holder.end :]


def _place(value: Any) -> Any:
    """What stays when an entry is changed."""
    return value.get("path") if isinstance(value, dict) else None


def _rebuilt(holder: Container, parts: list[str]) -> str:
    close = "}" if holder.kind == "{" else "]"
    if not parts:
        return holder.kind + close
    inner = holder.text[holder.start + 1 : holder.end - 1]
    if holder.members and "\n" not in inner:
        pad = " " if inner.startswith(" ") else ""
        return f"{holder.kind}{pad}{', '.join(parts)}{pad}{close}"
    indent, outer = _indent(holder), _line_indent(holder.text, holder.start)
    return f"{holder.kind}\n{indent}" + f",\n{indent}".join(parts) + f"\n{outer}{close}"


def _part(holder: Container, key: str, value: Any) -> str:
    inner = holder.text[holder.start + 1 : holder.end - 1]
    if holder.members and "\n" not in inner:
        text = json.dumps(value, ensure_ascii=False)
    else:
        indent = _indent(holder)
        unit = _unit(holder.text)
        spread = not _flat(holder)
        text = json.dumps(value, ensure_ascii=False, indent=unit if spread else None)
        if not spread and text.startswith("{") and len(text) > 2:
            text = f"{{ {text[1:-1]} }}"
        text = text.replace("\n", f"\n{indent}")
    return f"{json.dumps(key)}: {text}" if key else text


def _flat(holder: Container) -> bool:
    """Whether its parts stand on a line each."""
    return any("\n" not in holder.text[start:end] for _, _, (start, end) in holder.members)


def _insert(holder: Container, key: str, value: Any) -> str:
    text = holder.text
    unit = _unit(text)
    indent = _indent(holder)
    body = json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", f"\n{indent}")
    member = f"{json.dumps(key)}: {body}"
    if holder.members:
        at = holder.members[-1][1][1]
        return f"{text[:at]},\n{indent}{member}{text[at:]}"
    outer = _line_indent(text, holder.start)
    return f"{text[: holder.start]}{{\n{indent}{member}\n{outer}}}{text[holder.end :]}"


def _indent(holder: Container) -> str:
    """The indent of a container's parts, as the first of them has it."""
    outer = _line_indent(holder.text, holder.start)
    if holder.members and "\n" in holder.text[holder.start : holder.members[0][1][0]]:
        return _line_indent(holder.text, holder.members[0][1][0])
    unit = _unit(holder.text)
    return outer + (unit if isinstance(unit, str) else " " * unit)


def _line_indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _unit(text: str) -> str | int:
    """What one step of indent is in this document: that of its first indented line."""
    match = re.search(r"\n([ \t]+)\S", text)
    return match[1] if match else 2


def _load(text: str, at: int) -> Any:
    if text[at] not in "{[":
        return json.loads(text[at : _value(text, at)])
    holder = Container(text, at)
    values = [_load(text, start) for _, _, (start, _) in holder.members]
    if holder.kind == "[":
        return values
    return dict(zip([key for key, _, _ in holder.members], values, strict=True))


def _value(text: str, at: int) -> int:
    """The end of the value that begins there."""
    if text[at] in "{[":
        return Container(text, at).end
    if text[at] == '"':
        return _string(text, at)
    match = ATOM.match(text, at)
    if match is None:
        raise ValueError(at)
    json.loads(match[0])
    return match.end()


def _string(text: str, at: int) -> int:
    match = STRING.match(text, at)
    if match is None:
        raise ValueError(at)
    return match.end()


def _expect(text: str, at: int, character: str) -> int:
    if text[at] != character:
        raise ValueError(at)
    return at + 1


def _skip(text: str, at: int) -> int:
    match = SKIPPED.match(text, at)
    assert match is not None, "it matches the empty text"
    return match.end()
