"""QStash (Upstash): lets in what it has signed, and carries durable calls back to the app.

```
from afterwork_integrations.qstash import QStashEngine, QStashSignature

work = Afterwork(
    engine=QStashEngine.from_env(url="https://app.example/cron/work"),
    store="redis://...",
)
Mount("/cron", work.routes(verify=QStashSignature.from_env(url="https://app.example")))
```

    QStashSignature     a verifier; needs nothing but the standard library
    QStashEngine        an engine; needs `pip install 'afterwork[qstash]'`
"""

from __future__ import annotations

from ._engine import QStashEngine
from ._signature import PUBLISHED, QStashSignature

__all__ = ["PUBLISHED", "QStashEngine", "QStashSignature"]
