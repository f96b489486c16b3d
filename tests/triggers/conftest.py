from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from .site import Site

Start: TypeAlias = Callable[..., Site]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("--workers 2", GRACE="1")`: a server for one test."""
    sites: list[Site] = []

    def start(options: str = "", **more: str) -> Site:
        sites.append(Site(tmp_path, options, **more))
        return sites[-1]

    yield start
    for site in sites:
        site.stop()
        print(site.log)  # shown where the test has failed


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for all the tests of a module that do not end it."""
    site = Site(tmp_path_factory.mktemp("shared"))
    yield site
    site.stop()


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    yield shared
    print(shared.log)  # shown where the test has failed
