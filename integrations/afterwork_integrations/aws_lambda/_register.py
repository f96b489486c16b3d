"""Whether this process takes part in Lambda's invocations, and its one extension.

One per process: two handlers in it share the extension, since Lambda waits for each registered one
and only one of the handlers is called.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from threading import Lock

from ._extension import Extension, RegistrationError
from ._ledger import Ledger

_log = logging.getLogger("afterwork.aws_lambda")

_lock = Lock()
_extension: Extension | None = None


def freezes(environ: Mapping[str, str]) -> bool:
    """Whether Lambda freezes this process between invocations.

    Not on Lambda Managed Instances, where internal extensions are told of nothing
    (https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html), and Vercel, which
    runs on Lambda, has a way of its own.
    """
    return bool(
        environ.get("AWS_LAMBDA_RUNTIME_API")
        and not environ.get("AWS_LAMBDA_MAX_CONCURRENCY")
        and not environ.get("VERCEL")
        and environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "native-http"
    )


def register() -> Extension | None:
    """The extension of this process, registered when it is first asked for. None where there is
    none to have; why not is logged where that is a mistake."""
    global _extension
    with _lock:
        if _extension is None and freezes(os.environ):
            try:
                _extension = Extension(os.environ["AWS_LAMBDA_RUNTIME_API"], Ledger())
            except (RegistrationError, OSError) as error:
                _log.error(
                    "the extension could not be registered (%s), so clients wait for callbacks. "
                    "Make the Handler while its module is imported, not inside a function: "
                    "registering is closed once the first invocation is asked for",
                    error,
                )
        return _extension
