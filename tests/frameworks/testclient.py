"""Starlette's TestClient, which is imported from here.

Starlette warns at its import that `httpx` is deprecated for it in favour of a package that the
tests do not have; that is about how it is installed, and not about us.
"""

from __future__ import annotations

import warnings

from starlette.exceptions import StarletteDeprecationWarning

with warnings.catch_warnings():
    warnings.filterwarnings(
        "ignore",
        "Using `httpx` with `starlette.testclient` is deprecated",
        StarletteDeprecationWarning,
    )
    from starlette.testclient import TestClient as TestClient
