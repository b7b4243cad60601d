"""What ties a release to the folder it was built in, and what only looks like it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from failback.model.errors import ReleaseNotSelfContained
from failback.model.release import Finding
from failback.targets.local.releases_findings import self_contained


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan" / "app").mkdir(parents=True)
    return tmp_path / "plan"


@pytest.fixture
def app(plan: Path) -> Path:
    return plan / "app"


def look(app: Path, plan: Path, **options: list[str]) -> list[Finding]:
    return self_contained(app, plan, **options)


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_a_plain_release_is_self_contained(app: Path, plan: Path) -> None:
    (app / "main.py").write_text("print(1)")

    assert look(app, plan) == []


def test_a_link_into_the_plans_folder(app: Path, plan: Path) -> None:
    (plan / "node_modules").mkdir()
    (app / "node_modules").symlink_to(plan / "node_modules")

    finding = look(app, plan)[0]

    assert (finding.subject, finding.blocking) == ("node_modules", True)
    assert "relative link" in finding.remedy


def test_an_absolute_link_into_the_release_itself(app: Path, plan: Path) -> None:
    """It looks like a link inside, and after the copy still leads to the source."""
    (app / "real").write_text("x")
    (app / "link").symlink_to(app / "real")

    assert [finding.subject for finding in look(app, plan)] == ["link"]


def test_a_relative_link_that_leads_out(app: Path, plan: Path) -> None:
    """Once copied it would lead to nothing, or to something else."""
    (plan / "lib").mkdir()
    (app / "lib").symlink_to("../lib")

    assert "leads out of the release" in look(app, plan)[0].message


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("current", "versions/2"),
        ("node_modules/.bin/tool", "../tool/cli.js"),
        ("a/b/c", "../../main.py"),
        ("zone", "/usr/share/zoneinfo"),
        ("dangling", "not/there/yet"),
        ("self", "."),
    ],
)
def test_links_that_stay_inside_or_lead_to_the_system_are_fine(app: Path, plan: Path, link: str, target: str) -> None:
    (app / link).parent.mkdir(parents=True, exist_ok=True)
    (app / link).symlink_to(target)

    assert look(app, plan) == []


def test_a_real_virtual_environment_is_told_once_and_with_the_remedy(app: Path, plan: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(app / ".venv")], check=True)

    findings = look(app, plan)

    assert [finding.subject for finding in findings] == [".venv"]
    assert "pip install --target" in findings[0].remedy


def test_a_virtual_environment_that_is_left_out_is_no_part_of_the_release(app: Path, plan: Path) -> None:
    (app / ".venv").mkdir()
    (app / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")

    assert look(app, plan)
    assert look(app, plan, exclude=[".venv"]) == []


def test_a_release_that_is_itself_a_home_of_failback(app: Path, plan: Path) -> None:
    (app / "failback.db").write_text("")

    assert "the key of its backups" in look(app, plan)[0].message


def test_a_release_that_is_itself_a_virtual_environment(app: Path, plan: Path) -> None:
    (app / "pyvenv.cfg").write_text("home = /usr/bin\n")
    script(app / "bin" / "tool", f"#!{app}/bin/python\n")

    assert "is a virtual environment" in look(app, plan)[-1].message


def test_a_script_run_by_the_plans_interpreter(app: Path, plan: Path) -> None:
    """What `pip install --target` writes when pip itself runs from a virtual environment in the plan's folder."""
    script(app / "vendor" / "bin" / "gunicorn", f"#!{plan}/.venv/bin/python3\nimport gunicorn\n")

    finding = look(app, plan)[0]

    assert finding.subject == "vendor/bin/gunicorn"
    assert "python3 -m" in finding.remedy


def test_a_script_run_by_way_of_env(app: Path, plan: Path) -> None:
    script(app / "tool", f"#!/usr/bin/env -S {plan}/.venv/bin/python3 -u\n")

    assert look(app, plan)


