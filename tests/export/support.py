"""Exports as a person at the command line would make them."""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from afterwork import Afterwork, export
from afterwork.export import _run
from afterwork.export._plan import Plan
from afterwork.testing import FakeClock

URL = "https://app.example.com/api/cron"
NEEDS_NO_URL = ("railway", "render")
NOW = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class Result:
    code: int
    out: str
    err: str


@dataclass
class App:
    """An app whose jobs do nothing."""

    work: Afterwork = field(
        default_factory=lambda: Afterwork(store="memory:", clock=FakeClock(NOW), scheduler=False)
    )

    def cron(self, name: str, expression: str, **options: Any) -> App:
        self.work.cron(expression, name=name, **options)(nothing)
        return self

    def every(self, name: str, interval: str, **options: Any) -> App:
        self.work.every(interval, name=name, **options)(nothing)
        return self

    def export(self, *words: str) -> Result:
        out, err = io.StringIO(), io.StringIO()
        try:
            args = parse(*words)
        except SystemExit:
            return Result(2, "", "usage")
        return Result(export.run(self.work, args, out, err), out.getvalue(), err.getvalue())

    def plan(self, *words: str) -> Plan:
        return _run.planned(self.work, parse(*words))[1]


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    given = list(words)
    if "--url" not in given and given[0] not in NEEDS_NO_URL:
        given += ["--url", URL]
    return parser.parse_args(given)


def nothing() -> None:
    """What all jobs here do."""


def shop(**options: Any) -> App:
    """Jobs that every target can express."""
    app = App()
    app.cron("nightly", "30 3 * * *", timeout=600, **options)
    app.cron("weekly.report", "15 9 * * MON-FRI", **options)
    app.every("Prune_cache", "10m", jitter=120, **options)
    return app.cron("monthly", "5 6 1,15 jan-jun *", **options)
