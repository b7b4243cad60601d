"""The commented example, the models, the schema and the page agree, in both directions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from failback.executor.plan_yaml import read_yaml
from failback.model.plan import Plan
from failback.model.plan_checks import NOT_YET, check, not_yet
from failback.model.plan_keys import all_keys, known_keys
from failback.model.plan_reference import default_of, entries, entry_of, reference, reference_text
from failback.model.plan_schema import plan_schema

KEYS = list({key.path: key for key in all_keys()}.values())
FREE = (("release", "env"), ("steps", "*", "env"), ("checks", "smoke", "*", "headers"))
COMMENTED = """# One.
# Default: `1`, since.
a: 1

# Lost.

b: 2
# In a list.
c:
  # Inside.
  # Required.
  - d: x y
"""
DOCUMENTS = re.split(r"(?m)^---\n", reference_text())


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.text)
def test_every_key_is_explained(key):
    """A key without a meaning in the example would be a key that nobody can use."""
    entry = entry_of(key)

    assert entry is not None, f"{key.text} is not in config_reference.yaml"
    assert entry.text or entry.default_text, f"{key.text} has no comment"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.text)
def test_every_documented_default_is_the_real_one(key):
    entry = entry_of(key)
    assert entry is not None
    if key.field.is_required():
        assert entry.required
    elif isinstance(default_of(key), dict) and default_of(key) and entry.default is None:
        assert not entry.required  # a part whose keys have defaults of their own
    else:
        assert entry.default is not None, f"{key.text} says no default"
        assert yaml.safe_load(entry.default) == default_of(key)


def test_nothing_is_explained_that_does_not_exist():
    known = {key.path for key in KEYS}

    extra = [path for path in reference() if path not in known and path[:-1] not in FREE and path != ("services", "*")]

    assert extra == []


@pytest.mark.parametrize("text", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_every_example_is_a_valid_plan(text):
    data = read_yaml(text).data

    Plan.model_validate(data)
    assert check(data) == []


@pytest.mark.parametrize("text", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_every_example_fits_the_schema(text):
    jsonschema.validate(yaml.safe_load(text), plan_schema(), cls=jsonschema.Draft202012Validator)


def test_what_is_not_acted_on_is_marked_as_reserved():
    """A reader must not find out by an error what the page could have said."""
    refused = {row.path for row in NOT_YET}

    assert refused == {path for path, entry in reference().items() if entry.reserved}


def test_the_examples_of_one_service_use_no_reserved_value():
    assert not_yet(read_yaml(DOCUMENTS[0]).data) == []
    assert not_yet(read_yaml(DOCUMENTS[1]).data) == []


def test_the_schema_is_a_schema_with_a_description_for_every_key():
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    holders = {"Plan": schema, **schema["$defs"]}

    for key in all_keys():
        place = holders[key.model.__name__]["properties"][key.name]
        assert place.get("description"), key.text


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"service": "Bad Name"}, False),
        ({"colour": "red"}, False),
        ({"target": {"kind": "locl"}}, False),
        ({"release": {"manifests": ["k8s"]}}, False),
        ({"release": {"path": "a"}}, False),
        ({"steps": [{"name": "a", "type": "b", "timeout": "5s"}]}, False),
        ({"steps": [{"name": "a", "type": "b", "run": ["x"], "env": {"A": {"from_file": "b"}, "C": 1.1}}]}, True),
        ({"steps": [{"name": "a", "type": "b", "env": {"A": {"form_file": "b"}}}]}, False),
        ({"target": {"kind": "kubernetes"}, "release": {"manifests": ["k8s"]}}, True),
        ({"target": {"kind": "kubernetes"}, "release": {"path": "a", "start": "b"}}, False),
    ],
)
def test_the_schema_sees_what_an_editor_should_mark(change, fits):
    plan = {"service": "shop", "target": {"kind": "local"}, "release": {"path": "a", "start": "b"}} | change

    assert fits == jsonschema.Draft202012Validator(plan_schema()).is_valid(plan)


def test_the_page_is_made_from_the_example():
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, "tools/make_reference.py", "--check"], cwd=root, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


def test_known_keys_of_a_place():
    assert "timeout" in known_keys(("steps", 3))
    assert "path" in known_keys(("release",), "local") and "path" not in known_keys(("release",), "kubernetes")
    assert known_keys(("services", "shop", "release"), "local") == known_keys(("release",), "local")
    assert known_keys(("services", "shop")) == ("target", "release", "checks")
    assert known_keys(("release", "env")) == ()


def test_comments_are_read_from_above_their_key():
    found = entries(COMMENTED)

    assert (found[("a",)].text, found[("a",)].default) == ("One.", "1")
    assert found[("b",)].text == ""
    inside = found[("c", "*", "d")]
    assert (inside.text, inside.required, inside.example) == (
        "Inside.",
        True,
        "x y",
    )
