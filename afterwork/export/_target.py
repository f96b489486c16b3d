"""What a target is, and how its documents are kept in files.

1. A document of a target is a block between two marks, which tell our part of a file from what
   others wrote, and are what `--check` compares. JSON has no comments; `_json_edit` has its way.
2. `render` prints, `merge` edits. Neither deploys, and neither knows the secret.
3. A target that needs several files (systemd) gives them by name; its `--write` names a folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._refusals import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._plan import Dialect, Plan

SIGN = "afterwork export"
LONE_END = re.compile(r"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Target:
    """One target of the command `export`."""

    name: str
    help: str
    file: str
    """The file, or with `files` the folder, that is written and checked by default."""
    dialect: Callable[[str, bool], Dialect]
    """The dialect, from the plan's name and whether `--cronie` is given."""
    render: Callable[[Plan], str]
    """The document, or with `files` all of them, for people."""
    files: Callable[[Plan], dict[str, str]] | None = None
    merge: Callable[[str, Plan], str] | None = None
    """Edits our part of an existing document; None for a block between marks."""
    comment: str = "#"
    shares: bool = True
    """Whether its block may stand in a file with the text of others."""
    url: str = "needed"
    """`needed`, `path` (a path will do), `image` (or `--image`), `worker` (for that shape alone),
    `optional` (else commands) or `none` (always commands)."""
    shapes: tuple[str, ...] = ()


def block(target: Target, text: str) -> str:
    """The document between its marks."""
    opening, closing = _marks(target)
    return f"{opening}\n{text.rstrip()}\n{closing}\n"


def merged(target: Target, old: str, plan: Plan) -> str:
    """The file's text with our part brought up to date. Raises `UsageError` for a file that is not
    ours to write."""
    return _with_ends_of(old, _merged(target, old, plan))


def _merged(target: Target, old: str, plan: Plan) -> str:
    if target.merge is not None:
        return target.merge(old, plan)
    text = block(target, target.render(plan))
    opening, closing = _marks(target)
    lines = old.splitlines(keepends=True)
    starts = [index for index, line in enumerate(lines) if line.strip() == opening]
    ends = [index for index, line in enumerate(lines) if line.strip() == closing]
    if not starts and not ends:
        if old.strip() and not target.shares:
            raise UsageError(
                "the file has content and no block of ours, and both do not go into one document",
                f"Choose a file of its own: --write {target.file}",
            )
        gap = "" if not old or old.endswith("\n\n") else "\n" if old.endswith("\n") else "\n\n"
        return f"{old}{gap}{text}"
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise UsageError(
            f"the file has {len(starts)} opening and {len(ends)} closing marks of this export, and "
            "there has to be one of each",
            "Put them right by hand, or delete the block",
        )
    return "".join(lines[: starts[0]]) + text + "".join(lines[ends[0] + 1 :])


def is_ours(target: Target, text: str) -> bool:
    """Whether a file in a target's folder was written by it."""
    return text.startswith(f"{target.comment} >>> {SIGN} {target.name}")


def _with_ends_of(old: str, new: str) -> str:
    """The new text with the line ends of the old."""
    if "\r\n" in old and not LONE_END.search(old):
        return LONE_END.sub("\r\n", new)
    return new


def _marks(target: Target) -> tuple[str, str]:
    sign = f"{SIGN} {target.name}"
    return (
        f"{target.comment} >>> {sign}: made from the jobs in the code; edit those, not this",
        f"{target.comment} <<< {sign}",
    )
