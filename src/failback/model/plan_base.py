"""What all models of the plan share: strictness, and field types whose errors say what to write instead.

Every type accepts what Python code passes (30, True) and what a plan file holds (`PlainScalar("30")`); its error
follows the field's path: `should be a number of seconds, got "5s". Write 5.`
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError, core_schema

TEXT_CHARS_MAX = 10_000
ITEMS_MAX = 1000
DATA_DEPTH_MAX = 40


class PlainScalar(str):
    """A scalar as it stands in a plan file, without quotes: the field decides whether it is a number or a text."""

    __slots__ = ()


class PlanModel(BaseModel):
    """Base of every part of a plan: unknown keys are errors, nothing can be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, eq=False)  # annotations have to be hashable
class Checked:
    """Annotates a field: `check` makes its value or calls `wrong`; `schema`: its JSON Schema; `dump`: its JSON form."""

    check: Callable[[Any], Any]
    schema: Mapping[str, Any]
    dump: Callable[[Any], Any] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        serialization = None if self.dump is None else core_schema.plain_serializer_function_ser_schema(self.dump)
        return core_schema.no_info_plain_validator_function(self.check, serialization=serialization)

    def __get_pydantic_json_schema__(self, core: core_schema.CoreSchema, handler: Any) -> dict[str, Any]:
        return dict(self.schema)


def wrong(message: str, below: tuple[str | int, ...] = ()) -> NoReturn:
    """The error of a field; `below` is the way from the field to the wrong part of it (keys, places from 0)."""
    # The message is passed as data: its braces must not be taken for placeholders.
    raise PydanticCustomError("plan", "{text}", {"text": message, "below": below})


def wrong_at(place: str | int, error: PydanticCustomError) -> NoReturn:
    """An error of `wrong`, again, from one level further up."""
    context = error.context or {}
    wrong(context["text"], (place, *context["below"]))


def shown(value: object) -> str:
    """A wrong value as an error shows it: short, on one line, nothing that a terminal would obey."""
    if isinstance(value, PlainScalar) and re.fullmatch(r"[\w.+-]{1,60}", value):
        text = str(value)
    elif isinstance(value, str):
        text = json.dumps(str(value), ensure_ascii=False)
    elif value is None:
        text = "nothing"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, Mapping):
        text = "a mapping"
    elif isinstance(value, list | tuple):
        text = "a list"
    elif isinstance(value, int):
        text = str(value) if abs(value) < 10**18 else "a very large number"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = f"a {type(value).__name__}"
    text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return text if len(text) <= 70 else text[:67] + "..."


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant: the same but for case and signs, or a few letters apart."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in known}
    squeezed = re.sub(r"[^a-z0-9]", "", word[:100].lower())
    if squeezed in plain:
        return plain[squeezed]
    close = get_close_matches(squeezed, list(plain), n=1, cutoff=0.65)
    return plain[close[0]] if close else None


# -- numbers ---------------------------------------------------------------------------------------------------------

_DURATION = re.compile(
    r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|(?:milli|micro)?sec\w*|min\w*|hour\w*|day\w*)\s*\Z", re.ASCII
)
_UNIT_S = {
    "ms": 0.001, "mil": 0.001, "mic": 1e-6, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0,
    "h": 3600.0, "hou": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_WHOLE = re.compile(r"[-+]?\d[\d_]{0,30}\Z", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]{0,30}(?:\.[\d_]{0,30})?|\.\d{1,30})(?:[eE][-+]?\d{1,3})?\Z", re.ASCII)


def as_number(value: object) -> float | int | None:
    """The number that Python code passed or a plan file holds without quotes; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, PlainScalar) and _NUMBER.match(value):
        text = value.replace("_", "")
        return int(text) if _WHOLE.match(value) else float(text)
    return None


def number_text(value: object) -> object:
    """A number that Python code passed where a text is meant, as that text; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 10**40:
        return value  # Python refuses to write integers of thousands of digits
    return str(value)


def number(
    what: str, *, least: float, most: float, above: bool = False, whole: bool = False, unit_s: float | None = None
) -> Checked:
    """A number from `least` (not itself, when `above`) to `most`; `unit_s`: how many seconds one of it lasts."""
    bounds = f"{'above' if above else 'at least'} {least:,g} and at most {most:,.10g}"

    def check(value: object) -> float | int:
        found = as_number(value)
        if found is None or (isinstance(found, float) and not math.isfinite(found)):
            wrong(f"should be {what}, got {shown(value)}.{_number_hint(value, unit_s)}")
        if not least <= found <= most or (above and found == least):
            wrong(f"should be {what}, {bounds}, got {shown(found)}.")
        if whole and found != int(found):
            wrong(f"should be {what}, got {found:g}: it has to be a whole number.")
        return int(found) if whole else float(found)

    low = "exclusiveMinimum" if above else "minimum"
    return Checked(check, {"type": "integer" if whole else "number", low: least, "maximum": most})


def _number_hint(value: object, unit_s: float | None) -> str:
    if not isinstance(value, str):
        return ""
    duration = _DURATION.match(value.lower()) if unit_s else None
    if duration and unit_s:
        unit = duration.group(2)
        return f" Write {float(duration.group(1)) * _UNIT_S[unit if len(unit) < 3 else unit[:3]] / unit_s:.10g}."
    if _NUMBER.match(value.strip()) and not isinstance(value, PlainScalar):
        return f" Write {value.strip()} without quotes."
    return ""


