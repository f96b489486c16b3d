"""Which app a command is about, and its `Afterwork`.

1. What is asked for goes first: `--app`, then `AFTERWORK_APP`. Then `pyproject.toml`: `app` of
   `[tool.afterwork]`, `entrypoint` of `[tool.fastapi]`. Then the first of the usual files that is
   there.
2. Three things can go wrong, and each is told as what it is: the file or name is not there; its
   import failed, with the traceback of the app's own code; there is no `Afterwork` in it, with what
   there is.
3. What an app prints while it is imported goes to stderr.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import FunctionType

from . import _import
from ._errors import NOT_FOUND, USAGE, Stop
from ._search import Findings, described, is_app

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from types import ModuleType
    from typing import Any

    from .._afterwork import Afterwork
    from .._dispatch import Dispatch
    from .._pipeline import Pipeline

USUAL = (
    *("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py"),
    *("src/main.py", "src/app.py", "asgi.py", "server.py"),
)
EXAMPLE = """\
    from afterwork import Afterwork

    work = Afterwork()

    @work.cron("0 3 * * *", timezone="Europe/Paris")
    async def nightly() -> None: ...

    app = work.wrap(app)        # after all other middleware"""


class Found:
    """An app and its `Afterwork`."""

    def __init__(
        self, work: Afterwork, findings: Findings, app: object, target: str, source: str
    ) -> None:
        self.work = work
        self.findings = findings
        self.app = app
        """The ASGI app; None where only an `Afterwork` was found."""
        self.target = target
        """As `--app` takes it: `main:app`."""
        self.source = source
        """Where the target came from, for people."""

    @property
    def dispatch(self) -> Dispatch:
        """The way to its jobs and its store."""
        return self.work.dispatch


def find(args: argparse.Namespace) -> Found:
    """The app that is meant. Its store is closed when the command is over. Raises `Stop`."""
    target, source, factory = _target(args)
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    with redirect_stdout(sys.stderr):
        module, name, attribute = _import.imported(target)
        value = _import.attribute(module, attribute, name) if attribute else None
        if factory:
            value = _import.made(value, name, attribute)
    args.found = _chosen(module, name, attribute, value, source)
    found: Found = args.found
    return found


def _target(args: argparse.Namespace) -> tuple[str, str, bool]:
    """The target, where it came from, and whether it is a factory."""
    if args.app:
        return args.app, "--app or AFTERWORK_APP", args.factory
    configured = _configured()
    if configured is not None:
        target, source, factory = configured
        return target, source, factory or args.factory
    for name in USUAL:
        if Path(name).is_file():
            return name, f"the file {name}", args.factory
    raise Stop(
        NOT_FOUND,
        f"there is no app in {os.getcwd()}: none of {', '.join(USUAL)}, and no pyproject.toml that "
        "names one.\n"
        "Go to the folder of your app, or say where it is:\n"
        "    afterwork list --app shop.main:app\n"
        "    AFTERWORK_APP=shop.main:app afterwork list\n"
        'or in pyproject.toml:  [tool.afterwork]  app = "shop.main:app"\n'
        "An app with a job looks like this:\n" + EXAMPLE,
    )


def _configured() -> tuple[str, str, bool] | None:
    """What `pyproject.toml` says."""
    try:
        text = Path("pyproject.toml").read_bytes().decode()
    except FileNotFoundError:
        return None
    import tomllib

    try:
        tool: Any = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise Stop(USAGE, f"pyproject.toml cannot be read: {error}.") from None
    for table, key in (("afterwork", "app"), ("fastapi", "entrypoint")):
        section = tool.get(table, {})
        if key in section:
            target, source = section[key], f"[tool.{table}] {key} in pyproject.toml"
            if not isinstance(target, str) or not target:
                raise Stop(USAGE, f"{source} is a text such as 'main:app'; it is {target!r}.")
            return target, source, section.get("factory") is True
    return None


def _chosen(module: ModuleType, name: str, attribute: str, value: Any, source: str) -> Found:
    """The `Afterwork` that is meant, out of what was found."""
    findings = Findings()
    if value is not None:
        findings.search(value)
    pipelines = _with_jobs(findings.pipelines)
    if not pipelines:
        # The Afterwork may stand beside the app that was named.
        for each in list(vars(module).values()):
            findings.search(each)
        pipelines = _with_jobs(findings.pipelines)
    pipelines = pipelines or findings.pipelines[:1]
    if not pipelines:
        raise Stop(NOT_FOUND, _nothing(module, name, attribute, value, findings))
    if len(pipelines) > 1:
        names = _names(module, pipelines)
        raise Stop(
            USAGE,
            f"{name!r} has several Afterworks with jobs{names and ': ' + names}.\n"
            f"Say which one: --app {name}:NAME",
        )
    app = value if is_app(value) else _app_of(module)
    target = f"{name}:{attribute or _name_of(module, app) or _names(module, pipelines)}"
    return Found(_around(pipelines[0]), findings, app, target.rstrip(":"), source)


def _with_jobs(pipelines: list[Pipeline]) -> list[Pipeline]:
    return [each for each in pipelines if each.dispatch is not None and len(each.dispatch.jobs)]


def _around(pipeline: Pipeline) -> Afterwork:
    """An `Afterwork` that is as good as the one which made the pipeline: it has no other state."""
    from .._afterwork import Afterwork

    work = Afterwork.__new__(Afterwork)
    work.pipeline = pipeline
    return work


def _app_of(module: ModuleType) -> object:
    named = [getattr(module, name, None) for name in ("app", "application", "api")]
    others = [
        value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, FunctionType)
    ]
    return next((value for value in (*named, *others) if is_app(value)), None)


def _name_of(module: ModuleType, value: object) -> str:
    found = (name for name, each in vars(module).items() if each is value and value is not None)
    return next(found, "")


def _names(module: ModuleType, pipelines: list[Pipeline]) -> str:
    from .._afterwork import Afterwork

    return ", ".join(
        name
        for name, value in vars(module).items()
        if isinstance(value, Afterwork) and value.pipeline in pipelines
    )


def _nothing(module: ModuleType, name: str, attribute: str, value: Any, findings: Findings) -> str:
    there = ", ".join(described(module)) or "nothing that could be an app"
    text = f"{name!r} was imported, and there is no Afterwork in it. There is: {there}.\n"
    if findings.bare:
        text += (
            "There is an AfterMiddleware, but no Afterwork was given to it, so it has no jobs.\n"
        )
    if callable(value) and not is_app(value):
        text += f"If {attribute!r} makes the app, say so: --factory\n"
    return f"{text}Add one beside the app, or say where it is with --app:\n{EXAMPLE}"
