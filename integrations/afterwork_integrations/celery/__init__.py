"""Celery as the engine: durable calls travel through a Celery queue, and Celery's workers run them.

```
from afterwork_integrations.celery import CeleryEngine

engine = CeleryEngine("amqp://guest:guest@localhost")     # or your own Celery app
work = Afterwork(engine=engine, store="postgresql://...")
celery = engine.worker(work)                              # celery -A main:celery worker
```

Needs `pip install 'afterwork[celery]'`, Celery 5.7 or newer, and RabbitMQ 3.10 or newer. Redis does
too, with `'afterwork[celery,redis]'`, but gives back a dead worker's calls only after an hour.
"""

from __future__ import annotations

try:
    from ._engine import CeleryEngine
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.celery needs Celery: pip install 'afterwork[celery]'"
    ) from error

__all__ = ["CeleryEngine"]
