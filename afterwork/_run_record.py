"""Writing down how a run ended."""

from __future__ import annotations

import time

from . import _events
from ._store import MAX_ERROR_LENGTH
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._dispatch import Dispatch
    from ._store import RunRecord

TRIES = 4
PAUSE_SECONDS = 0.2
"""Between two tries; it doubles."""


def write_end(dispatch: Dispatch, record: RunRecord) -> None:
    """Writes the end of a run, and says so where that cannot be done. Blocks; never raises."""
    answer = _write(dispatch, record)
    if isinstance(answer, Exception):
        dispatch.notices.say_each_minute(
            "store.error",
            _events.ERROR,
            answer,
            job=record.job,
            doing="record the end of",
            outcome=record.state,
        )
    elif not answer:
        _events.emit(
            _events.WARNING,
            "run.lease_lost",
            job=record.job,
            run_id=record.id,
            outcome=record.state,
            note="somebody else has ended this run's record; its outcome is only here",
        )


def _write(dispatch: Dispatch, record: RunRecord) -> bool | Exception:
    """The store's answer. After a try that failed nobody knows whether it was written, so then a
    "no" may well mean that it was."""
    failed = False
    pause = PAUSE_SECONDS
    left = TRIES
    while True:
        try:
            return dispatch.store().finish(record) or failed
        except StoreError as error:
            failed = True
            left -= 1
            if not left:
                return error
        except Exception as error:  # no store may raise it, so nobody knows what it means
            return error
        time.sleep(pause)
        pause *= 2


def describe(error: BaseException) -> str:
    """An error as records keep it: class and text, not too long."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    name = type(error).__qualname__
    return (f"{name}: {text}" if text else name)[:MAX_ERROR_LENGTH]
