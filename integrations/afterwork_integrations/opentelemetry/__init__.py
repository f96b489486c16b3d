"""OpenTelemetry: a span for every run, and metrics of all runs.

```
from afterwork_integrations.opentelemetry import metrics, spans

work = Afterwork(around=[spans()], reporters=[metrics()])
```

    spans       a value for `around=`
    metrics     a reporter

Needs `pip install 'afterwork[opentelemetry]'`.
"""

from __future__ import annotations

try:
    from ._metrics import metrics
    from ._spans import spans
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.opentelemetry needs OpenTelemetry's API: "
        "pip install 'afterwork[opentelemetry]'"
    ) from error

__all__ = ["metrics", "spans"]
