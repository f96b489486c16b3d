"""One export, from the jobs to the exit code.

1. The document goes to `out`, everything that is said about it to `err`.
2. A job that is refused is left out of what is printed, and the exit code is 1. A file is not
   written then: half of the jobs in a deployed file would look like all of them.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from . import _items, _options
from ._plan import Plan
from ._refusals import UsageError
from ._registry import TARGETS
from ._target import block, is_ours, merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from .._afterwork import Afterwork
    from ._target import Target

OK, PROBLEMS, USAGE = 0, 1, 2


def run(work: Afterwork, args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Prints, writes or checks. Returns 0; 1 where a file differs or jobs were refused; 2 for
    options or files that do not do."""
    try:
        return _run(work, args, out, err)
    except UsageError as error:
        err.write(f"{error}\n")
        return USAGE


def planned(work: Afterwork, args: argparse.Namespace) -> tuple[Target, Plan]:
    """The target and what it has to print. Raises `UsageError`."""
    target = TARGETS[args.target]
    settings = _options.read(args, target)
    for name in settings.only - {job.name for job in work.jobs if job.schedule is not None}:
        raise UsageError(
            f"--only names {name!r}, and there is no such job with a schedule",
            "`afterwork list` shows them",
        )
    plan = Plan(settings, target.dialect(settings.plan, settings.cronie))
    now = work.dispatch.clock.now()
    for item in _items.items(work, settings):
        plan.add(item, now)
    if settings.tick is not None:
        plan.warn_of_rare_ticks(work, settings.tick)
    _refuse_namesakes(plan)
    return target, plan


def _run(work: Afterwork, args: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    target, plan = planned(work, args)
    if not plan.entries and not plan.refusals:
        err.write("there is no job with a schedule, so there is nothing to export\n")
    if args.check:
        return _check(target, plan, args.write or target.file, out, err)
    if args.write is None:
        return _show(target, plan, out, err)
    return _write(target, plan, Path(args.write or target.file), err)


def _show(target: Target, plan: Plan, out: TextIO, err: TextIO) -> int:
    text = target.render(plan)
    if target.merge is None and target.files is None:
        text = block(target, text)
    if plan.entries:
        out.write(text if text.endswith("\n") else f"{text}\n")
    _say(plan, err)
    return PROBLEMS if plan.refusals else OK


def _check(target: Target, plan: Plan, name: str, out: TextIO, err: TextIO) -> int:
    found = _differ(target, plan, name)
    out.writelines(found)
    _say(plan, err)
    if found:
        err.write(f"{name} is not what the jobs in the code say\n")
    return PROBLEMS if found or plan.refusals else OK


def _write(target: Target, plan: Plan, path: Path, err: TextIO) -> int:
    new = _wanted(target, plan, path)
    _say(plan, err)
    if plan.refusals:
        err.write(f"{path} was not written\n")
        return PROBLEMS
    for file, wanted in new.items():
        if wanted is None:
            file.unlink()
            err.write(f"deleted {file}\n")
        elif wanted != _read(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted, encoding="utf-8", newline="")
            err.write(f"wrote {file}\n")
    return OK


def _wanted(target: Target, plan: Plan, path: Path) -> dict[Path, str | None]:
    """What each file has to hold; None for one that has to go. Raises `UsageError`."""
    if target.files is None:
        return {path: merged(target, _read(path), plan)}
    if path.is_file():
        raise UsageError(f"{path} is a file", f"{target.name} needs a folder for its files")
    found: dict[Path, str | None] = {path / name: text for name, text in target.files(plan).items()}
    for file in sorted(path.glob("afterwork-*")) if path.is_dir() else ():
        if file not in found and is_ours(target, _read(file)):
            found[file] = None
    for file in found:
        if (old := _read(file)) and not is_ours(target, old):
            raise UsageError(f"{file} exists and is not ours", "Rename the job or the file")
    return found


def _differ(target: Target, plan: Plan, name: str) -> list[str]:
    """The difference as a unified diff; empty where there is none."""
    lines: list[str] = []
    for file, text in _wanted(target, plan, Path(name)).items():
        old = _read(file)
        if old != (text or ""):
            lines += difflib.unified_diff(
                old.splitlines(keepends=True),
                (text or "").splitlines(keepends=True),
                str(file),
                "the jobs in the code",
            )
    return lines


def _read(path: Path) -> str:
    """The file's text with its line ends; empty where there is no file. Raises `UsageError`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Choose another file") from None


def _say(plan: Plan, err: TextIO) -> None:
    for warning in plan.warnings:
        err.write(f"warning: {warning}\n")
    for refusal in plan.refusals:
        err.write(f"{refusal}\n")


def _refuse_namesakes(plan: Plan) -> None:
    """A job that became two entries has a second name, which may be another job's."""
    seen: dict[str, _items.Item] = {}
    for entry in list(plan.entries):
        if seen.setdefault(entry.name, entry.item) is not entry.item:
            plan.refuse(
                entry.item,
                f"{entry.name} is also the name of the second schedule of {seen[entry.name].name}",
                "give it another name",
            )
