"""What a fix changed is told from the two releases' differences against the same stable one."""

from __future__ import annotations

from failback.learning.changes import between, followed

LIMIT_DOWN = """--- a/release settings
+++ b/release settings
@@ -2,2 +2,2 @@
 replicas: 2
-resources.memory: 256Mi
+resources.memory: 64Mi
"""
FILE_GONE = """--- a/config/production.json
+++ /dev/null
@@ -1 +0,0 @@
-{"port": 3000}
"""
WERKZEUG = """--- a/requirements.txt
+++ b/requirements.txt
@@ -1,2 +1,2 @@
 Flask==2.2.2
-Werkzeug==2.3.8
+Werkzeug==3.0.1
"""


def test_a_setting_put_back() -> None:
    difference = between(LIMIT_DOWN, "")

    assert difference.text == "resources.memory 64Mi -> 256Mi"
    assert "memory" in difference.names


def test_a_setting_raised_further() -> None:
    assert between(LIMIT_DOWN, LIMIT_DOWN.replace("64Mi", "512Mi")).text == "resources.memory 64Mi -> 512Mi"


def test_a_variable_that_was_added() -> None:
    good = "--- a/release settings\n+++ b/release settings\n@@ -1 +1,2 @@\n replicas: 2\n+env.REGION: eu\n"

    assert between("", good).text == "env.REGION set to eu"


def test_a_file_that_came_back() -> None:
    assert between(FILE_GONE, "").text == "config/production.json as in the release before"


def test_a_pinned_package() -> None:
    assert between(WERKZEUG, "").text == "Werkzeug 3.0.1 -> 2.3.8, requirements.txt as in the release before"


def test_nothing_changed_says_nothing() -> None:
    """The same release again, for instance after a database came back."""
    assert between(WERKZEUG, WERKZEUG).text == ""


def test_many_changes_are_counted() -> None:
    good = "".join(f"--- a/f{n}.py\n+++ b/f{n}.py\n@@ -1 +1 @@\n-a\n+b\n" for n in range(9))

    assert between("", good).text.endswith("and 4 more")


def test_advice_counts_as_followed_when_the_change_did_what_it_names() -> None:
    advice = [
        {"action": "Increase the memory limit to 128Mi", "description": ""},
        {"action": "Add the missing configuration file config/production.json", "description": ""},
        {"action": "Pin Werkzeug back to 2.3.8", "description": ""},
        {"action": "Commit and push the change", "description": "config/production.json"},
    ]

    assert followed(advice, between(LIMIT_DOWN, "")) == (advice[0]["action"],)
    assert followed(advice, between(FILE_GONE, "")) == (advice[1]["action"],)
    assert followed(advice, between(WERKZEUG, "")) == (advice[2]["action"],)
    assert followed(advice, between("", "")) == ()


def test_noise_is_no_change() -> None:
    """Whatever a diff holds, nothing is raised."""
    assert between("\x00\x1b[2J--- a/\n+++\n", "@@@@ ---- ++++\n--- \n+++ \n").names == frozenset()
