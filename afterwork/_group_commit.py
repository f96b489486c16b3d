"""Many small writes as one: what comes in while a transaction is on its way to the disk goes into
the next one, all together.

A write that reaches the disk costs the same for one row as for a hundred. So the more is to be
written at a time, the less each costs, and nobody waits for more than two transactions.
"""

from __future__ import annotations

import threading

from ._threadless import Turns, has_threads
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from queue import SimpleQueue
    from typing import Any, Generic, TypeVar

    from ._loop import Loop, Signal

    T = TypeVar("T")
    Begin = Callable[[str], AbstractContextManager[T]]
else:

    class Generic:
        """The same without the import of `typing`."""

        def __class_getitem__(cls, item):
            return cls

    T = None

MOST_AT_ONCE = 500
IDLE_SECONDS = 10.0


class Write(Generic[T]):
    """One write on its way."""

    __slots__ = ("answer", "call", "error", "loop", "signal", "then")

    def __init__(self, call: Callable[[T], Any]) -> None:
        self.call = call
        self.answer: Any = None
        self.error: BaseException | None = None
        self.loop: Loop | None = None
        self.signal: Signal | None = None
        self.then: Callable[[Write[T]], object] | None = None
        """Called in the writing thread once it is done or has failed. Must not raise."""


class GroupCommit(Generic[T]):
    """Writes to one file from one thread, which is there while there is something to write. Where
    there are no threads each write is alone, in a turn of the loop."""

    def __init__(self, begin: Begin[T], apply: Callable[[T, list[Write[T]]], None]) -> None:
        self._begin = begin
        self._apply = apply
        self._lock = threading.Lock()
        self._writes: SimpleQueue[Write[T]] | None = None
        self._thread: threading.Thread | None = None
        self._turns = None if has_threads() else Turns()

    async def write(self, call: Callable[[T], Any], loop: Loop) -> Any:
        """Calls `call` in a transaction with others, and returns what it returned once that is on
        the disk. Raises what it raised, or `StoreError`. Where the waiter is cancelled, the write
        is not."""
        write = Write(call)
        await self.begun(write, loop)
        if write.error is not None:
            raise write.error
        return write.answer

    async def begun(self, write: Write[T], loop: Loop) -> None:
        """Waits for a write that says itself what became of it."""
        write.loop = loop
        write.signal = loop.signal()
        self.submit(write)
        await write.signal.reached()

    def submit(self, write: Write[T]) -> None:
        """Takes a write in and does not wait for it."""
        if self._turns is not None:
            self._turns.submit(self._write_alone, write)
            return
        with self._lock:
            if self._writes is None:
                from queue import SimpleQueue

                self._writes = SimpleQueue()
            self._writes.put(write)
            # After a fork the thread is not there, although its object is.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="afterwork-journal")
                self._thread.daemon = True
                self._thread.start()

    def _run(self) -> None:
        from queue import Empty

        writes: Any = self._writes
        while True:
            try:
                batch = [writes.get(timeout=IDLE_SECONDS)]
            except Empty:
                with self._lock:
                    if writes.empty():
                        self._thread = None
                        return
                continue
            try:
                while len(batch) < MOST_AT_ONCE:
                    batch.append(writes.get_nowait())
            except Empty:
                pass
            self._commit(batch)
            _tell(batch)
            del batch  # or what it holds lives until the next

    def _write_alone(self, write: Write[T]) -> None:
        self._commit([write])
        _tell([write])

    def _commit(self, batch: list[Write[T]]) -> None:
        """Writes all together. Where one of them fails by itself, each by itself."""
        try:
            with self._begin("write down calls") as tables:
                self._apply(tables, batch)
        except StoreError as error:
            for write in batch:
                write.answer, write.error = None, error
        except BaseException as error:
            if len(batch) == 1:
                batch[0].answer, batch[0].error = None, error
                return
            for write in batch:
                self._commit([write])


def _tell(batch: list[Write[Any]]) -> None:
    waiting: dict[Loop, list[Signal]] = {}
    for write in batch:
        if write.then is not None:
            write.then(write)
        if write.loop is not None and write.signal is not None:
            waiting.setdefault(write.loop, []).append(write.signal)
    for loop, signals in waiting.items():
        try:
            loop.soon(_set_all, signals)
        except RuntimeError:
            pass  # the loop is closed, so nobody waits any more


def _set_all(signals: list[Signal]) -> None:
    for signal in signals:
        signal.set_here()
