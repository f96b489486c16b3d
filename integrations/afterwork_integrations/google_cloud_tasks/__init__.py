"""Google Cloud Tasks: carries durable calls back to the app.

```
from afterwork_integrations.google import GoogleOIDC
from afterwork_integrations.google_cloud_tasks import CloudTasksEngine

URL = "https://app.example/cron/work"
CALLER = "tasks@my-project.iam.gserviceaccount.com"

work = Afterwork(
    engine=CloudTasksEngine(
        "projects/my-project/locations/europe-west1/queues/afterwork",
        url=URL,
        service_account=CALLER,
    ),
    store="postgresql://...",
)
Mount("/cron", work.routes(verify=GoogleOIDC(audience=URL, service_account=CALLER)))
```

    CloudTasksEngine    an engine; needs `pip install 'afterwork[google-cloud-tasks]'`
"""

from __future__ import annotations

try:
    from ._engine import CloudTasksEngine
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.google_cloud_tasks needs google-auth and httpx: "
        "pip install 'afterwork[google-cloud-tasks]'"
    ) from error

__all__ = ["CloudTasksEngine"]
