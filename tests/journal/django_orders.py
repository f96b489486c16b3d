"""Durable calls in Django's transactions: prints the names of those that ran."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings

from afterwork import Afterwork, SQLiteStore, after
from afterwork.testing import drain
from tests.journal.support import durable, order


def main(folder: Path) -> None:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "shop.db"}
    settings.configure(DATABASES={"default": database})
    django.setup()
    from django.db import connection, transaction

    atomic: Any = transaction.atomic

    work = Afterwork(store=SQLiteStore(folder / "a.db"))
    job, seen = durable(work)

    class RollBackError(Exception):
        pass

    def handler() -> None:
        after(job, "auto", commit="default")
        with atomic():
            after(job, "committed", commit="default")
        for given in ("default", connection):
            try:
                with atomic():
                    after(job, "rolled back", commit=given)
                    raise RollBackError
            except RollBackError:
                pass
        with atomic():
            after(job, "outer", commit=connection)
            try:
                with atomic():
                    after(job, "inner", commit="default")
                    raise RollBackError
            except RollBackError:
                pass

    async def run() -> None:
        threaded: Any = sync_to_async(handler)
        await order(work, threaded)
        await drain()

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < 5, "nobody waits for what was rolled back"
    print(*sorted(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
