"""The tutorial, typed in as it stands; and every link of every page leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from failback.executor.free_ports import free_port

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-deployment.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(300)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """Deployed, refused with 3 in the dark, fixed, rolled back, drilled, taken down."""
    listen = f"127.0.0.1:{free_port()}"
    env = os.environ | {
        "FAILBACK_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run(["sh", "-ec", blocks("sh")[0]], cwd=tmp_path, check=True)
    folder = tmp_path / "hello"
    (folder / "failback.yaml").write_text(blocks("yaml")[0].replace("127.0.0.1:8080", listen))
    server = folder / "web" / "server.py"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["failback", *arguments], cwd=folder, env=env, capture_output=True, text=True)

    def deploy(version: str) -> subprocess.CompletedProcess[str]:
        server.write_text(re.sub(r"VERSION = .*", f"VERSION = {version}", server.read_text()))
        return run("deploy", "--yes")

    try:
        assert run("plan").returncode == 0
        first = deploy('"1"')
        assert first.returncode == 0, first.stdout + first.stderr
        bad = deploy('2 + ""')
        assert bad.returncode == 3, bad.stdout + bad.stderr
        assert "server.py:3" in bad.stdout
        assert deploy('"2"').returncode == 0
        assert run("rollback", "hello", "--yes").returncode == 0
        assert run("drill", "--yes").returncode == 0
        assert run("explain").returncode == 0
    finally:
        down = run("down", "hello")
    assert down.returncode == 0, down.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", text)

    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert dead == []


def test_code_names_only_pages_that_exist() -> None:
    """A docstring or message that sends somebody to a page that is not there helps nobody."""
    named = set()
    for file in (ROOT / "src").rglob("*.py"):
        named |= set(re.findall(r"docs/[\w/-]+\.md", file.read_text(encoding="utf-8")))

    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
