"""One value of a plan changes; comments, order and style of all the rest stay as its author wrote them."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from failback.fixes.yaml_edit import CannotEdit, remove_value, set_value

PLAN = """# our shop
service: shop   # the name
release:
  path: ./app
  env: {A: "1", B: two}   # short
  resources:
    memory: 64Mi  # tight

  # about the release
checks:
  ready:
    path: /healthz
"""
MEMORY = ("release", "resources", "memory")


def test_a_value_is_replaced_where_it_stands() -> None:
    assert set_value(PLAN, MEMORY, "256Mi") == PLAN.replace("64Mi", "256Mi")


def test_a_key_joins_the_others() -> None:
    assert "    path: /healthz\n    host: shop.example.org\n" in set_value(
        PLAN, ("checks", "ready", "host"), "shop.example.org"
    )
    assert '{A: "1", B: two, C: "${C}"}   # short' in set_value(PLAN, ("release", "env", "C"), "${C}")


def test_missing_mappings_are_made() -> None:
    assert set_value("service: shop\nrelease:\n  path: app\n", MEMORY, "1Gi").endswith(
        "  path: app\n  resources: {memory: 1Gi}\n"
    )
    assert set_value("release:\n  env:\n  path: app\n", ("release", "env", "A"), "b") == (
        "release:\n  env: {A: b}\n  path: app\n"
    )


def test_lists_become_one_line() -> None:
    text = "release:\n  start:\n    - python\n    - app.py\n  path: app\n"

    assert set_value(text, ("release", "start"), ("sh", "-c", 'x "$PORT"')) == (
        'release:\n  start: ["sh", "-c", "x \\"$PORT\\""]\n  path: app\n'
    )


def test_texts_that_look_like_something_else_are_quoted() -> None:
    made = set_value("a:\n  b: c\n", ("a", "n"), "8")

    assert yaml.safe_load(made)["a"]["n"] == "8"
    assert yaml.safe_load(set_value("a:\n  b: c\n", ("a", "n"), "no"))["a"]["n"] == "no"


def test_json_stays_json() -> None:
    text = json.dumps({"service": "shop", "release": {"path": "app", "env": {}}}, indent=1)

    made = json.loads(set_value(set_value(text, MEMORY, "1Gi"), ("release", "env", "A"), "b"))

    assert made["release"] == {"path": "app", "env": {"A": "b"}, "resources": {"memory": "1Gi"}}


def test_a_key_is_taken_out() -> None:
    assert remove_value(PLAN, ("release", "env", "B")) == PLAN.replace(", B: two", "")
    assert remove_value(PLAN, ("release", "env", "A")) == PLAN.replace('A: "1", ', "")
    assert remove_value(PLAN, ("release", "path")) == PLAN.replace("  path: ./app\n", "")
    assert remove_value(PLAN, ("release", "nothing")) == PLAN


def test_what_cannot_be_changed_alone_is_refused() -> None:
    """An anchor that stands for two values: changing one would change the other."""
    with pytest.raises(CannotEdit):
        set_value("a: &x {v: 1}\nb: *x\n", ("b", "v"), "2")
    with pytest.raises(CannotEdit):
        set_value("- a\n- b\n", ("a",), "b")
    with pytest.raises(CannotEdit):
        set_value("a: text\n", ("a", "b"), "c")


_NAMES = st.sampled_from(["a", "b", "service", "env"])
_LEAVES = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C",)), max_size=12)
_TREES = st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(_NAMES, _TREES, min_size=1, max_size=3), st.lists(_NAMES, min_size=1, max_size=3), _LEAVES)
def test_any_plan_either_has_the_value_or_is_refused(tree: dict[str, object], path: list[str], value: str) -> None:
    """Whatever the document, nothing else of it changes, and nothing else is raised."""
    for flow in (False, True, None):
        text = yaml.safe_dump(tree, allow_unicode=True, default_flow_style=flow)
        try:
            made = set_value(text, path, value)
        except CannotEdit:
            continue
        expected: dict[str, object] = json.loads(json.dumps(tree))
        inner = expected
        for name in path[:-1]:
            if not isinstance(inner.get(name), dict):
                inner[name] = {}
            inner = inner[name]  # type: ignore[assignment]
        inner[path[-1]] = value
        assert yaml.load(made, Loader=yaml.BaseLoader) == expected
