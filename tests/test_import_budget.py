"""What a cold start pays."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROBE = """
import sys, json
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(statement: str) -> set[str]:
    probe = PROBE.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-I", "-c", probe], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement", ["import afterwork", "from afterwork import after, AfterMiddleware, Afterwork"]
)
def test_importing_loads_no_third_party_package_no_asyncio_and_nothing_slow(statement: str) -> None:
    """The time itself is measured in benchmarks/import_time.py; this is what makes it small."""
    loaded = loaded_by(statement)

    tops = {name.partition(".")[0] for name in loaded}
    assert tops <= {"afterwork", *sys.stdlib_module_names}
    slow = {"asyncio", "typing", "logging", "inspect", "dataclasses", "enum", "threading", "uuid"}
    assert not loaded & slow


def test_importing_the_package_alone_loads_a_handful_of_modules() -> None:
    assert len(loaded_by("import afterwork")) <= 3
