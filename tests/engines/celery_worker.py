"""Celery's own worker on the app of `afterwork.testing.engine_contract`."""

from __future__ import annotations

import os
import sys
from typing import Any, cast
from uuid import uuid4

from afterwork_integrations.celery import CeleryEngine
from celery import Celery, signals

from afterwork.testing._engine_process import App
from tests.services import rabbitmq_url, redis_url

HEARTBEAT = 2
VISIBILITY = 3.0


def on_rabbitmq(queue: str) -> CeleryEngine:
    """An engine that notices soon."""
    return CeleryEngine(rabbitmq_url(), queue, heartbeat=HEARTBEAT)


def on_quorum(queue: str) -> CeleryEngine:
    """The same with a replicated queue."""
    return CeleryEngine(rabbitmq_url(), queue, heartbeat=HEARTBEAT, quorum=True)


def on_redis(queue: str) -> CeleryEngine:
    """One that gives back after a few seconds, which is no setting to live with. The app is the
    user's own."""
    app = Celery("shop", broker=redis_url())
    app.conf.worker_enable_remote_control = False
    app.conf.broker_transport_options = {
        "visibility_timeout": VISIBILITY,
        "unacked_restore_interval": 1,
    }
    return CeleryEngine(app, queue)


def new_queue() -> str:
    """A name that no other test has."""
    return f"test-{uuid4().hex}"


def main(opener: str, queue: str, store: str, *options: str) -> None:
    """A worker in this process, until it is told to end."""
    app = App((opener, queue), store)
    engine = cast(Any, app.engine)
    celery = engine.worker(app.work)
    told = os.dup(1)
    os.dup2(2, 1)  # where Celery says hello

    def say_ready(**_: object) -> None:
        os.write(told, b"ready\n")

    signals.worker_ready.connect(say_ready, weak=False)
    celery.worker_main(["worker", "--loglevel", "INFO", *options])


if __name__ == "__main__":
    main(*sys.argv[1:])
