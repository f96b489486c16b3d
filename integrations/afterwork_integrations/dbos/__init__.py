"""DBOS as the engine: durable calls whose finished steps are remembered, on SQLite or PostgreSQL.

```
from afterwork_integrations.dbos import DBOSEngine, step

work = Afterwork(engine=DBOSEngine("postgresql://app@localhost/shop"), store=...)

@work.job(durable=True, retry=Retry(5))
async def ship(order_id: int) -> None:
    label = await step("label", buy_label, order_id)     # not bought again after a crash
    await step("mail", send_mail, order_id, label)
```

Needs `pip install 'afterwork[dbos]'`. Its import takes a second or two.
"""

from __future__ import annotations

try:
    from ._engine import DBOSEngine
    from ._steps import step, sync_step
except ModuleNotFoundError as error:
    raise ImportError(
        "afterwork_integrations.dbos needs dbos: pip install 'afterwork[dbos]'"
    ) from error

__all__ = ["DBOSEngine", "step", "sync_step"]
