"""PostgreSQL as the store: claims, leases and run history for all replicas of an app.

```
from afterwork_integrations.postgresql import PostgreSQLStore

work = Afterwork(store=PostgreSQLStore("postgresql://app@localhost/shop"))
```

Needs `pip install 'afterwork[postgresql]'`, and PostgreSQL 12 or newer. It works through a pooler
that gives out connections per transaction, such as pgbouncer: nothing is kept in a session.
"""

from __future__ import annotations

from ._store import PostgreSQLStore

__all__ = ["PostgreSQLStore"]
