"""Reads YAML as a plan needs it: every key's place is kept, scalars keep their text, and no input is too clever.

Duplicate keys, foreign tags, several documents, aliases that multiply and files without end are errors with a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from failback.model.plan_base import PlainScalar, shown
from failback.model.plan_problems import Path
from failback.model.values import Position

PLAN_BYTES_MAX = 512 * 1024
NODES_MAX = 20_000
DEPTH_MAX = 40
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_TAGS = ("null", "bool", "int", "float", "str", "timestamp", "seq", "map")


class _Loader(yaml.SafeLoader):
    """Resolves no scalar: what a text means is decided by the key that holds it."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


class YamlProblem(Exception):
    """The text cannot be read; `position` is line and column, from 1, where known."""

    def __init__(self, message: str, position: Position | None = None, where: Path = ()) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.where = where


@dataclass(slots=True)
class Document:
    """`data`: mappings, lists, PlainScalar, str, None. `values`, `keys`: path -> position of its value, of its key."""

    data: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    problems: list[YamlProblem] = field(default_factory=list)

    def position(self, path: Path, *, at_key: bool = False) -> Position | None:
        """Of the path, or of the nearest thing around it that has a place."""
        while True:
            found = (self.keys.get(path) if at_key else None) or self.values.get(path) or self.keys.get(path)
            if found or not path:
                return found
            path, at_key = path[:-1], True


def decode(raw: bytes) -> str:
    """The text of a plan file. Raises YamlProblem when it is too large or no UTF-8."""
    if len(raw) > PLAN_BYTES_MAX:
        raise YamlProblem(f"should have at most {PLAN_BYTES_MAX // 1024} KiB, has {len(raw) // 1024:,} KiB.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise YamlProblem("should be UTF-8 text. Save the file in that encoding.", (line, column)) from None


def read_yaml(text: str) -> Document:
    """The document with its positions; what can be read in spite of an error stands in `problems`.

    Raises YamlProblem when nothing can be read.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise YamlProblem(
            f"holds the character U+{_code(error):04X}, which YAML does not allow.", (line, column)
        ) from None
    except yaml.YAMLError as error:
        raise YamlProblem(f"cannot be read as YAML: {error}.") from None
    except (RecursionError, ValueError, OverflowError) as error:
        # The reader nests a call a level, and takes numbers of any length in its escapes.
        what = "is nested too deeply" if isinstance(error, RecursionError) else f"cannot be read as YAML: {error}"
        raise YamlProblem(f"{what}.") from None
    finally:
        if loader is not None:
            loader.dispose()
    document = Document()
    if root is None:
        raise YamlProblem("is empty. `failback init` writes one to start from.", (1, 1))
    _Builder(document).build_root(root)
    return document


def _code(error: yaml.reader.ReaderError) -> int:
    char: Any = error.character
    return ord(char) if isinstance(char, str) and char else int(char) if isinstance(char, int) else 0


class _Builder:
    """Walks the nodes once; an alias is walked again at each place, so nodes are counted as they are made."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def build_root(self, root: yaml.Node) -> None:
        self._document.values[()] = _start(root)
        self._document.data = self._build(root, (), 0)

    def _build(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise YamlProblem(f"should have at most {NODES_MAX:,} entries (aliases count each time).", _start(node))
        if depth > DEPTH_MAX:
            raise YamlProblem(f"should be nested at most {DEPTH_MAX} deep.", _start(node), path)
        self._check_tag(node, path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            made = []
            for place, entry in enumerate(node.value):
                self._document.values.setdefault((*path, place), _start(entry))
                made.append(self._build(entry, (*path, place), depth + 1))
            return made
        return _scalar(node)

    def _check_tag(self, node: yaml.Node, path: Path) -> None:
        name = str(node.tag).removeprefix("tag:yaml.org,2002:")
        if name not in _TAGS:
            self._problem(f"has the tag {shown('!' + name.lstrip('!'))}, which a plan cannot have.", _start(node), path)

    def _problem(self, message: str, position: Position, path: Path) -> None:
        self._document.problems.append(YamlProblem(message, position, path))

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem("should have texts as keys.", _start(key_node), path)
                continue
            if key_node.value == "<<" and key_node.style is None:
                merged |= self._merge(value_node, path, depth)
                continue
            name = str(key_node.value)
            here = (*path, name)
            if name in made:
                line = self._document.keys[here][0]
                self._problem(f"is written twice: it stands in line {line} already.", _start(key_node), here)
                continue
            self._document.keys[here] = _start(key_node)
            self._document.values[here] = _start(value_node)
            made[name] = self._build(value_node, here, depth + 1)
        return {**merged, **made}

    def _merge(self, node: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        """`<<: *other`: the other mapping's keys, where this one has none of its own."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        made: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, yaml.MappingNode):
                self._problem("should be a mapping, or a list of them, after <<.", _start(part), path)
                continue
            self._nodes += 1
            if depth > DEPTH_MAX or self._nodes > NODES_MAX:
                raise YamlProblem("merges mappings too often or too deeply.", _start(part), path)
            made |= self._mapping(part, path, depth + 1)
        return made


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if getattr(node, "style", None) is not None:  # quoted, or a block
        return text
    if str(node.tag).endswith(":null") or (_NULL.match(text) and not str(node.tag).endswith(":int")):
        return None
    return PlainScalar(text)


def _start(node: yaml.Node) -> Position:
    mark = node.start_mark
    return mark.line + 1, mark.column + 1


def _explained(error: yaml.MarkedYAMLError, text: str) -> YamlProblem:
    """The parser's own error in the words of someone who did not write a parser."""
    mark = error.problem_mark or error.context_mark
    position = (mark.line + 1, mark.column + 1) if mark is not None else None
    problem = str(error.problem or error.context or "it is no YAML")
    line = text.splitlines()[mark.line] if mark is not None and mark.line < len(text.splitlines()) else ""
    return YamlProblem(next(_explanations(problem, line), f"cannot be read as YAML: {problem}."), position)


def _explanations(problem: str, line: str) -> Iterator[str]:
    if "'\\t'" in problem or line[: len(line) - len(line.lstrip())].count("\t"):
        yield "is indented with a tab. YAML is indented with spaces alone."
    if "mapping values are not allowed" in problem:
        yield 'has a second ": " in one line. Put quotes around the text, or correct the indentation.'
    if "could not find expected ':'" in problem:
        yield "should be `key: value`: the colon is missing, or a quote was not closed."
    if "found undefined alias" in problem:
        yield f"names something that is not there: {problem}."
    if "expected <block end>" in problem:
        yield "is indented differently from the lines before it."
    if "while scanning a quoted" in problem or "unexpected end of stream" in problem:
        yield "has a quote or a bracket that is not closed."
    if "expected a single document" in problem or "but found another document" in problem:
        yield "should be one document: there is a second one after ---."
    if "cannot start any token" in problem:
        yield f"cannot be read as YAML: {problem}. Put the text into quotes."
    if "expected ',' or" in problem:
        yield "has a list or mapping in brackets that is not closed, or a comma is missing."
