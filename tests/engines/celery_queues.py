"""Takes away what an engine made on its broker."""

from __future__ import annotations

from afterwork_integrations.celery import CeleryEngine

LEVELS = 25


def drop_queues(engine: CeleryEngine) -> None:
    """Deletes all that an engine may have declared."""
    *_, name = engine.app.amqp.queues.consume_from  # last, behind those of an app of your own
    with engine.app.connection_for_write() as connection:
        channel = connection.channel()
        if connection.transport.driver_type == "redis":
            channel.client.delete(name, f"_kombu.binding.{name}")
            return
        channel.queue_delete(name)
        for level in range(LEVELS):
            channel.queue_delete(f"{name}.wait.{250 << level}")
        channel.exchange_delete(name)
