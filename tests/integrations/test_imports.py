"""What an integration may import: the public face of afterwork, and helpers that are none."""

from __future__ import annotations

import ast
from pathlib import Path

import afterwork_integrations
import pytest

ROOT = Path(afterwork_integrations.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def run_time_imports(path: Path) -> list[tuple[int, str]]:
    """The level and the module of every import outside `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text())
    skipped = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node not in skipped:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.level, name) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_integration_imports_only_what_is_public_and_no_other_integration(path: Path) -> None:
    for level, module in run_time_imports(path):
        if level:
            assert module.startswith("_"), f"{path.name} imports the integration {module}"
        top, *rest = module.split(".")
        assert top != "afterwork_integrations", f"{path.name} imports {module}"
        if not level and top == "afterwork":
            assert not any(part.startswith("_") for part in rest), f"{path.name} imports {module}"
