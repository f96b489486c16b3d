"""The real curl: what crontabs, GitHub Actions, pg_cron and people at a terminal use."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed, so nothing is proven")


@dataclass(frozen=True)
class Answer:
    """What came back. The names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def curl(*arguments: str) -> Answer:
    """One call. It follows no redirect unless it is told to (`-L`)."""
    assert CURL is not None
    # First of all -q: the machine's .curlrc is none of our business.
    command = [CURL, "-q", "-sS", "-i", "--noproxy", "*", "--max-time", "10", *arguments]
    output = subprocess.run(command, capture_output=True, check=True, timeout=15).stdout
    head, _, body = output.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    return Answer(int(first.split()[1]), headers, body)
