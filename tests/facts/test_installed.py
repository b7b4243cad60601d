"""Libraries inside the release (`pip install --target lib`): whose file is whose, and what is recommended then."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from failback.diagnosis import diagnose
from failback.facts.installed import installed_in
from failback.model.evidence import Evidence, FailedStep, LogPair
from failback.targets.local.release_files import own_files

LOG = """Traceback (most recent call last):
  File "/srv/releases/ab12/shop/__init__.py", line 9, in <module>
    from flask import Flask
  File "/srv/releases/ab12/lib/flask/__init__.py", line 4, in <module>
    from . import json as json
  File "/srv/releases/ab12/lib/flask/app.py", line 30, in <module>
    from werkzeug.urls import url_quote
ImportError: cannot import name 'url_quote' from 'werkzeug.urls' (/srv/releases/ab12/lib/werkzeug/urls.py)
"""
FILES = (
    "lib/Flask-2.2.2.dist-info/METADATA",
    "lib/werkzeug-3.1.9.dist-info/METADATA",
    "lib/pricing.py",
    "requirements.txt",
    "shop/__init__.py",
)
EVIDENCE = Evidence(
    target="local",
    failed_step=FailedStep(1, "Deploy", "deploy"),
    exit_code=1,
    logs={"r2-1/app": LogPair(current=LOG)},
    release_files=FILES,
)


def test_a_trace_through_the_libraries_of_the_release_blames_their_versions():
    found = diagnose(EVIDENCE)

    fixes = " ".join(f"{fix.description} {fix.example}" for fix in found.recommendations if fix.priority == "HIGH")
    assert found.type == "version_incompatibility"
    assert "Werkzeug" in found.cause
    assert "Flask" in found.cause
    assert "The release holds Werkzeug 3.1.9 and Flask 2.2.2" in fixes
    assert "Werkzeug<3" in fixes


def test_an_own_module_that_stands_beside_them_is_still_the_applications():
    log = (
        LOG.replace("werkzeug.urls", "pricing")
        .replace("werkzeug/urls.py", "pricing.py")
        .replace("flask/app", "pricing")
    )

    found = diagnose(dataclasses.replace(EVIDENCE, logs={"r2-1/app": LogPair(current=log)}))

    assert found.type == "code_error"


def test_a_folder_without_metadata_holds_no_libraries():
    assert installed_in(["lib/werkzeug/urls.py"]).package_of("/srv/lib/werkzeug/urls.py") is None


def test_a_release_names_its_own_files_and_of_libraries_their_metadata_alone(tmp_path: Path):
    for name, text in {
        "shop/app.py": "",
        "lib/pricing.py": "",
        "lib/flask/app.py": "",
        "lib/Flask-2.2.2.dist-info/METADATA": "Name: Flask",
        "lib/Flask-2.2.2.dist-info/RECORD": "flask/app.py,sha256=x,1\nFlask-2.2.2.dist-info/METADATA,,\n",
        "node_modules/express/package.json": "{}",
        "node_modules/express/index.js": "",
        "vendor/symfony/console/Command.php": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert sorted(own_files(tmp_path)) == [
        "lib/Flask-2.2.2.dist-info/METADATA",
        "lib/pricing.py",
        "shop/app.py",
    ]
