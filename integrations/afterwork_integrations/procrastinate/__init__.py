"""Procrastinate as the engine: durable calls in a PostgreSQL database, for all machines of an app.

```
from afterwork_integrations.procrastinate import ProcrastinateEngine

work = Afterwork(engine=ProcrastinateEngine("postgresql://app@localhost/shop"), store=...)
```

Needs `pip install 'afterwork[procrastinate]'`, and Procrastinate's tables in the database:
`procrastinate schema --apply`, or `schema="apply"`.
"""

from __future__ import annotations

try:
    from ._engine import ProcrastinateEngine
except ModuleNotFoundError as error:
    raise ImportError(
        "afterwork_integrations.procrastinate needs procrastinate 3: "
        "pip install 'afterwork[procrastinate]'"
    ) from error

__all__ = ["ProcrastinateEngine"]