def plain_data(value: Any, depth: int = 0) -> Any:
    """Free data as JSON has it: scalars of a plan file become what they look like. Raises the error of a field."""
    if depth > DATA_DEPTH_MAX:
        wrong(f"should be nested at most {DATA_DEPTH_MAX} deep.")
    if isinstance(value, PlainScalar):
        if value in ("true", "false"):
            return value == "true"
        found = as_number(value)
        return str(value) if found is None or not abs(found) < 2**63 else found
    if isinstance(value, Mapping):
        return {str(name): plain_data(entry, depth + 1) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(entry, depth + 1) for entry in value]
    if value is None or isinstance(value, str | bool) or (isinstance(value, int | float) and abs(value) < 2**63):
        return value
    wrong(f"should hold texts, numbers, true, false, lists and mappings alone, got {shown(value)}.")


# -- yes or no -------------------------------------------------------------------------------------------------------

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


def _check_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, PlainScalar) and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    hint = ""
    if isinstance(value, str) and value.strip().lower() in _TRUE + _FALSE:
        hint = f" Write {'true' if value.strip().lower() in _TRUE else 'false'} without quotes."
    wrong(f"should be true or false, got {shown(value)}.{hint}")


FLAG = Checked(_check_flag, {"type": "boolean"})


# -- texts -----------------------------------------------------------------------------------------------------------


def text(
    what: str,
    *,
    pattern: str | None = None,
    rule: str = "",
    most: int = TEXT_CHARS_MAX,
    empty: bool = False,
    references: bool = False,
    numbers: bool = False,
) -> Checked:
    """A text. `rule` says what `pattern` asks for. `references`: `${` is let through (a shell or template reads it)."""
    shape = None if pattern is None else re.compile(pattern, re.ASCII)

    def check(value: object) -> str:
        if numbers:
            value = number_text(value)
        if not isinstance(value, str):
            wrong(f"should be {what}, got {shown(value)}.")
        if not value and not empty:
            wrong(f"should be {what}, got an empty text.")
        if len(value) > most:
            wrong(f"should be {what} of at most {most:,} characters, got {len(value):,}.")
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            wrong(f"should be {what}, got {shown(value)}: it holds a character that cannot be stored.")
        if not references and re.search(r"\$\{[A-Za-z_]", value):
            wrong(f"should be {what}, got {shown(value)}: ${{...}} is not replaced in this key.")
        if shape is not None and not shape.fullmatch(value):
            wrong(f"should be {what}{f' ({rule})' if rule else ''}, got {shown(value)}.")
        return str(value)

    schema: dict[str, Any] = {"type": ["string", "integer"] if numbers else "string", "maxLength": most}
    if not empty:
        schema["minLength"] = 1
    if pattern is not None:
        schema["pattern"] = f"^(?:{pattern})$"
    return Checked(check, schema)


def one_of(*words: str, hints: Mapping[str, str] | None = None) -> Checked:
    """One word of a fixed list. `hints`: what a word that people also write means."""

    def check(value: object) -> str:
        if value is False and "off" in words:
            return "off"  # what a YAML 1.1 reader makes of a bare `off`
        if isinstance(value, str) and value in words:
            return str(value)
        close = (hints or {}).get(value.lower()) if isinstance(value, str) else None
        close = close or (nearest(value, words) if isinstance(value, str) else None)
        wrong(f"should be one of {', '.join(words)}, got {shown(value)}.{f' Did you mean {close}?' if close else ''}")

    return Checked(check, {"enum": list(words)})


# -- lists and mappings ----------------------------------------------------------------------------------------------


def texts(what: str, item: Checked, *, single: bool = False, least: int = 0, most: int = ITEMS_MAX) -> Checked:
    """A list of texts, as a tuple; `single`: one text alone stands for a list of it."""

    def check(value: object) -> tuple[str, ...]:
        if single and isinstance(value, str):
            return (item.check(value),)
        if not isinstance(value, list | tuple):
            hint = f" Write [{value}]." if isinstance(value, str) and re.fullmatch(r"[\w./ -]{1,60}", value) else ""
            wrong(f"should be {what}, got {shown(value)}.{hint}")
        if not least <= len(value) <= most:
            wrong(f"should be {what} with {least} to {most} entries, got {len(value)}.")
        return tuple(_numbered(item.check, value))

    listed = {"type": "array", "items": dict(item.schema), "minItems": least, "maxItems": most}
    dump = list if item.dump is None else lambda made: [item.dump(entry) for entry in made]  # type: ignore[misc]
    return Checked(check, {"anyOf": [dict(item.schema), listed]} if single else listed, dump)


def _numbered(check: Callable[[Any], Any], entries: Sequence[Any]) -> Iterator[Any]:
    for place, entry in enumerate(entries):
        try:
            yield check(entry)
        except PydanticCustomError as error:
            wrong_at(place, error)


def mapping(what: str, key: Checked, value: Checked, *, most: int = ITEMS_MAX) -> Checked:
    """A mapping of free keys."""

    def check(given: object) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            wrong(f"should be {what}, got {shown(given)}.")
        if len(given) > most:
            wrong(f"should be {what} with at most {most} entries, got {len(given)}.")
        made: dict[str, Any] = {}
        for name, entry in given.items():
            try:
                made[key.check(name)] = value.check(entry)
            except PydanticCustomError as error:
                wrong_at(name if isinstance(name, str) else str(name), error)
        return made

    schema = {"type": "object", "additionalProperties": dict(value.schema), "maxProperties": most}
    dump = None if value.dump is None else lambda made: {name: value.dump(entry) for name, entry in made.items()}  # type: ignore[misc]
    return Checked(check, schema, dump)
