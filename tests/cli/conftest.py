from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.support import SHOP, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A shell in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("AFTERWORK", "VERCEL", "NO_COLOR", "FORCE_COLOR")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    shell = Shell(tmp_path, capsys)
    yield shell
    shell.forget()


@pytest.fixture
def shop(empty: Shell) -> Shell:
    """A shell in the folder of an app with a few jobs."""
    empty.write(SHOP)
    return empty
