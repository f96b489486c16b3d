"""Events: one line per thing that happened, with a constant name and fields.

They go to structlog where the app has configured it, else to `logging.getLogger("afterwork")`.
Neither is imported before the first event, structlog never: an app that wants it has imported it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

DEBUG = 10
INFO = 20
WARNING = 30
ERROR = 40

METHODS = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}

_logger: Logger | None = None


def wanted(level: int) -> bool:
    """Whether an event of that level would be written, so that a silent one costs nothing more."""
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        return True
    return (_logger or _stdlib()).isEnabledFor(level)


def emit(level: int, event: str, error: BaseException | None = None, **fields: Any) -> None:
    """Writes an event. A logging set-up that raises is not allowed to stop the work."""
    fields = {name: value for name, value in fields.items() if value is not None}
    try:
        structlog = _structlog()
        if structlog is None:
            _stdlib().log(
                level,
                "%s%s",
                event,
                "".join(f" {name}={value!r}" for name, value in fields.items()),
                exc_info=error,
                extra={"event": event, "afterwork": fields},
            )
        else:
            if error is not None:
                fields["exc_info"] = error
            getattr(structlog.get_logger("afterwork"), METHODS[level])(event, **fields)
    except Exception as failure:
        sys.stderr.write(f"afterwork: {event} could not be logged: {failure!r}\n")


def _structlog() -> Any:
    structlog = sys.modules.get("structlog")
    return structlog if structlog is not None and structlog.is_configured() else None


def _stdlib() -> Logger:
    global _logger
    if _logger is None:
        import logging

        _logger = logging.getLogger("afterwork")
    return _logger
