"""Redis as the store: claims, leases and run history for all replicas of an app.

```
from afterwork_integrations.redis import RedisStore

work = Afterwork(store=RedisStore("redis://localhost:6379/0", namespace="shop"))
```

Needs `pip install 'afterwork[redis]'`, and Redis 5 or newer, Valkey, or a cluster of either.

A claim is as safe as the server's memory. Have it written to disk (`appendonly yes`), or a restart
forgets who ran. A replica that takes over lacks what was not copied yet, so a slot may run twice in
that moment; where that is not acceptable take `afterwork_integrations.postgresql`.
"""

from __future__ import annotations

from ._store import RedisStore

__all__ = ["RedisStore"]
