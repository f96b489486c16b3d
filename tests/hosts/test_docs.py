"""What docs/hosts.md shows works, and its tables are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from afterwork_integrations.cloudflare import Cloudflare

from afterwork._detect import TABLE
from afterwork._settings import DEFAULT_GRACE_SECONDS, NAMES
from afterwork.testing.host_contract import HostContract

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hosts.md").read_text()
BLOCKS = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)


class Context:
    """A Worker's, as far as the host asks."""

    def waitUntil(self, work: object) -> None: ...


def test_the_hosts_of_the_page_pass_the_contract_when_pasted(tmp_path: Path) -> None:
    """A user's own, in ten lines."""
    for name, text in BLOCKS:
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    mode = ["-o", "asyncio_mode=auto", f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [*command, *mode, "test_my_host.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )

    rules = [name for name in vars(HostContract) if name.startswith("test_")]
    assert f"{len(rules)} passed" in done.stdout, done.stdout + done.stderr


def test_it_has_ten_lines_at_most() -> None:
    lines = [line for line in dict(BLOCKS)["my_host.py"].splitlines() if line.strip()]
    assert len(lines) <= 10


def test_its_platforms_have_the_mode_that_is_found() -> None:
    listed = set(re.findall(r"^\| [^|]+ \| `([\w-]+)` \| `(\w+)` \|", PAGE, re.MULTILINE))
    known = {(info.name, info.mode) for _, _, info in TABLE}
    known.add(("cloudflare", Cloudflare(Context()).info.mode))
    assert len(listed) == 12
    assert listed <= known


def test_its_settings_exist() -> None:
    own = {"max_seconds", "lifespan_is_process", "margin", "asyncio_mode", "host"}
    named = set(re.findall(r"\b([a-z_]+)=", PAGE))
    assert named - own <= set(NAMES)


def test_every_platform_has_its_section() -> None:
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    platforms = ["Kubernetes", "Fly", "Render", "Heroku", "DigitalOcean", "Vercel", "Modal"]
    assert {*platforms, "Cloud Run", "Azure Functions", "Cloudflare"} <= set(sections)


def test_every_grace_that_is_suggested_is_shorter_than_what_the_platform_grants() -> None:
    section = PAGE.partition("## How long a shutdown may take")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+)[^|]*\|[^|]*\|([^|]*)\|$", section, re.MULTILINE)
    checked = []
    for platform, seconds, then in rows:
        graces = [float(each) for each in re.findall(r"`grace=(\d+)`", then)]
        if "default `grace` fits" in then:
            graces.append(DEFAULT_GRACE_SECONDS)
        assert all(grace + 1 <= float(seconds) for grace in graces), platform
        checked += [platform] if graces else []
    assert {"Kubernetes", "Render", "Heroku", "Cloud Run", "Fly"} < set(checked)
