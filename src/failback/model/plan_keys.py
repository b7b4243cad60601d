"""Every key that a plan can have, read from the models: for suggestions, the schema and the reference. Pure."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Tag
from pydantic.fields import FieldInfo

from failback.model.plan import Plan
from failback.model.plan_base import PlanModel

ANY = "*"  # stands for a place in a list or a free key
VARIANTS = ("local", "kubernetes")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its way from the top ("steps", "*", "timeout"), the model and field that hold it, its variant."""

    path: tuple[str, ...]
    model: type[PlanModel]
    field_name: str
    field: FieldInfo
    variant: str  # "local" | "kubernetes": keys of a target or release of that kind alone; else ""

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def text(self) -> str:
        return "/".join(self.path)


@lru_cache(maxsize=1)
def all_keys() -> tuple[Key, ...]:
    """In the models' order. Below `services/*` the keys are those of the top level, so they are not repeated."""
    return tuple(_keys(Plan, (), ""))


def _keys(model: type[PlanModel], path: tuple[str, ...], variant: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        yield Key(here, model, name, field, variant)
        if path == ("services", ANY):
            continue
        for below, part, kind in _models(field.annotation, field.metadata):
            yield from _keys(below, (*here, *part), kind or variant)


def _models(annotation: Any, metadata: Sequence[Any] = ()) -> Iterator[tuple[type[PlanModel], tuple[str, ...], str]]:
    """The models inside an annotation, the way to them, and the tag of their union."""
    tag = next((str(entry.tag) for entry in metadata if isinstance(entry, Tag)), "")
    if isinstance(annotation, type) and issubclass(annotation, PlanModel):
        yield annotation, (), tag
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _models(arguments[0], arguments[1:])
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from _models(argument)
    elif origin is tuple or origin is dict:
        for found, part, kind in _models(arguments[0] if origin is tuple else arguments[1]):
            yield found, (ANY, *part), kind


def known_keys(path: Sequence[str | int], variant: str = "") -> tuple[str, ...]:
    """The keys that a mapping at this place can have; places in lists are numbers. Free mappings have none."""
    at = _normal(path)
    return tuple(
        dict.fromkeys(
            key.name
            for key in all_keys()
            if key.path[:-1] == at and (not variant or not key.variant or key.variant == variant)
        )
    )


def homes_of(name: str) -> tuple[str, ...]:
    """Where a key of that name belongs: "checks/soak"; for a key that stands in the wrong mapping."""
    return tuple(dict.fromkeys(key.text for key in all_keys() if key.name == name))


def _normal(path: Sequence[str | int]) -> tuple[str, ...]:
    parts = [ANY if isinstance(part, int) else part for part in path]
    if parts[:1] == ["services"] and len(parts) > 1:
        # Below one service stand the same keys as at the top level.
        return ("services", ANY) if len(parts) == 2 else tuple(parts[2:])
    return tuple(parts)
