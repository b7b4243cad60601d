"""Values that come from the environment or a file: kept as references in a plan, resolved when a run needs them.

A value is a text, in which `${NAME}` stands for an environment variable (`$$` is one dollar sign), or FromFile
(`{from_file: path}`), or FromEnv (`{env: NAME, secret: false, default: text}`). Pure: the environment and the reader
of files are passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from failback.model.errors import PlanError
from failback.model.redaction import SECRET_CHARS_MIN
from failback.model.secret import Secret

VALUE_CHARS_MAX = 131_072  # the kernel's own limit for one environment variable (128 KiB)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DOLLAR = re.compile(r"\$\$|\$\{([^}]*)\}|\$\{")


@dataclass(frozen=True, slots=True)
class FromFile:
    """The content of a file, relative to the plan's folder; one newline at its end is taken off."""

    path: str


@dataclass(frozen=True, slots=True)
class FromEnv:
    """One environment variable. `secret: false` shows its value in logs; `default` is used where it is not set."""

    name: str
    secret: bool = True
    default: str | None = None


Value = str | FromFile | FromEnv
Position = tuple[int, int]  # line, column; both from 1


class BadReference(ValueError):
    """A text with `${` in it that is no reference; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A value as it will be used. `secret`: it has to be masked; `parts` are the texts that have to be.

    In `postgres://app:${PASSWORD}@db` both the whole and the password alone are secret.
    """

    value: Secret
    secret: bool = False
    parts: tuple[Secret, ...] = field(default=(), repr=False)

    def reveal(self) -> str:
        return self.value.reveal()


class _Missing(Exception):
    """One reference has nothing behind it; the text says which and what to do."""


def references(text: str) -> tuple[str, ...]:
    """The names of the variables in a text, in order. Raises BadReference for `${` that is no `${NAME}`."""
    names: list[str] = []
    for match in _DOLLAR.finditer(text):
        if match.group(0) == "$$":
            continue
        name = match.group(1)
        if name is None:
            raise BadReference("has `${` without its `}`. Write ${NAME}, or $${ for the two characters themselves.")
        if not _NAME.match(name):
            raise BadReference(_bad_name(name))
        names.append(name)
    return tuple(names)


def _bad_name(inside: str) -> str:
    plain = re.match(r"([A-Za-z_][A-Za-z0-9_]*):?[-=?+]", inside)
    if plain:
        name = plain.group(1)
        return f"has a shell default for ${{{name}}}. Write {{env: {name}, default: ...}} instead of the text."
    return "has `${...}` around something that is no name. Write ${NAME}, or $${...} for the characters themselves."


def sources(value: Value) -> tuple[str, ...]:
    """Where a value comes from, for people: `environment variable TOKEN`, `file token.txt`; empty for a plain text."""
    if isinstance(value, FromFile):
        return (f"file {value.path}",)
    if isinstance(value, FromEnv):
        return (f"environment variable {value.name}",)
    return tuple(f"environment variable {name}" for name in dict.fromkeys(references(value)))


def resolve(
    value: Value,
    *,
    where: str,
    environment: Mapping[str, str],
    read_file: Callable[[str], str],
    position: Position | None = None,
    always_secret: bool = False,
) -> Resolved:
    """The value itself. `read_file` gets the path as it stands in the plan and raises OSError or UnicodeError.

    `always_secret`: the key itself says that it is a secret (a password written into the plan), whatever its source.
    Raises PlanError, with one problem, when the variable or the file is not there.
    """
    try:
        found = _resolved(value, environment, read_file)
        _check(found.reveal(), value)
    except _Missing as missing:
        raise unresolved([problem_of(where, position, str(missing))]) from None
    if always_secret and not found.secret and found.value:
        return Resolved(found.value, secret=True, parts=(found.value,))
    return found


def problem_of(where: str, position: Position | None, message: str) -> dict[str, object]:
    """One entry of `PlanError.problems`."""
    line, column = position or (None, None)
    return {"where": where, "line": line, "column": column, "message": message}


