"""A guard for servers that leave their workers without a SIGTERM handler.

hypercorn with two workers or more is one: as soon as one worker has ended, the parent sends SIGTERM
to the others, which die on the spot with all their work. Where no handler is installed when the app
has started, this one drains first and then lets the signal do what it would have done.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio

    from ._pipeline import Pipeline


class SigtermGuard:
    """Armed while the app runs, and only where nobody else handles SIGTERM."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.shutting_down = False
        """The server has begun to shut down in its own way, which will end the process."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._installed: object = None
        self._task: asyncio.Task[None] | None = None

    def arm(self) -> None:
        """Installs the handler, if this is an asyncio loop in the main thread without one."""
        import signal
        import threading

        from ._loop import current_loop

        loop = getattr(current_loop(), "loop", None)
        if loop is None or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        try:
            loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        except (NotImplementedError, RuntimeError, ValueError):
            return  # Windows, or a loop without signals
        self._loop = loop
        self._installed = signal.getsignal(signal.SIGTERM)

    def disarm(self) -> None:
        """Takes the handler away again."""
        loop, self._loop = self._loop, None
        if loop is not None:
            import signal

            if signal.getsignal(signal.SIGTERM) is self._installed:
                loop.remove_signal_handler(signal.SIGTERM)

    def _on_sigterm(self) -> None:
        if not self.shutting_down and self._task is None and self._loop is not None:
            self._task = self._loop.create_task(self._drain_and_die())

    async def _drain_and_die(self) -> None:
        import os
        import signal

        from ._closing import close
        from ._loop import current_loop

        loop = current_loop()
        assert loop is not None
        if self.pipeline.scheduler is not None:
            self.pipeline.scheduler.stop()
        await close(self.pipeline, loop, self.pipeline.settings.grace)
        if not self.shutting_down:
            self.disarm()
            os.kill(os.getpid(), signal.SIGTERM)
