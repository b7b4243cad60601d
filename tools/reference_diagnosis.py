"""The page of the diagnosis' rules: what each recognises, which type it gives, and where its knowledge comes from."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from failback.diagnosis import rules
from failback.diagnosis.rule import Rule
from failback.model.diagnosis import FailureType

_HEAD = """# The rules of the diagnosis

<!-- Made by tools/make_reference.py from src/failback/diagnosis/rules: change a rule there. -->

`failback diagnose --case FILE` and phase 5 of a rollback ask every rule below; each gives hypotheses, which are then
ranked ([how, and why so](../explanation/diagnosis.md)). A rule knows a *mechanism*: what the kernel, a runtime, a
package manager, the kubelet or the API server says. Its source stands beside it. The meaning of the types is on
[their own page](failure-types.md).

Adding a rule is adding a function (or a row) to one file of `src/failback/diagnosis/rules`; adding a family is adding a
file.
"""


def page() -> str:
    """The whole page, as Markdown."""
    names = {rule.name for rule in rules.RULES}
    parts = [_HEAD, f"{len(names)} rules in {len(list(_modules()))} families.\n"]
    for name, title, found, types in _modules():
        head = f"## {title}\n`rules/{name}.py`\n\n| rule | recognises | type | source |\n|---|---|---|---|"
        parts.append("\n".join([head, *(_row(rule, types.get(rule.name, ())) for rule in found), ""]))
    return "\n".join(parts)


def _row(rule: Rule, types: tuple[str, ...]) -> str:
    named = ", ".join(f"`{name}`" for name in types) or "as it is said"
    return f"| `{rule.name}` | {_cell(rule.says)} | {named} | {_cell(rule.source)} |"


def _modules() -> Iterator[tuple[str, str, list[Rule], dict[str, tuple[str, ...]]]]:
    for info in sorted(pkgutil.iter_modules(rules.__path__), key=lambda item: item.name):
        module = importlib.import_module(f"{rules.__name__}.{info.name}")
        found: list[Rule] = []
        for value in vars(module).values():
            found.extend(
                [value]
                if isinstance(value, Rule)
                else [r for r in value if isinstance(r, Rule)]
                if isinstance(value, tuple)
                else []
            )
        title = (module.__doc__ or info.name).strip().split("\n")[0].rstrip(".")
        if found:
            yield info.name, title, found, _types(Path(str(module.__file__)))


def _types(path: Path) -> dict[str, tuple[str, ...]]:
    """Rule -> the failure types that its source names."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    alias: dict[str, str] = {}
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign) else None
        if isinstance(value, ast.Attribute) and ast.unparse(value).startswith("FailureType."):
            alias[ast.unparse(node).split(" =")[0]] = value.attr
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    calls = [node for node in called if re.search(r"^row$|_rule$", ast.unparse(node.func))]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found: dict[str, tuple[str, ...]] = {}
    for call in calls:
        if not call.args or not isinstance(call.args[0], ast.Constant):
            continue
        owner = next((f for f in functions if call in f.decorator_list), None)
        source = ast.unparse(owner) if owner else ast.unparse(call)
        members = [m for m in re.findall(r"FailureType\.([A-Z_]+)", source) if m in FailureType.__members__]
        members += [member for name, member in alias.items() if re.search(rf"(?<![\w.]){name}\b", source)]
        # A piece that several rules share tells its type by its name.
        inside = {ast.unparse(node.func) for node in ast.walk(owner or call) if isinstance(node, ast.Call)}
        members += [member for member in FailureType.__members__ if member.lower() in inside]
        found[str(call.args[0].value)] = tuple(dict.fromkeys(str(FailureType[m]) for m in members))
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
