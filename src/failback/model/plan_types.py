"""The field types of a plan: seconds, names, paths, addresses, quantities, commands, and values with references."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from failback.model import values
from failback.model.plan_base import (
    FLAG,
    Checked,
    as_number,
    mapping,
    nearest,
    number,
    number_text,
    shown,
    text,
    texts,
    wrong,
)
from failback.model.values import FromEnv, FromFile, Value

Flag = Annotated[bool, FLAG]
Seconds = Annotated[float, number("a number of seconds", least=0, most=604_800, above=True, unit_s=1)]
Pause = Annotated[float, number("a number of seconds", least=0, most=604_800, unit_s=1)]
Milliseconds = Annotated[float, number("a number of milliseconds", least=0, most=3_600_000, above=True, unit_s=0.001)]
Days = Annotated[int, number("a number of days", least=1, most=36_500, whole=True, unit_s=86_400)]
Retries = Annotated[int, number("a number of retries", least=0, most=100, whole=True)]
Replicas = Annotated[int, number("a number of replicas", least=1, most=100, whole=True)]
Rounds = Annotated[int, number("a number of requests", least=1, most=1000, whole=True)]
Percent = Annotated[float, number("a number of percent", least=0, most=100, above=True)]
Share = Annotated[float, number("a share (0.01 is one in a hundred)", least=0, most=1)]
Increase = Annotated[float, number("a share (0.5 is half as long again)", least=0, most=100)]
Port = Annotated[int, number("a port", least=1, most=65_535, whole=True)]

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LABEL_RULE = "small letters, digits and -, at most 63, beginning and ending with a letter or digit"
_DNS_LABEL = text("a name", pattern=_LABEL, rule=_LABEL_RULE, most=63, numbers=True)
DnsLabel = Annotated[str, _DNS_LABEL]
Environment = Annotated[
    str, text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", rule="letters, digits, . _ and -", most=63, numbers=True)
]
StepName = Annotated[
    str,
    text("a name", pattern=r"(?a:[^\x00-\x1f\x7f/]+)", rule="no / and no control characters", most=100, numbers=True),
]
StepType = Annotated[
    str,
    text("a type", pattern=r"[a-z][a-z0-9_-]*", rule="small letters, digits, _ and -, as in build or deploy", most=40),
]
_PATH = text("a path", most=4096, numbers=True)
Path_ = Annotated[str, _PATH]
Paths = Annotated[tuple[str, ...], texts("a list of paths", _PATH)]
PathOrPaths = Annotated[tuple[str, ...], texts("a path or a list of paths", _PATH, single=True, least=1)]
OptionalPathOrPaths = Annotated[tuple[str, ...], texts("a path or a list of paths", _PATH, single=True)]
Text = Annotated[str, text("a text", references=True, empty=True)]
Word = Annotated[str, text("a text")]
_OBJECT = text(
    "an object", pattern=r"(?i:[a-z]+)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", rule="kind/name, as in deployment/shop"
)
Objects = Annotated[tuple[str, ...], texts("a list of objects", _OBJECT)]
StepNames = Annotated[
    tuple[str, ...], texts("a list of step names", text("the name of a step", numbers=True), single=True)
]


# -- request and listen ----------------------------------------------------------------------------------------------


def _check_url_path(value: object) -> str:
    if not isinstance(value, str) or not value:
        wrong(f"should be the path of a request, got {shown(value)}. Write / for the start page.")
    if re.match(r"https?://", value):
        wrong(f"should be the path of a request, got {shown(value)}. Leave scheme and host out: each replica is asked.")
    if not re.fullmatch(r"/[!-~]*", value, re.ASCII) or len(value) > 8000:
        hint = f" Write /{value}." if re.fullmatch(r"[\w.-][!-~]*", value, re.ASCII) and len(value) < 60 else ""
        wrong(f"should be the path of a request (it begins with /, has no space), got {shown(value)}.{hint}")
    return str(value)


UrlPath = Annotated[str, Checked(_check_url_path, {"type": "string", "pattern": "^/[!-~]*$"})]


def _status(value: object) -> int:
    found = as_number(value)
    if not isinstance(found, int) or not 100 <= found <= 599:
        wrong(f"should be an HTTP status (100 to 599) or a list of them, got {shown(value)}.")
    return found


def _check_statuses(value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple):
        if not value:
            wrong("should be an HTTP status or a list of them, got an empty list.")
        return tuple(_status(entry) for entry in value)
    return (_status(value),)


_STATUS_SCHEMA = {"type": "integer", "minimum": 100, "maximum": 599}
Statuses = Annotated[
    tuple[int, ...],
    Checked(
        _check_statuses, {"anyOf": [_STATUS_SCHEMA, {"type": "array", "items": _STATUS_SCHEMA, "minItems": 1}]}, list
    ),
]


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of an address that was checked: ("127.0.0.1", 8080); an IPv6 host without its brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _check_listen(value: object) -> str:
    value = number_text(value)
    if not isinstance(value, str):
        wrong(f"should be an address as 127.0.0.1:8080, got {shown(value)}.")
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})?:?(\d{1,5})", value, re.ASCII)
    if match and ":" not in value:
        wrong(f"should be an address as 127.0.0.1:8080, got {shown(value)}. Write 127.0.0.1:{value}.")
    if match and match.group(1) is None:
        wrong(f"should be an address as 127.0.0.1:8080, got {shown(value)}. Write 0.0.0.0{value} for every interface.")
    if match is None or f"{match.group(1)}:{match.group(2)}" != value:
        wrong(f"should be an address as 127.0.0.1:8080, got {shown(value)}.")
    if not 1 <= int(match.group(2)) <= 65_535:
        wrong(f"should be an address with a port from 1 to 65535, got {shown(value)}.")
    host = match.group(1).strip("[]")
    if re.fullmatch(r"[0-9.]+|.*:.*", host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            wrong(f"should be an address as 127.0.0.1:8080, got {shown(value)}: {host} is no IP address.")
    return str(value)


Listen = Annotated[str, Checked(_check_listen, {"type": "string", "pattern": r"^.+:\d{1,5}$"})]


def _check_http_url(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]+[!-~]*", value) or len(value) > 2000:
        wrong(f"should be an address as https://example.org/path, got {shown(value)}.")
    return str(value)


HTTP_URL = Checked(_check_http_url, {"type": "string", "pattern": "^https?://"})
HttpUrl = Annotated[str, HTTP_URL]


# -- quantities ------------------------------------------------------------------------------------------------------

_MEMORY = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)(Ki|Mi|Gi|Ti|k|M|G|T)?", re.ASCII)
_MEMORY_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_CPU = re.compile(r"(\d{1,6})m|(\d{1,4}(?:\.\d{1,3})?)", re.ASCII)


def memory_bytes(quantity: str) -> int:
    """Bytes of a quantity that was checked: "256Mi" -> 268435456."""
    match = _MEMORY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"no quantity of memory: {quantity!r}")
    return int(float(match.group(1)) * _MEMORY_UNITS[match.group(2) or ""])


def cpu_cores(quantity: str) -> float:
    """Cores of a quantity that was checked: "500m" -> 0.5."""
    match = _CPU.fullmatch(quantity)
    if match is None:
        raise ValueError(f"no quantity of CPU: {quantity!r}")
    return int(match.group(1)) / 1000 if match.group(1) else float(match.group(2))


def _check_memory(value: object) -> str:
    given = number_text(value)
    if not isinstance(given, str) or not _MEMORY.fullmatch(given):
        hint = ""
        loose = (
            re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*([kKmMgGtT])[iI]?[bB]?\s*", given)
            if isinstance(given, str)
            else None
        )
        if loose:
            unit = loose.group(2).upper().replace("K", "K")
            hint = f" Write {loose.group(1)}{unit}i."
        wrong(f"should be a quantity of memory as 256Mi or 1Gi, got {shown(value)}.{hint}")
    if memory_bytes(given) < 2**20:
        hint = f" Write {given}Mi." if given.isdigit() and int(given) >= 4 else ""
        wrong(
            f"should be a quantity of memory as 256Mi, at least 1Mi, got {shown(value)}: that is {given} bytes.{hint}"
            if given.isdigit()
            else f"should be a quantity of memory as 256Mi, at least 1Mi, got {shown(value)}."
        )
    return str(given)


def _check_cpu(value: object) -> str:
    given = number_text(value)
    if not isinstance(given, str) or not _CPU.fullmatch(given):
        wrong(f"should be a quantity of CPU as 500m (half a core) or 2, got {shown(value)}.")
    if cpu_cores(given) < 0.01:
        wrong(f"should be a quantity of CPU as 500m, at least 10m, got {shown(value)}.")
    return str(given)


Memory = Annotated[str, Checked(_check_memory, {"type": ["string", "integer"], "pattern": _MEMORY.pattern})]
Cpu = Annotated[str, Checked(_check_cpu, {"type": ["string", "number"], "pattern": _CPU.pattern})]


# -- commands --------------------------------------------------------------------------------------------------------

_WORD = text("a word of a command", empty=True, references=True, numbers=True)
_WORDS = texts("a list of words", _WORD, least=1)
_SHELL_SYNTAX = re.compile(r"[$`|&;<>(){}*?\[\]~#!\n]|^[A-Za-z_]\w*=")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")


def _check_run(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(_WORDS.check(value))
    if not isinstance(value, str):
        wrong(
            f"should be a command (a text for the shell, or a list of words), got {shown(value)}. "
            'Write "true" to do nothing.'
        )
    if not value.strip():
        wrong("should be a command, got an empty text.")
    return str(_WORD.check(value))


def start_words(value: object) -> tuple[str, ...]:
    """The words of a start command. A text with shell syntax is given to `sh -c`, any other is split into words."""
    if isinstance(value, str):
        command = str(_WORD.check(value)).strip()
        if not command:
            wrong("should be a command, got an empty text.")
        if _SHELL_SYNTAX.search(command):
            return ("sh", "-c", command)
        try:
            return tuple(shlex.split(command))
        except ValueError as error:
            wrong(f"should be a command, got {shown(value)}: {str(error).lower()}.")
    if not isinstance(value, list | tuple):
        wrong(f"should be a command (a text, or a list of words), got {shown(value)}.")
    words = tuple(_WORDS.check(value))
    if not words[0]:
        wrong("should be a command, got an empty word for the program.")
    port = next((word for word in words if re.search(r"\$(?:PORT\b|\{PORT\})", word)), None)
    if port is not None and words[0].rsplit("/", 1)[-1] not in _SHELLS:
        wrong(
            f"should be a command, got {shown(port)} in a list: no shell is there to replace $PORT. "
            f"Write the command as one text."
        )
    return words


Run = Annotated[
    str | tuple[str, ...], Checked(_check_run, {"anyOf": [{"type": "string", "minLength": 1}, dict(_WORDS.schema)]})
]
Start = Annotated[
    tuple[str, ...], Checked(start_words, {"anyOf": [{"type": "string", "minLength": 1}, dict(_WORDS.schema)]}, list)
]


# -- values with references ------------------------------------------------------------------------------------------


def _check_value(value: object) -> Value:
    """A text with `${NAME}` in it, `{from_file: path}` or `{env: NAME, secret: false, default: text}`."""
    if isinstance(value, FromFile | FromEnv):
        return value
    if isinstance(value, Mapping):
        return _check_reference(value)
    if isinstance(value, bool):
        value = "true" if value else "false"
    value = number_text(value)
    if not isinstance(value, str):
        hint = ' Write "" for an empty text.' if value is None else ""
        wrong(f"should be a text, {{from_file: path}} or {{env: NAME}}, got {shown(value)}.{hint}")
    if len(value) > values.VALUE_CHARS_MAX or "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        wrong("should be a text of at most 131,072 characters, without NUL characters.")
    try:
        values.references(value)
    except values.BadReference as bad:
        wrong(str(bad))
    return str(value)


def _check_reference(given: Mapping[Any, Any]) -> Value:
    known = ("from_file", "env", "secret", "default")
    for key in given:
        if key not in known:
            close = nearest(str(key), known)
            hint = f"Did you mean `{close}`?" if close else f"Known are: {', '.join(known)}."
            wrong(f"is no key of a reference. {hint}", (str(key),))
    if set(given) == {"from_file"}:
        path = given["from_file"]
        if not isinstance(path, str) or not path:
            wrong(f"should be the path of a file, got {shown(path)}.", ("from_file",))
        return FromFile(str(path))
    if "env" not in given or "from_file" in given:
        wrong("should be {from_file: path} or {env: NAME, secret: false, default: text}.")
    name = given["env"]
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        wrong(f"should be the name of an environment variable, got {shown(name)}.", ("env",))
    default = given.get("default")
    if isinstance(default, Mapping | list | tuple):
        wrong(f"should be a text, got {shown(default)}.", ("default",))
    secret = True if given.get("secret") is None else FLAG.check(given["secret"])
    return FromEnv(
        str(name),
        secret=secret,
        default=None
        if default is None
        else str(_check_value(default))
        if not isinstance(default, str)
        else str(default),
    )


def dump_value(value: Value) -> str | dict[str, Any]:
    """The plan's own form of a value."""
    if isinstance(value, FromFile):
        return {"from_file": value.path}
    if isinstance(value, FromEnv):
        shape: dict[str, Any] = {"env": value.name}
        if not value.secret:
            shape["secret"] = False
        return shape if value.default is None else shape | {"default": value.default}
    return value


_REFERENCES = [
    {
        "type": "object",
        "properties": {"from_file": {"type": "string"}},
        "required": ["from_file"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "env": {"type": "string"},
            "secret": {"type": "boolean"},
            "default": {"type": ["string", "number", "boolean"]},
        },
        "required": ["env"],
        "additionalProperties": False,
    },
]
VALUE = Checked(_check_value, {"anyOf": [{"type": ["string", "number", "boolean"]}, *_REFERENCES]}, dump_value)
_ENV_NAME = text(
    "the name of an environment variable", pattern=r"[A-Za-z_][A-Za-z0-9_.-]*", rule="letters, digits and _", most=200
)
_HEADER_NAME = text("the name of a header", pattern=r"[!#$%&'*+.^_`|~A-Za-z0-9-]+", most=200)

PlanValue = Annotated[Value, VALUE]
PlanValues = Annotated[tuple[Value, ...], texts("a list of addresses", VALUE)]
Env = Annotated[dict[str, Value], mapping("a mapping of names to values", _ENV_NAME, VALUE)]
Headers = Annotated[dict[str, Value], mapping("a mapping of header names to values", _HEADER_NAME, VALUE)]