def test_a_script_with_a_long_interpreter_path(app: Path, plan: Path) -> None:
    """Where the path is longer than a kernel takes, installers put it into the second line."""
    script(app / "tool", f"#!/bin/sh\n'''exec' {plan}/.venv/bin/python \"$0\" \"$@\"\n' '''\nimport tool\n")

    assert "in the plan's folder" in look(app, plan)[0].message


@pytest.mark.parametrize(
    "first",
    ["#!/usr/bin/env python3", "#!/bin/sh", "#!/usr/bin/python3 -u", "#!/usr/bin/env -S node --no-warnings", "\x7fELF"],
)
def test_scripts_of_the_system_are_fine(app: Path, plan: Path, first: str) -> None:
    script(app / "tool", f"{first}\n# made in {plan}\n")

    assert look(app, plan) == []


def test_a_text_about_the_plans_folder_is_fine(app: Path, plan: Path) -> None:
    """The look-alike: it is not executable, so nobody runs it by its first line."""
    (app / "README").write_text(f"#!{plan}/.venv/bin/python3\n")

    assert look(app, plan) == []


@pytest.mark.parametrize("sibling", ["plan-two", "plan2"])
def test_a_folder_whose_name_only_begins_alike_is_fine(app: Path, plan: Path, sibling: str) -> None:
    script(app / "tool", f"#!{plan.parent / sibling}/bin/python\n")
    (app / "link").symlink_to(plan.parent / sibling)

    assert look(app, plan) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vendor/__editable__.shop-1.0.pth", "{plan}/src\n"),
        ("vendor/easy-install.pth", "./x\n{plan}/src/shop\n"),
        ("vendor/shop.egg-link", "{plan}/src\n."),
        ("vendor/__editable___shop_1_0_finder.py", "MAPPING: dict[str, str] = {{'shop': '{plan}/src/shop'}}\n"),
    ],
)
def test_editable_packages(app: Path, plan: Path, name: str, text: str) -> None:
    (app / "vendor").mkdir()
    (app / name).write_text(text.format(plan=plan))

    assert "pip install --target vendor ." in look(app, plan)[0].remedy


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vendor/distutils-precedence.pth", "import os; var = 'SETUPTOOLS_USE_DISTUTILS'\n"),
        ("vendor/namespace.pth", "google\n"),
        ("vendor/shop-1.0.dist-info/direct_url.json", '{{"url": "file://{plan}/src"}}'),
        ("vendor/shop-1.0.dist-info/RECORD", "{plan}/src/x.py,,\n"),
        ("settings.py", "ROOT = '{plan}'\n"),
    ],
)
def test_files_that_only_mention_it_are_fine(app: Path, plan: Path, name: str, text: str) -> None:
    """Where a package came from is told in its metadata, and read by nobody who runs it."""
    (app / name).parent.mkdir(parents=True, exist_ok=True)
    (app / name).write_text(text.format(plan=plan))

    assert look(app, plan) == []


def test_a_release_outside_of_the_plans_folder_is_tied_to_where_it_was_built(tmp_path: Path, plan: Path) -> None:
    """`path: /build/out` : the next build changes that folder just the same."""
    out = tmp_path / "out"
    script(out / "bin" / "tool", f"#!{out}/python/bin/python3\n")

    assert look(out, plan)


def test_shared_folders_are_no_part_of_the_release(app: Path, plan: Path) -> None:
    (app / "data").symlink_to(plan / "data")

    assert look(app, plan, shared=["data"]) == []


def test_no_more_is_told_than_a_person_reads(app: Path, plan: Path) -> None:
    for number in range(100):
        (app / f"link{number}").symlink_to(plan / "x")

    assert len(look(app, plan)) == 20


def test_a_folder_that_cannot_be_read_is_said(plan: Path) -> None:
    with pytest.raises(ReleaseNotSelfContained, match="cannot be read"):
        look(plan / "nothing", plan)
