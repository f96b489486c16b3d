"""Docket on Redis as the engine: durable calls for all workers of a fleet that has Redis alone.

```
from afterwork_integrations.docket import DocketEngine

work = Afterwork(engine=DocketEngine("redis://localhost:6379/0"), store=...)
```

Needs `pip install 'afterwork[docket]'`, and Redis 6.2 or newer, or Valkey.

1. A worker renews the lease of what it runs. What a dead one had is taken over by any other,
   without new calls having to come.
2. What is over leaves Redis: neither the stream nor its list of workers grows.
3. Docket writes arguments with pickle, also the one text that is a call here. Whoever can write to
   that Redis can run code in the workers; it has to be one that only the app can reach.
"""

from __future__ import annotations

from . import _packages as _packages  # first: it says what to install
from ._engine import DocketEngine

__all__ = ["DocketEngine"]
