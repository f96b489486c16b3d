"""Cloudflare Python Workers: the response leaves at once, and the Worker goes on until the work is
done.

```
from workers import WorkerEntrypoint, asgi
from afterwork_integrations.cloudflare import scheduled

app = work.wrap(Starlette(...))

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request, self.env, self.ctx)

    async def scheduled(self, controller, env, ctx):
        await scheduled(work, controller)
```

    Cloudflare      the host; found by itself, so name it only to set something
    scheduled       a Cron Trigger as runs of jobs
    CronEventError  a Cron Trigger whose jobs did not all succeed

Needs nothing: what it asks is in Cloudflare's runtime.
"""

from __future__ import annotations

from ._host import Cloudflare, detected
from ._scheduled import CronEventError, scheduled

__all__ = ["Cloudflare", "CronEventError", "detected", "scheduled"]
