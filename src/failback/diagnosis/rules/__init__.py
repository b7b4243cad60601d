"""All rules, one file a family: every `Rule` in a module of this folder takes part. Adding a family is adding a file."""

from __future__ import annotations

import importlib
import pkgutil

from failback.diagnosis.rule import Rule


def _collect() -> tuple[Rule, ...]:
    found: list[Rule] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda item: item.name):
        content = importlib.import_module(f"{__name__}.{module.name}")
        for value in vars(content).values():
            found.extend([value] if isinstance(value, Rule) else _rows(value))
    names = [rule.name for rule in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"rules with the same name: {', '.join(sorted(twice))}")
    return tuple(found)


def _rows(value: object) -> list[Rule]:
    """The rules of a table: a tuple of nothing but rules."""
    return [rule for rule in value if isinstance(rule, Rule)] if isinstance(value, tuple) else []


RULES = _collect()
