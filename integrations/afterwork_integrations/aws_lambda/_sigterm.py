"""SIGTERM: how Lambda says that it ends the process, half a second before it does.

It is sent where an extension is registered. The main thread usually waits for the next event inside
the runtime's C code, where no Python handler runs. What does work there is a wake-up descriptor,
which the interpreter's own C handler writes to, and a thread that reads it.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from threading import Thread, current_thread, main_thread


def on_sigterm(end: Callable[[], None]) -> Callable[[], None] | None:
    """Calls `end`, in a thread, at the first SIGTERM. Returns what undoes this; None where the
    signal is not ours to handle, because the app does it or this is not the main thread."""
    if current_thread() is not main_thread():
        return None
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return None
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    if before != -1:
        signal.set_wakeup_fd(before)
        ours.close()
        theirs.close()
        return None
    signal.signal(signal.SIGTERM, _wake)

    def watch() -> None:
        while number := ours.recv(1):
            if number[0] == signal.SIGTERM:
                end()
                break
        ours.close()

    def undo() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        theirs.close()
        thread.join()

    thread = Thread(target=watch, name="afterwork-sigterm", daemon=True)
    thread.start()
    return undo


def _wake(number: int, frame: object) -> None:
    """Only that there is a handler makes the interpreter write to the descriptor."""
