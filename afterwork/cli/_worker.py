"""`afterwork worker`: runs the app's durable calls as a process of its own, in the foreground.

1. The app is started and shut down around it, as on a server, so that its jobs have what it opens.
   Its scheduler stays off.
2. The first SIGINT or SIGTERM: no more is taken, and what runs may end within the setting `grace`;
   what is cut then is given back to the engine. The exit code is 0. A second signal cuts at once.
3. An engine that fails ends it, with exit code 1: whatever started it starts it again.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout

from . import _app, _log
from ._errors import OK, USAGE, Stop
from ._options import app_options, count, flag, json_option, option
from ._work import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .._dispatch import Dispatch
    from .._engine import Engine
    from .._loop import Loop
    from ._app import Found
    from ._output import Output

CUT_SECONDS = 1.0
"""How long the engine may take to have back what a second signal cut."""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "worker",
        help="run durable calls here until it is stopped",
        description="Takes calls of durable jobs out of the app's engine and runs them, with a "
        "line for each that ends. SIGINT and SIGTERM let what runs end within the setting `grace`, "
        "exit code 0; again, and it is cut. The app is started before and shut down after; its "
        "scheduler stays off (for that there is `afterwork work`). With --json: one document on "
        "each line.",
    )
    parser.add_argument("target", nargs="?", metavar="APP", help="as --app")
    option(
        parser,
        "--concurrency",
        metavar="N",
        read=count,
        about="how many calls run at a time; default: the setting `concurrency`",
    )
    flag(parser, "--no-lifespan", about="do not start and shut down the app around it")
    _log.log_option(parser)
    json_option(parser)
    app_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, out: Output) -> int:
    """Runs it."""
    import asyncio

    from .._closing import close
    from .._serving import Worker
    from ._here import Here

    if args.target is not None:
        args.app = args.target
    found = _app.find(args)
    dispatch = found.dispatch
    engine = _engine(found)
    settings = dispatch.pipeline.settings
    settings.reporters = (*settings.reporters, lambda run: tell(run, out))
    concurrency = args.concurrency or settings.concurrency
    here = Here(found, lifespan=found.app is not None and not args.no_lifespan)
    here.patience = 0

    async def main(loop: Loop) -> None:
        worker = Worker(dispatch, loop, concurrency)
        signalled = asyncio.Event()
        here.on_signal = signalled.set
        here.on_cut = lambda: loop.later(CUT_SECONDS, worker.cancel)
        out.say(_opening(found, engine, concurrency), "dim")
        waiting = asyncio.ensure_future(signalled.wait())
        await asyncio.wait({waiting, worker.task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        unfinished = sum(len(queue.unfinished()) for queue in dispatch.pipeline.queues)
        if unfinished:
            out.say(f"waiting up to {settings.grace:g} s for {unfinished} to end", "dim")
        await close(dispatch.pipeline, loop, settings.grace)
        if not worker.task.cancelled() and worker.task.done():
            worker.task.result()

    printed = redirect_stdout(sys.stderr) if out.json else nullcontext()
    with _log.streaming(args.log_level), printed:
        here.run(main)
    assert here.signalled is not None, "else it ended with its error"
    return here.signalled if here.was_cut else OK


def _engine(found: Found) -> Engine:
    """The engine that is served. Raises `Stop` where there is nothing to serve."""
    from .._serving import push_note

    dispatch: Dispatch = found.dispatch
    if not any(job.policy.durable for job in dispatch.jobs):
        raise Stop(
            USAGE,
            f"no job of {found.target} is durable, so no call would ever come.\n"
            "Register one so: @work.job(durable=True)",
        )
    engine = dispatch.durable.engine
    if engine.capabilities.mode == "push":
        raise Stop(USAGE, f"there is nothing to do for a worker: {push_note(engine.name)}")
    return engine


def _opening(found: Found, engine: Engine, concurrency: int) -> str:
    """What it serves, in one line."""
    names = [job.name for job in found.dispatch.jobs if job.policy.durable]
    queue = getattr(engine, "queue", None)
    of_queue = f", queue {queue}" if isinstance(queue, str) else ""
    return (
        f"serving {engine.name}{of_queue}: {', '.join(names)} of {found.target}, "
        f"{concurrency} at a time; stop with Ctrl+C"
    )
