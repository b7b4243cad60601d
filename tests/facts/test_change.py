"""What a release changed, as its diff says it: files that came, went and moved."""

from __future__ import annotations

import pytest

from failback.facts.change import read_change

DIFF = """\
--- a/config/production.json
+++ /dev/null
@@ -1 +0,0 @@
-{"port": 3000}
--- a/old/routes.js
+++ /dev/null
@@ -1 +0,0 @@
-module.exports = []
--- /dev/null
+++ b/lib/routes.js
@@ -0,0 +1 @@
+module.exports = []
--- a/server.js
+++ b/server.js
@@ -1 +1 @@
-const a = 1
+const a = 2
"""


def test_what_came_and_went() -> None:
    change = read_change(DIFF)

    assert change.deleted == ("config/production.json", "old/routes.js")
    assert change.created == ("lib/routes.js",)
    assert change.files == ("config/production.json", "old/routes.js", "lib/routes.js", "server.js")


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("config/production.json", "config/production.json"),
        ("/app/config/production.json", "config/production.json"),
        ("./config/production.json", "config/production.json"),
        ("production.json", "config/production.json"),
        ("config/other/production.json", None),
        ("duction.json", None),
        ("server.js", None),
        ("", None),
        ("/", None),
    ],
)
def test_a_path_of_a_log_is_a_file_that_went(path: str, file: str | None) -> None:
    """The one is the end of the other, whole names of folders; another folder has another file."""
    assert read_change(DIFF).takes_away(path) == file


def test_a_file_that_moved_is_known_by_its_content() -> None:
    change = read_change(DIFF)

    assert change.moved("old/routes.js") == "lib/routes.js"
    assert change.moved("config/production.json") is None


def test_two_empty_files_are_no_move() -> None:
    change = read_change("--- a/a.txt\n+++ /dev/null\n--- /dev/null\n+++ b/b.txt\n")

    assert change.moved("a.txt") is None
