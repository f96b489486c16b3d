"""The context managers that an app puts around every run (`around=`).

One that cannot be made or entered is left out, and one that fails as it is left is logged: none can
fail the run, nor swallow its error.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

from . import _events
from ._run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from ._settings import Around


def surround(arounds: tuple[Around, ...], run: Run) -> AbstractContextManager[object]:
    """What surrounds one attempt of a run, entered already; to be left with `with`."""
    if not arounds:
        return nullcontext()
    stack = ExitStack()
    for around in arounds:
        try:
            stack.enter_context(Guarded(around(run)))
        except Exception as error:
            _events.emit(_events.ERROR, "around.failed", error, around=repr(around), run=run.name)
    return stack


class Guarded:
    """A context manager whose leaving neither fails the run nor swallows its error."""

    __slots__ = ("manager",)

    def __init__(self, manager: AbstractContextManager[object]) -> None:
        self.manager = manager

    def __enter__(self) -> object:
        return self.manager.__enter__()

    def __exit__(self, *raised: Any) -> None:
        try:
            self.manager.__exit__(*raised)
        except Exception as error:
            if error is not raised[1]:
                _events.emit(_events.ERROR, "around.failed", error, around=repr(self.manager))
