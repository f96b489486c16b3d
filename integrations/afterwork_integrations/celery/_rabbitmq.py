"""RabbitMQ: its queues, and where a call waits in them.

1. A message is written to disk and confirmed before the caller is told. One that no queue takes is
   an error.
2. A delayed call waits in the broker, in a queue `NAME.wait.MILLISECONDS` in which all messages
   have the same time to live. Then the broker moves it to the queue itself, and deletes it here
   only when it has arrived there (dead-lettering `at-least-once`). Each such queue waits twice as
   long as the one before; a delay is made of a few of them.
3. It never waits in a worker's memory, as with Celery's `eta`: there it would count as delivered,
   be overdue after RabbitMQ's half an hour, stand behind the long calls of that one worker, and not
   work with quorum queues. Celery's own delayed delivery does as here, in whole seconds and with 28
   queues from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.entity import Exchange, Queue

from afterwork.engines import Capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST = 250
"""Milliseconds in the first queue of those that wait. A call starts that much late at most."""
LEVELS = 25
"""With the last one of these, a message waits 48.5 days; RabbitMQ takes up to 49.7."""
LONGEST_CALL = 24 * 86_400_000
"""Milliseconds, nearly as many as RabbitMQ takes. A call is acknowledged when it is over, and by
default RabbitMQ cuts off a worker that has not done so after half an hour. Versions before 3.12 do
not know it: there `consumer_timeout` in rabbitmq.conf has to be above the longest call."""
MOST_DELIVERIES = 1000
"""RabbitMQ 4 drops a message of a quorum queue after 20 deliveries unless told otherwise. afterwork
itself gives up a call that kills its worker, and does not lose it then."""
SERVER_HEARTBEAT = 60.0
"""What RabbitMQ asks for by default; the lower one counts."""
RESTART = 5.0


class RabbitMQ:
    """How calls lie in RabbitMQ."""

    kind = "rabbitmq"
    served = True
    mandatory = True
    """A message that reaches no queue comes back instead of being dropped."""

    def __init__(self, name: str, *, quorum: bool) -> None:
        arguments: dict[str, Any] = {"x-consumer-timeout": LONGEST_CALL}
        if quorum:
            arguments |= {"x-queue-type": "quorum", "x-delivery-limit": MOST_DELIVERIES}
        # An exchange of its own keeps Celery from binding the queue to that of all its tasks.
        self.queue = Queue(
            name,
            Exchange(name, type="topic", durable=True),
            routing_key=name,
            durable=True,
            queue_arguments=arguments,
        )

    def transport_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The app's, which stay as they are."""
        return dict(given)

    def publishing(self, timeout: float) -> dict[str, Any]:
        """What a connection that publishes needs: confirms, and an end to every wait."""
        return {"confirm_publish": True, "read_timeout": timeout, "write_timeout": timeout}

    def place(self, seconds: float) -> tuple[Queue, float | None]:
        """The queue for a call that is due in so many seconds."""
        if seconds <= 0:
            return self.queue, None
        return self._waiting(wait_for(seconds)), None

    def _waiting(self, milliseconds: int) -> Queue:
        return Queue(
            f"{self.queue.name}.wait.{milliseconds}",
            Exchange(""),
            routing_key=f"{self.queue.name}.wait.{milliseconds}",
            durable=True,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": milliseconds,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.queue.name,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",  # at-least-once asks for it; there is no limit
            },
        )

    def refusal(self, longest: float) -> str | None:
        """What stands in the way of a job with that timeout: nothing."""
        return None

    def capabilities(self, options: Mapping[str, Any], heartbeat: float) -> Capabilities:
        """With the settings as they are."""
        notices = 2 * min(heartbeat, SERVER_HEARTBEAT) if heartbeat else None
        return Capabilities(
            delay_resolution=SHORTEST / 1000,
            survives="power",
            recovery_seconds=None if notices is None else notices + RESTART,
        )


def wait_for(seconds: float) -> int:
    """The longest wait, in milliseconds, that is over by then, or hardly after."""
    most = seconds * 1000 + SHORTEST
    level = LEVELS - 1
    while level and SHORTEST << level > most:
        level -= 1
    return SHORTEST << level
