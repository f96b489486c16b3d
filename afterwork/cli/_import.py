"""Imports the module of an app, and tells apart what can go wrong: it is not there, or its own code
raised."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from ._errors import FAILED, NOT_FOUND, USAGE, Stop
from ._search import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def imported(target: str) -> tuple[ModuleType, str, str]:
    """The module of a target, its name, and the name in it."""
    name, _, attribute = target.partition(":")
    if name.endswith(".py") or "/" in name or os.sep in name:
        name = _module_of(Path(name))
    parts = [*name.split("."), *(attribute.split(".") if attribute else ())]
    if not all(part.isidentifier() for part in parts):
        raise Stop(
            USAGE, f"an app is MODULE:NAME, such as main:app, or a file; this is {target!r}."
        )
    try:
        return import_module(name), name, attribute
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise Stop(
                NOT_FOUND,
                f"there is no module {error.name!r} in {os.getcwd()} or on the path of "
                f"{sys.executable}.\nSay which one it is: --app MODULE:NAME",
            ) from None
        raise _failed(name, error) from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from None


def _module_of(path: Path) -> str:
    """The name under which a file is imported; its folder, or that of its outermost package, is put
    on the path."""
    if not path.is_file():
        raise Stop(NOT_FOUND, f"there is no file {str(path)!r} in {os.getcwd()}.")
    path = path.resolve()
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return ".".join(parts)


def _failed(name: str, error: BaseException) -> Stop:
    """The import ran the app's own code, and that raised."""
    import traceback

    trace = error.__traceback__
    while trace is not None and (
        trace.tb_frame.f_globals.get("__package__") == __package__
        or trace.tb_frame.f_code.co_filename.startswith("<frozen importlib")
        # Also of those that hook into it, such as beartype's `claw._importlib`.
        or "importlib" in trace.tb_frame.f_globals.get("__name__", "")
    ):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    what = "ended the program" if isinstance(error, SystemExit) else "raised"
    return Stop(
        FAILED,
        f"the module {name!r} was found, and its import {what}: see above. That is the "
        "app's own code; run it with\n"
        f"    {Path(sys.executable).name} -c 'import {name}'",
        before=text,
    )


def attribute(module: ModuleType, attribute: str, name: str) -> Any:
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            there = ", ".join(described(module)) or "nothing that could be an app"
            raise Stop(
                NOT_FOUND,
                f"{name!r} was imported, and there is no {attribute!r} in it.\nThere is: {there}.",
            )
        value = getattr(value, part)
    return value


def made(value: Any, name: str, attribute: str) -> Any:
    if not callable(value):
        raise Stop(
            USAGE,
            f"--factory needs a function that makes the app, as in --app {name}:create_app; "
            f"{attribute or 'no name'} is none.",
        )
    try:
        return value()
    except Exception as error:
        raise _failed(name, error) from None
