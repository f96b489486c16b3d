"""Steps of a job: what is finished is not run again.

1. A step that has returned is remembered with what it returned, until its call is over: through a
   crash of the worker, and through the attempts of the job's `Retry`.
2. A step that fails is not remembered. Its error is the job's, as if there were no step.
3. Steps are told apart by their order and their name. The same job has to come to the same steps.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, overload

from dbos import DBOS
from dbos import error as dbos_error

from afterwork.errors import PayloadError

__all__ = ["step", "sync_step"]

P = ParamSpec("P")
T = TypeVar("T")


class _Failed(dbos_error.DBOSWorkflowCancelledError):
    """DBOS would remember any other error, and raise it again instead of running the step."""


@overload
async def step(
    name: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
) -> T: ...
@overload
async def step(name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
async def step(name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Runs `fn(*args, **kwargs)` as a step of the job that is running, unless it is finished
    already: then it returns what it returned.

    For async jobs. `fn` may be sync; then it runs in a thread. What it returns goes through JSON,
    the first time too: a tuple comes back as a list. Raises `PayloadError` where JSON cannot say
    it; the step has run then, and runs again. A crash between the end of `fn` and the note of it,
    about a millisecond, runs it again.

    Where no DBOS worker runs the job (in a request, in tests, on another engine) it just calls
    `fn`. Two steps at a time (`asyncio.gather`) are fine, if they begin in the same order each
    time. A step inside a step is part of it. Where a job has changed its steps, calls from before
    fail with DBOS's `DBOSUnexpectedStepError`: give the changed job a new name.
    """
    if not _in_workflow():
        found = fn(*args, **kwargs)
        return await found if inspect.isawaitable(found) else found

    if inspect.iscoroutinefunction(fn):

        async def run() -> Any:
            try:
                return _plain(name, await fn(*args, **kwargs))
            except Exception as error:
                raise _Failed(str(error)) from error

        ran = DBOS.run_step_async({"name": name}, run)
    else:
        ran = DBOS.run_step_async({"name": name}, _sync_run(name, fn, args, kwargs))
    try:
        return await ran
    except _Failed as failed:
        raise _cause(failed) from None


def sync_step(name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for sync jobs, with a sync `fn`."""
    if not _in_workflow():
        return fn(*args, **kwargs)
    try:
        return DBOS.run_step({"name": name}, _sync_run(name, fn, args, kwargs))
    except _Failed as failed:
        raise _cause(failed) from None


def _sync_run(
    name: str, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], T]:
    def run() -> T:
        try:
            return _plain(name, fn(*args, **kwargs))
        except Exception as error:
            raise _Failed(str(error)) from error

    return run


def _in_workflow() -> bool:
    return DBOS.workflow_id is not None


def _plain(name: str, value: T) -> T:
    """What will be read from the note of it."""
    try:
        plain: T = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        where = f"what the step {name!r} returned"
        raise PayloadError(where, "what JSON can say", f"a {type(value).__name__}") from None
    return plain


def _cause(failed: _Failed) -> BaseException:
    assert failed.__cause__ is not None, "it is raised from what failed"
    return failed.__cause__
