"""Taskiq on RabbitMQ as the engine: durable calls for all workers of a fleet, for async code.

```
from afterwork_integrations.taskiq import TaskiqEngine

work = Afterwork(engine=TaskiqEngine("amqp://user:password@host:5672/"), store=...)
```

Needs `pip install 'afterwork[taskiq]'`, and RabbitMQ 3.10 or newer.

1. What a worker had when it died is given to another as soon as RabbitMQ sees its connection end. A
   message is acknowledged when its run is over and what follows from it is kept, never before.
2. Queues are durable, messages persistent, and each is confirmed by the server.
3. Of Taskiq's brokers only `AioPikaBroker` is taken: its Redis list loses what a dead worker had,
   and its Redis stream gives it back only when new calls come.
"""

from __future__ import annotations

from . import _broker as _broker  # first: it says what to install
from ._engine import TaskiqEngine

__all__ = ["TaskiqEngine"]
