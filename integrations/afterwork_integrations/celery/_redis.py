"""Redis: what makes it lose nothing, and what it costs.

1. Redis does not notice that a worker died. Its calls are given back when they were delivered
   longer ago than `visibility_timeout`, by a worker that looks for such: by default every 100 s,
   here every 5.
2. So that timeout has to be longer than a call may lie in a worker: waiting for its time there, and
   running. It is refused where a job's `timeout` is more than half of it. A job without a timeout
   may be delivered again while it runs; the lease in the store keeps it from being started twice.
3. A delayed call waits in a worker's memory, as Celery's `eta`, at most a quarter of that time;
   then it goes back to the queue for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.entity import Exchange, Queue

from afterwork.engines import Capabilities
from afterwork.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

VISIBILITY = 3600.0
LOOKS_EACH = 5
"""Seconds between two looks for calls to give back."""
MOST_BETWEEN_LOOKS = 60.0
RESTART = 5.0
ETA_RESOLUTION = 1.0


class Redis:
    """How calls lie in Redis."""

    kind = "redis"
    served = False
    mandatory = False

    def __init__(self, name: str, visibility_timeout: float | None) -> None:
        self.queue = Queue(
            name, Exchange(name, type="direct", durable=True), routing_key=name, durable=True
        )
        self._asked = visibility_timeout
        self.visibility = VISIBILITY if visibility_timeout is None else visibility_timeout

    def transport_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The app's, with those that bring back a dead worker's calls. Raises
        `InvalidOptionError` where they are such that they would not come back in time."""
        options = {
            "visibility_timeout": self.visibility,
            "unacked_restore_interval": LOOKS_EACH,
            "unacked_restore_throttle": 1,
            **given,
        }
        if self._asked not in (None, options["visibility_timeout"]):
            raise InvalidOptionError(
                "visibility_timeout",
                f"that of the app's broker_transport_options, {options['visibility_timeout']}",
                self._asked,
            )
        self.visibility = options["visibility_timeout"]
        between = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
        if not 0 < between <= MOST_BETWEEN_LOOKS:
            raise InvalidOptionError(
                "broker_transport_options: unacked_restore_interval * unacked_restore_throttle",
                f"at most {MOST_BETWEEN_LOOKS:g} seconds, or a dead worker's calls wait so long",
                between,
            )
        return options

    def publishing(self, timeout: float) -> dict[str, Any]:
        """What a connection that publishes needs: an end to every wait."""
        return {"socket_timeout": timeout, "socket_connect_timeout": timeout}

    def place(self, seconds: float) -> tuple[Queue, float | None]:
        """The queue, and the seconds that a worker keeps a call that is due in so many."""
        return self.queue, None if seconds <= 0 else min(seconds, self.visibility / 4)

    def refusal(self, longest: float) -> str | None:
        """What stands in the way of a job with that timeout."""
        if 2 * longest <= self.visibility:
            return None
        return (
            f"a job has a timeout of {longest:g} s, and Redis would deliver its call again after "
            f"{self.visibility:g} s. Give the engine visibility_timeout={2 * longest:g} or more"
        )

    def capabilities(self, options: Mapping[str, Any], heartbeat: float) -> Capabilities:
        """With the settings as they are."""
        between = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
        return Capabilities(
            max_delay=self.visibility / 4,
            delay_resolution=ETA_RESOLUTION,
            survives="machine",
            recovery_seconds=self.visibility + between + RESTART,
        )
