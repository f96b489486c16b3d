from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract runs with and without a lifespan, unless a framework cannot do without."""
    if "lifespan" in metafunc.fixturenames and metafunc.cls is not None:
        choices = metafunc.cls.lifespans
        names = ["lifespan" if choice else "no-lifespan" for choice in choices]
        metafunc.parametrize("lifespan", choices, ids=names)
