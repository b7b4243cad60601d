"""All rules, one file a family: every `Rule` in a module of this folder takes part. Adding a family is adding a file."""

from __future__ import annotations

import importlib
import pkgutil

from failback.diagnosis.rule import Rule


def _collect() -> tuple[Rule, ...]:
    found: list[Rule] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda item: item.name):
        content = importlib.import_module(f"{__name__}.{module.name}")
        found.extend(value for value in vars(content).values() if isinstance(value, Rule))
    names = [rule.name for rule in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"rules with the same name: {', '.join(sorted(twice))}")
    return tuple(found)


RULES = _collect()
