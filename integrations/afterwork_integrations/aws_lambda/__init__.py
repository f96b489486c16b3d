"""AWS Lambda: the response leaves at once, and the work is done before Lambda freezes the process.

```
from afterwork_integrations.aws_lambda import Handler

app = work.wrap(Starlette(...))
handler = Handler(app)              # what the function's configuration names: main.handler
```

    Handler         a Lambda handler for an ASGI app, around Mangum
    WebAdapter      the same for an app that a server runs behind the Lambda Web Adapter
    LambdaHost      how one invocation's work outlives its response; both of the above make it
    JobEventError   a scheduled event whose job failed, for Lambda to try again

Both take part in the invocation as an internal extension, see
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html. Handler needs
`pip install 'afterwork[aws-lambda]'`.
"""

from __future__ import annotations

try:
    from ._handler import Handler
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.aws_lambda needs Mangum: pip install 'afterwork[aws-lambda]'"
    ) from error
from ._host import LambdaHost
from ._job_events import JobEventError
from ._web_adapter import WebAdapter

__all__ = ["Handler", "JobEventError", "LambdaHost", "WebAdapter"]
