"""PgQueuer as the engine: durable calls in a PostgreSQL database, for all machines of an app.

```
from afterwork_integrations.pgqueuer import PgQueuerEngine

work = Afterwork(engine=PgQueuerEngine("postgresql://app@localhost/shop"), store=...)
```

Needs `pip install 'afterwork[pgqueuer]'`, and PgQueuer's tables in the database: `pgq install`, or
`schema="apply"`.
"""

from __future__ import annotations

try:
    from ._engine import PgQueuerEngine
except ModuleNotFoundError as error:
    raise ImportError(
        "afterwork_integrations.pgqueuer needs pgqueuer and asyncpg: "
        "pip install 'afterwork[pgqueuer]'"
    ) from error

__all__ = ["PgQueuerEngine"]
