"""What does importing afterwork add to the start of a bare Python?"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.rounds import table

ROUNDS = 21
ROOT = Path(__file__).parents[1]

STATEMENTS = {
    "bare Python": "pass",
    "import afterwork": "import afterwork",
    "from afterwork import after, AfterMiddleware": (
        "from afterwork import after, AfterMiddleware"
    ),
    "AfterMiddleware(app), ready to serve": (
        "from afterwork import AfterMiddleware; AfterMiddleware(print)"
    ),
    "import asyncio": "import asyncio",
    "import starlette.background": "import starlette.background",
    "import asgi_background": "import asgi_background",
    "import aiojobs": "import aiojobs",
}


def seconds(statement: str) -> float:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for number in range(ROUNDS + 1):
        for name, statement in STATEMENTS.items():
            taken = seconds(statement)
            if number:
                times[name].append(taken)
    bare = statistics.median(times["bare Python"])
    fastest = min(times["bare Python"])
    rows = []
    for name, values in times.items():
        median, best = statistics.median(values), min(values)
        low, _, high = statistics.quantiles(values, n=4)
        cells = [f"{median * 1000:.1f}", f"±{(high - low) / 2 / median:.0%}"]
        added = [f"{(median - bare) * 1000:.1f}", f"{(best - fastest) * 1000:.1f}"]
        rows.append([name, *cells, *added])
    heads = ["a fresh process", "ms", "spread", "adds ms, median", "adds ms, best"]
    table("Import time", heads, rows)
    print("\nGoal: `import afterwork` adds at most 5 ms")


if __name__ == "__main__":
    main()
