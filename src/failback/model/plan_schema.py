"""The JSON Schema of a plan, for editors: the models' own, with the descriptions of the commented example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from failback.model.plan import Plan
from failback.model.plan_keys import Key
from failback.model.plan_reference import Entry, described

SCHEMA_FILE = "failback.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"


def plan_schema() -> dict[str, Any]:
    """A JSON Schema (2020-12). It holds what one key can say; what keys say together is checked by `failback plan`."""
    schema = Plan.model_json_schema(by_alias=True, mode="validation")
    holders = {"Plan": schema, **schema.get("$defs", {})}
    for key, entry in described():
        place = holders.get(key.model.__name__, {}).get("properties", {}).get(key.name)
        if place is not None and "description" not in place:
            _describe(place, key, entry)
    for part in _parts(schema):
        part.pop("title", None)
    _by_target(schema)
    _by_target(holders["ServiceSpec"])
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "failback plan"}
    return head | schema


def _describe(place: dict[str, Any], key: Key, entry: Entry) -> None:
    place["description"] = f"{entry.text} {entry.default_text}".strip()
    if entry.example and not entry.example.startswith(("${", "|")):
        place["examples"] = [yaml.safe_load(entry.example)]


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema; a property that is called `title` is none."""
    if isinstance(part, list):
        for entry in part:
            yield from _parts(entry)
    elif isinstance(part, dict):
        yield part
        for name, below in part.items():
            if name in ("properties", "$defs"):
                for one in below.values():
                    yield from _parts(one)
            elif name not in ("default", "examples", "enum", "const"):
                yield from _parts(below)


def _by_target(holder: dict[str, Any]) -> None:
    """A release is checked against the one kind that its target says: an editor then names the wrong key itself."""
    kinds = {"local": "LocalReleaseSpec", "kubernetes": "KubernetesReleaseSpec"}
    description = holder["properties"]["release"].get("description", "")
    holder["properties"]["release"] = {"description": description, "type": ["object", "null"]}
    holder["allOf"] = [
        {
            "if": {
                "required": ["target"],
                "properties": {"target": {"required": ["kind"], "properties": {"kind": {"const": kind}}}},
            },
            "then": {"properties": {"release": {"anyOf": [{"$ref": f"#/$defs/{model}"}, {"type": "null"}]}}},
        }
        for kind, model in kinds.items()
    ]
