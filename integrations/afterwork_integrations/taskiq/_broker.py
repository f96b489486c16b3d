"""The broker: the one that is made for a URL, and what one of the user's own has to be like.

What Taskiq's broker knows of its queues it keeps to itself, so its private attributes are read
here, and nowhere else.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from afterwork.errors import InvalidOptionError

from .._urls import without_password

try:
    from aio_pika import ExchangeType, connect_robust
    from taskiq import SimpleRetryMiddleware, SmartRetryMiddleware
    from taskiq.serializers import PickleSerializer
    from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType
except ImportError as error:
    raise ImportError(
        "afterwork_integrations.taskiq needs Taskiq and its RabbitMQ broker: "
        "pip install 'afterwork[taskiq]'"
    ) from error

TASK = "afterwork"
"""The name of the one task that carries envelopes."""
DEFAULT_URL = "amqp://guest:guest@localhost:5672"
"""Where a broker without a URL goes."""
HEARTBEAT_SECONDS = 15
"""After two that were missed RabbitMQ takes a connection for dead: a machine that lost its power
closes none."""
DEFAULT_HEARTBEAT_SECONDS = 60
"""That of a broker which does not say."""
RECONNECT_SECONDS = 1
NO_DELIVERY_LIMIT = 1_000_000
"""RabbitMQ 4 puts a message aside after 20 deliveries, where nobody would look for it. How often a
call may crash is afterwork's to count."""
WRONG_BROKERS = {
    "ListQueue": "a Redis list forgets what a dead worker had taken",
    "RedisStream": "its stream gives back what a dead worker had only when new calls come",
    "PubSub": "Redis keeps nothing for workers that are not there at the moment",
    "InMemory": "it keeps calls in this process alone",
}
WRONG_ARGUMENTS = {
    "x-message-ttl": "it drops calls that wait too long",
    "x-expires": "the queue is deleted while no worker is there",
}
LENGTHS = ("x-max-length", "x-max-length-bytes")
ONE_QUEUE = "Or give the URL instead of a broker: then all of this is set."


def make(url: str, queue: str, timeout: float) -> AioPikaBroker:
    """A broker with everything as it has to be. Raises `InvalidOptionError` for another URL."""
    if url.partition(":")[0] not in ("amqp", "amqps"):
        expected = "the URL of a RabbitMQ, such as amqp://user:password@host:5672/"
        raise InvalidOptionError("broker", expected, without_password(url))
    return AioPikaBroker(
        url,
        exchange=Exchange(name=queue, type=ExchangeType.DIRECT),
        task_queues=[Queue(name=queue, arguments={"x-delivery-limit": NO_DELIVERY_LIMIT})],
        dead_letter_queue=Queue(name=f"{queue}.rejected"),
        timeout=timeout,
        **_unless_in(url, heartbeat=HEARTBEAT_SECONDS, reconnect_interval=RECONNECT_SECONDS),
    )


def check(broker: Any) -> AioPikaBroker:
    """Raises `InvalidOptionError` for a broker that would lose work."""
    if not isinstance(broker, AioPikaBroker):
        kind = type(broker)
        why = [why for name, why in WRONG_BROKERS.items() if kind.__name__.startswith(name)]
        reason = f" ({why[0]})" if why else ""
        raise _refused(f"a URL of RabbitMQ or a taskiq_aio_pika.AioPikaBroker{reason}", kind)
    if isinstance(broker.serializer, PickleSerializer):
        raise _refused("a broker that does not unpickle what it is sent", broker.serializer)
    for middleware in broker.middlewares:
        if isinstance(middleware, SimpleRetryMiddleware | SmartRetryMiddleware):
            raise _refused("a broker without a retry middleware (retry is the job's)", middleware)
    if len(broker._task_queues) != 1:
        names = [queue.name for queue in broker._task_queues]
        raise _refused(
            "a broker with one queue, for afterwork alone: "
            "AioPikaBroker(url).with_queues(Queue(name='afterwork'))",
            names,
        )
    if not broker._exchange.durable or broker._exchange.auto_delete:
        raise _refused("a broker whose exchange is durable", broker._exchange)
    _check_queue(queue_of(broker))
    return broker


def _check_queue(queue: Queue) -> None:
    if not queue.durable or queue.auto_delete or queue.exclusive or not queue.declare:
        expected = (
            "a broker whose queue is declared, durable, and neither auto_delete nor exclusive"
        )
        raise _refused(expected, queue)
    if queue.type is QueueType.STREAM:
        raise _refused("a broker with a quorum or classic queue (a stream forgets nothing)", queue)
    if queue.consumer_arguments.get("no_ack"):
        raise _refused("a broker that acknowledges (no_ack loses what a dead worker had)", queue)
    for name, reason in WRONG_ARGUMENTS.items():
        if name in queue.arguments:
            raise _refused(f"a broker whose queue has no {name} ({reason})", queue)
    drops = any(name in queue.arguments for name in LENGTHS)
    if drops and queue.arguments.get("x-overflow") != "reject-publish":
        raise _refused("a broker whose full queue refuses: x-overflow = reject-publish", queue)


def queue_of(broker: AioPikaBroker) -> Queue:
    """The queue that calls lie in."""
    return broker._task_queues[0]


def take_at_most(broker: AioPikaBroker, count: int) -> None:
    """Has a worker take no more messages than it runs: what waits in it runs nowhere else."""
    broker._qos = count


def heartbeat(broker: AioPikaBroker) -> float:
    """Seconds between two signs of life on its connections, 0 for none."""
    asked = {**_query(broker.url or ""), **broker._conn_kwargs}.get("heartbeat")
    return DEFAULT_HEARTBEAT_SECONDS if asked is None else float(asked)


async def open_writer(broker: AioPikaBroker) -> None:
    """The sending half of a broker that was started before, and what it sends to."""
    connection = await connect_robust(broker.url, **broker._conn_kwargs)
    channel = await connection.channel()
    broker.write_conn, broker.write_channel = connection, channel
    await broker._declare_exchanges()
    await broker._declare_queues(channel)


async def open_reader(broker: AioPikaBroker) -> None:
    """The worker's half of a broker that was started without it."""
    connection = await connect_robust(broker.url, **broker._conn_kwargs)
    broker.read_conn, broker.read_channel = connection, await connection.channel()


def _unless_in(url: str, **values: Any) -> dict[str, Any]:
    given = _query(url)
    return {name: value for name, value in values.items() if name not in given}


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def _refused(expected: str, value: object) -> InvalidOptionError:
    return InvalidOptionError("broker", f"{expected}. {ONE_QUEUE}", value)