def unresolved(problems: Sequence[Mapping[str, object]]) -> PlanError:
    """The error for values with nothing behind them; says all of them at once."""
    lines = []
    for problem in problems:
        at = f"{problem['line']}:{problem['column']}: " if problem["line"] is not None else ""
        lines.append(f"{at}{problem['where']}: {problem['message']}")
    count = (
        "A value of the plan cannot be found" if len(lines) == 1 else f"{len(lines)} values of the plan cannot be found"
    )
    return PlanError(f"{count}; nothing was touched.\n" + "\n".join(lines), problems=[dict(p) for p in problems])


def _resolved(value: Value, environment: Mapping[str, str], read_file: Callable[[str], str]) -> Resolved:
    if isinstance(value, FromFile):
        return _from_file(value, read_file)
    if isinstance(value, FromEnv):
        return _from_env(value, environment)
    parts: list[Secret] = []

    def put(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        text = _variable(match.group(1), environment)
        parts.append(Secret(text))
        return text

    try:
        names = references(value)
    except BadReference as bad:
        raise _Missing(str(bad)) from None
    whole = Secret(_DOLLAR.sub(put, value))
    if not names:
        return Resolved(whole)
    return Resolved(whole, secret=True, parts=tuple(dict.fromkeys((*parts, whole))))


def _variable(name: str, environment: Mapping[str, str]) -> str:
    text = environment.get(name)
    if text is None:
        raise _Missing(
            f"the environment variable {name} is not set. Set it where failback is run (export {name}=...), "
            f"or give it a default: {{env: {name}, default: ...}}."
        )
    return text


def _from_env(value: FromEnv, environment: Mapping[str, str]) -> Resolved:
    if value.name not in environment and value.default is not None:
        return Resolved(Secret(value.default))  # it stands in the plan for everybody to read
    text = Secret(_variable(value.name, environment))
    return Resolved(text, secret=value.secret, parts=(text,) if value.secret else ())


def _from_file(value: FromFile, read_file: Callable[[str], str]) -> Resolved:
    try:
        text = read_file(value.path)
    except FileNotFoundError:
        raise _Missing(f"the file {value.path} is not there. Create it, or correct the path.") from None
    except UnicodeError:
        raise _Missing(f"the file {value.path} is no UTF-8 text. Encode its content, as base64 for instance.") from None
    except OSError as cause:
        why = cause.strerror or type(cause).__name__
        raise _Missing(f"the file {value.path} cannot be read ({why}).") from None
    secret = Secret(text[:-2] if text.endswith("\r\n") else text.removesuffix("\n"))
    return Resolved(secret, secret=True, parts=(secret,))


def _check(text: str, value: Value) -> None:
    of = next(iter(sources(value)), "the text")
    if "\0" in text:
        raise _Missing(f"{of} holds a NUL character, which no environment variable can carry. Encode it.")
    if len(text) > VALUE_CHARS_MAX:
        raise _Missing(f"{of} has {len(text):,} characters, and {VALUE_CHARS_MAX:,} is the most. Pass a file's path.")


def mask_values(resolved: Iterable[Resolved]) -> tuple[str, ...]:
    """Every text that has to be masked in output, longest first; those too short to be masked are left out."""
    texts = {part.reveal() for one in resolved if one.secret for part in one.parts}
    return tuple(sorted((text for text in texts if len(text) >= SECRET_CHARS_MIN), key=lambda text: (-len(text), text)))


def unmasked(resolved: Mapping[str, Resolved]) -> tuple[str, ...]:
    """Where a secret is that cannot be masked, since it is shorter than 6 characters: `plan` warns of each."""
    return tuple(
        where
        for where, one in resolved.items()
        if one.secret and any(0 < len(part.reveal()) < SECRET_CHARS_MIN for part in one.parts)
    )
