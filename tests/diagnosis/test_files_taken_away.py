"""A file that is missing because this very release took it away: the cause says so, the fix brings its content back."""

from __future__ import annotations

from failback.diagnosis import diagnose
from failback.model.diagnosis import Diagnosis, FailureType
from failback.model.evidence_form import evidence_from_dict

LOG = """\
Traceback (most recent call last):
  File "/app/app.py", line 2, in <module>
    settings = json.load(open("config/web.json"))
FileNotFoundError: [Errno 2] No such file or directory: 'config/web.json'
"""


def said(change: str) -> Diagnosis:
    step = {"number": 1, "name": "Deploy", "type": "deploy"}
    logs = {"web-1/app": {"current": LOG}}
    return diagnose(evidence_from_dict({"failed_step": step, "target": "local", "logs": logs, "change": change}))


def test_the_cause_says_it_and_the_fix_has_the_former_content() -> None:
    found = said('--- a/config/web.json\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-{\n-"port": 8080}\n')

    assert found.type is FailureType.MISSING_FILE
    assert "this release no longer has it" in found.cause
    first = found.recommendations[0]
    assert first.action == "Add config/web.json back: the last good release had it"
    assert first.example == "mkdir -p config\ncat > config/web.json <<'EOF'\n{\n\"port\": 8080}\nEOF"


def test_what_was_masked_is_not_pasted_from_the_diff() -> None:
    """The diff holds no secret, so its text would put a mask into the file; the repository has the true one."""
    found = said('--- a/config/web.json\n+++ /dev/null\n@@ -1 +0,0 @@\n-{"password": "***"}\n')

    assert "git checkout" in found.recommendations[0].example
    assert "***" not in found.recommendations[0].example


def test_a_file_that_moved_is_named_by_its_new_place() -> None:
    found = said(
        '--- a/config/web.json\n+++ /dev/null\n@@ -1 +0,0 @@\n-{"port": 8080}\n'
        '--- /dev/null\n+++ b/settings/web.json\n@@ -0,0 +1 @@\n+{"port": 8080}\n'
    )

    assert "this release moved it to settings/web.json" in found.cause
    assert found.recommendations[0].example == "git mv settings/web.json config/web.json"


def test_another_file_that_went_is_not_blamed() -> None:
    found = said('--- a/other/web.json\n+++ /dev/null\n@@ -1 +0,0 @@\n-{"port": 8080}\n')

    assert "no longer has it" not in found.cause
    assert "had it" not in found.recommendations[0].action
