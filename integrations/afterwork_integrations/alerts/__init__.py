"""Alerts when a job begins to fail and when it has recovered, and none in between.

```
from afterwork_integrations.alerts import Alerts, WebhookAlerts

store = SQLiteStore("afterwork.db")
work = Afterwork(store=store, reporters=[
    WebhookAlerts(os.environ["SLACK_WEBHOOK_URL"], store, format="slack", after=2),
    Alerts(store, on_failure=page, on_recovery=all_clear),
])
```

    Alerts              calls functions of yours
    WebhookAlerts       posts to a webhook: JSON, Slack or Discord
    Alert               what both tell

Whether a job is failing is kept in the store. So of all replicas one tells, and a restart repeats
nothing. A run that failed, timed out or was abandoned, and a slot that was missed, is a failure; a
success ends them; a run that was skipped or cancelled changes nothing. Store, functions and
webhooks are called in a thread of their own: none of them can touch a run.

Needs `pip install 'afterwork[alerts]'`.
"""

from __future__ import annotations

from ._alert import Alert
from ._hooks import Alerts

try:
    from ._webhook import WebhookAlerts
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.alerts needs httpx: pip install 'afterwork[alerts]'"
    ) from error

__all__ = ["Alert", "Alerts", "WebhookAlerts"]
