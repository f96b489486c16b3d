"""A script that serves itself and reloads. Its module is imported by the parent as `__main__`, and
by each child as `__mp_main__` and `reloading`: the job is registered three times."""

from __future__ import annotations

import sys

import uvicorn

from tests.schedules.clockwork import new_work, site

work = new_work()
app = work.wrap(site)

if __name__ == "__main__":
    uvicorn.run("reloading:app", port=int(sys.argv[1]), reload=True)
