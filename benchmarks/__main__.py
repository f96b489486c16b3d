"""The benchmarks, one after the other: `make bench`."""

from __future__ import annotations

import platform
import subprocess
import sys

QUESTIONS = ["request_overhead", "memory", "import_time", "latency", "scheduler", "durable"]

print(f"Python {platform.python_version()}, {platform.machine()}", flush=True)
for question in QUESTIONS:
    subprocess.run([sys.executable, "-m", f"benchmarks.{question}"], check=True)
