"""Who may see what of a home: nobody but its user, and of releases whoever runs them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from failback.executor.home import Home
from failback.executor.store import Store
from failback.targets.local.releases import ReleaseStore


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_way_to_releases_is_open_and_only_for_root(tmp_path: Path) -> None:
    """A web server that root starts and that becomes another user has to read its own files. Others have no way in."""
    home = Home.at(tmp_path / "home")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.html").write_text("hello")

    home.prepare()
    Store(home.database).close()
    staged = ReleaseStore(home.service("shop") / "releases").stage(tmp_path / "app")

    way = 0o711 if os.geteuid() == 0 else 0o700
    assert {mode(folder) for folder in (home.root, home.root / "services", staged.path.parent)} == {way}
    assert mode(staged.path) == 0o755
    assert mode(staged.path / "index.html") & 0o044 == 0o044
    closed = [home.locks, home.root / "executions", home.root / "logs"]
    assert {mode(folder) for folder in closed} == {0o700}
    assert mode(home.database) == mode(home.workflows) == 0o600


def test_a_home_that_was_open_is_closed_by_the_next_command(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.prepare()
    home.locks.chmod(0o755)
    home.root.chmod(0o755)

    home.prepare()

    assert mode(home.locks) == 0o700
    assert mode(home.root) & 0o066 == 0
