"""A process that adds calls to a journal, one commit each, and says each that is on the disk, until
it is killed: `python -m tests.journal.crash FILE`."""

from __future__ import annotations

import sys

from afterwork import SQLiteStore
from afterwork.engines import Envelope


def main(path: str) -> None:
    store = SQLiteStore(path)
    store.open()
    number = 0
    while True:
        number += 1
        with store.journal("add") as tables:
            envelope = Envelope(id=f"{number:06}", job="job", payload=f'[["{"x" * 300}"], {{}}]')
            tables.add([(envelope, None)])
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
