"""What you need to write a store of your own: the protocol and the records that go through it.

```
from afterwork.stores import Claim, RunRecord, Store
```

Run the contract suite of `afterwork.testing.store_contract` against it.
"""

from __future__ import annotations

from ._store import (
    CLAIMED,
    DIED,
    FAILURES,
    LEASE_LOST,
    LIVE,
    MAX_ERROR_LENGTH,
    NEWER_WAITS,
    REOPENABLE,
    RUNNING,
    Claim,
    JobState,
    Lease,
    Pause,
    RunRecord,
    Store,
    kept_error,
)

__all__ = [
    "CLAIMED",
    "DIED",
    "FAILURES",
    "LEASE_LOST",
    "LIVE",
    "MAX_ERROR_LENGTH",
    "NEWER_WAITS",
    "REOPENABLE",
    "RUNNING",
    "Claim",
    "JobState",
    "Lease",
    "Pause",
    "RunRecord",
    "Store",
    "kept_error",
]
