"""Amazon SQS: carries durable calls to workers, or to AWS Lambda.

```
from afterwork_integrations.sqs import SQSEngine

work = Afterwork(
    engine=SQSEngine("https://sqs.eu-central-1.amazonaws.com/123456789012/afterwork"),
    store="postgresql://...",
)
```

    SQSEngine           an engine; needs `pip install 'afterwork[sqs]'`

On servers a worker takes calls out of the queue: `afterwork worker main:app`. On AWS Lambda the
queue invokes the function, whose `afterwork_integrations.aws_lambda.Handler(app, work)` gives the
event to the engine.
"""

from __future__ import annotations

try:
    from ._engine import SQSEngine
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.sqs needs botocore: pip install 'afterwork[sqs]'"
    ) from error

__all__ = ["SQSEngine"]
