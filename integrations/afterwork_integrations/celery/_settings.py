"""The settings of a Celery app without which it loses calls: forced where nobody chose otherwise,
refused where somebody did."""

from __future__ import annotations

from typing import Any

from afterwork.errors import InvalidOptionError

JSON = frozenset({"json", "application/json"})

QUIET = {
    "worker_prefetch_multiplier": 1,
    # Celery gives up after a hundred attempts, and the worker ends.
    "broker_connection_max_retries": None,
    "broker_connection_retry_on_startup": True,
    # A worker whose call RabbitMQ finds overdue loses its channel, and would end with it.
    "broker_channel_error_retry": True,
}
"""Set where the app does not set them."""


def of_its_own(queue: str, heartbeat: int) -> dict[str, Any]:
    """The settings of an app that the engine makes for itself."""
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_default_queue": queue,
        "task_ignore_result": True,
        "broker_heartbeat": heartbeat,
        # `celery inspect` and `celery control` talk to a queue that belongs to one worker alone: a
        # second one of the same name ends with RESOURCE_LOCKED, and so may one that was killed and
        # is started again.
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
    }


def force(app: Any) -> None:
    """Sets what is needed and not chosen. Raises `InvalidOptionError` for what is chosen and does
    not do."""
    conf = app.conf
    for name, value in QUIET.items():
        if not conf.value_set_for(name):
            conf[name] = value
    for name, expected, good in (
        ("worker_prefetch_multiplier", "1, or a long call holds others back", _is(1)),
        ("accept_content", "['json'], so that no message can run code", _only_json),
        ("task_protocol", "2", _is(2)),
        ("task_always_eager", "False, or nothing is durable", _is(False)),
    ):
        if not good(conf[name]):
            raise InvalidOptionError(f"the Celery app's {name}", expected, conf[name])


def kind_of_broker(app: Any) -> str:
    """`rabbitmq` or `redis`. Raises `InvalidOptionError` for any other."""
    kinds = {
        KINDS.get(scheme(url), scheme(url))
        for urls in (app.conf.broker_read_url, app.conf.broker_write_url)
        for url in addresses(urls)
    }
    if len(kinds) == 1 and kinds <= set(KINDS.values()):
        return kinds.pop()
    raise InvalidOptionError(
        "the broker", "RabbitMQ (amqp://) or Redis (redis://)", ", ".join(sorted(kinds))
    )


KINDS = {
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "pyamqp": "rabbitmq",
    "redis": "redis",
    "rediss": "redis",
}
"""Which URLs lead to which broker."""


def addresses(urls: Any) -> list[str]:
    """The URLs of a broker, of which there may be several."""
    listed = urls if isinstance(urls, (list, tuple)) else str(urls).split(";")
    return [str(url) for url in listed]


def scheme(url: str) -> str:
    """What kind of server a URL leads to. `amqp` is Celery's where none is said."""
    return url.partition("://")[0] if "://" in url else "amqp"


def _is(value: object) -> Any:
    return lambda given: given == value


def _only_json(given: Any) -> bool:
    return bool(given) and set(given) <= JSON
