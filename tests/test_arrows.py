"""Imports run downwards: a file imports only from rungs below its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "afterwork"

LADDER = [
    {
        "errors",
        "_asgi",
        "_clock",
        "_current",
        "_events",
        "_ids",
        "_outcome",
        "_response",
        "_sites",
        "_verify",
    },
    {
        "_kinds",
        "_threads",
        "_instants",
        "_cron_field",
        "_durations",
        "_store",
        "_secrets",
        "_credentials",
        "_local",
        "_codec_types",
        "_codec_classes",
        "_envelope",
        "_trace",
        "_redact",
    },
    {"_engine", "_codec"},
    {"_check", "_zones", "_cron_fields", "_keyring"},
    {"_bearer", "_retry", "_hosts", "_schedule", "_cron_words", "_cron_calendar"},
    {"_journal_schema"},
    {"_local_tables", "_sqlite_errors", "_sqlite_schema", "_journal_tables"},
    {"_local_steps", "_sqlite_file", "_sqlite_tables"},
    {"_local_store", "_sqlite_records"},
    {"_store_memory", "_store_sqlite", "stores", "verify"},
    {"_cron", "_every", "_slots", "_between", "_stores", "_catch_up", "_occurrence"},
    {"_options", "_detect", "_settings", "_work", "_ticket", "_notices", "_keeper"},
    {"_rate"},
    {"_job_policy"},
    {"_job"},
    {"_retry_codec", "_results"},
    {"_loop_asyncio", "_loop_trio"},
    {"_loop"},
    {"_run", "_queue", "_exchange", "_jobs", "_threadless"},
    {"_report", "_around", "_limit", "_closing", "_admission"},
    {"_run_record", "_open_store"},
    {"_job_ticket"},
    {"_callback_ticket", "_commit", "_delivery_ticket", "_durable_call"},
    {"_durable_ticket"},
    {"_group_commit"},
    {"_journal_writes"},
    {"_dead_letters", "_journal_ticket", "_journal_worker"},
    {"_hold", "_deliveries", "_journal"},
    {"_pipeline", "_durable_calls"},
    {"_dispatch"},
    {"_due", "_callers", "_housekeeping", "_once", "_serve", "_serving", "_status"},
    {"_health", "_arguments", "_answers"},
    {"_gate", "_request_body", "_run_page", "_work_page", "engines"},
    {"_scheduler"},
    {"_drain", "_sigterm"},
    {"_after", "_lifespan"},
    {"_middleware", "_routes", "_batches"},
    {"_afterwork"},
    {"export"},
    {"__init__", "testing", "cli"},
    {"__main__"},
]
RUNG = {name: height for height, rung in enumerate(LADDER) for name in rung}


def module_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports at run time, at the top or inside functions."""
    found = set()
    tree = ast.parse(path.read_text())
    skipped = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    depth = len(path.relative_to(ROOT).parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == depth and node not in skipped:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.split(".")[0] for name in names}
    return found


FILES = sorted(ROOT.rglob("*.py"))


def test_every_file_has_its_rung() -> None:
    assert {module_of(path) for path in FILES} == set(RUNG)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    name = module_of(path)
    for imported in imports(path):
        assert RUNG[imported] < RUNG[name], f"{name} imports {imported}"
