"""Takes secrets out of text, bytes in flight and nested values before anybody stores or sends them.

Imported by the launcher of every process: only `re` and `binascii` are loaded, patterns are compiled at first need.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, hexlify
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

MASK = "***"
SECRET_CHARS_MIN = 6  # shorter values would mask half of every log
LINE_KB_MAX = 64
PEM_KB_MAX = 64  # an unclosed private key masks at most this much of a stream
DEPTH_MAX = 200  # of nested values; deeper ones are replaced, not followed
_BORDER_BYTES = 4096  # held back where a line is cut: longer than any token shape's beginning

_V = r"""[^\s"'`,;&<>(){}\[\]\\]"""  # a character of an unquoted value
_NO_SECRET = (
    r"(?!(?:invalid|required|missing|expired|incorrect|undefined|unknown|rejected|revoked|string|boolean|object|"
    r"unexpected|authentication|\*\*\*)\b)"
)
_NAME = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret(?:[_-]?(?:access)?[_-]?key)?|token|credentials?|"
    r"(?:api|access|auth|private|signing|encryption|account)[_-]?key)"
)
_QUOTED = r"(?:\"[^\"\n]+\"|'[^'\n]+'|"
_BASIC = r"(?<=authorization: )basic|(?<=authorization=)basic|(?<=authorization\": \")basic"
_KEY_BLOCK = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*KEY(?: BLOCK)?-----|\Z)"


class _Shape:
    """One well-known form of a secret: `anchors` (lower case, one must be in the text), pattern, its replacement."""

    __slots__ = ("anchors", "pattern", "put")

    def __init__(self, anchors: str, pattern: str, put: str = MASK) -> None:
        self.anchors = tuple(anchors.split("|"))
        self.pattern = pattern
        self.put = put


# A token that a provider gave out: at least 20 characters of letters, digits and "_.-" in a row (the fast path's test).
_TOKENS = (
    _Shape("akia|asia", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    _Shape("ghp_|gho_|ghu_|ghs_|ghr_|github_pat_", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    _Shape("glpat-|gldt-|glrt-|glcbt-", r"\bgl(?:pat|dt|rt|cbt)-[A-Za-z0-9_.-]{15,}"),
    _Shape("xox|xapp-", r"\b(?:xox[abeprs]|xapp)[.-][A-Za-z0-9.-]{8,}"),
    _Shape("hooks.slack.com", r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_-]+", r"\1" + MASK),
    _Shape("discord", r"(?i)(discord(?:app)?\.com/api/webhooks/)[A-Za-z0-9/_-]+", r"\1" + MASK),
    _Shape("aiza", r"\bAIza[A-Za-z0-9_-]{30,}"),
    _Shape("ya29.", r"\bya29\.[A-Za-z0-9_-]{20,}"),
    _Shape("_live_|_test_", r"\b(?:sk|rk|pk|whsec)_(?:live|test)_[A-Za-z0-9]{10,}"),
    _Shape("whsec_", r"\bwhsec_[A-Za-z0-9+/=]{16,}"),
    _Shape("npm_", r"\bnpm_[A-Za-z0-9]{30,}"),
    _Shape("pypi-", r"\bpypi-[A-Za-z0-9_-]{30,}"),
    _Shape("eyj", r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"),
    _Shape("sk-", r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{20,}"),
    _Shape("sg.", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _Shape("hf_", r"\bhf_[A-Za-z0-9]{30,}"),
    _Shape("_v1_", r"\bdo[opr]_v1_[a-f0-9]{40,}"),
    _Shape("age-secret-key-", r"(?i)\bAGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{20,}"),
    _Shape("hvs.|hvb.", r"\bhv[sb]\.[A-Za-z0-9_-]{20,}"),
    _Shape("dckr_pat_", r"\bdckr_pat_[A-Za-z0-9_-]{20,}"),
    _Shape("shpat_|shpss_|shppa_|shpca_", r"\bshp(?:at|ss|pa|ca)_[a-fA-F0-9]{32}"),
)
_WORDS = "pass|pwd|secret|token|credential|_key|-key|pikey|sskey|thkey|tekey|ngkey|onkey|ntkey"
_NAMED = (
    _Shape("private key", _KEY_BLOCK),
    _Shape("://", r"(\b[a-zA-Z][\w+.-]{1,30}://[^\s:@/\"'<>]{0,200}:)[^\s/@\"'<>]{1,400}(?=@)", r"\1" + MASK),
    _Shape(
        "bearer |basic ",
        r"(?i)\b(bearer|" + _BASIC + r") +(?!\*\*\*|token\b|auth)[A-Za-z0-9._~+/=-]{8,}",
        r"\1 " + MASK,
    ),
    _Shape("?sig=|&sig=", r"(?i)([?&]sig=)[A-Za-z0-9%+/=_-]{16,}", r"\1" + MASK),
    _Shape(
        _WORDS, r"(?i)(" + _NAME + r"[\"']?\s?(?:=|:=|=>|:\s?(?=[\"']))\s?)" + _QUOTED + _V + r"{3,})", r"\1" + MASK
    ),
    _Shape(_WORDS, r"(?i)(" + _NAME + r"[\"']?: ?)" + _NO_SECRET + _V + r"{6,}", r"\1" + MASK),
    _Shape("--pass|--token|--secret", r"(?i)(--(?:password|passwd|token|secret|api-key) )(?!-)\S{3,}", r"\1" + MASK),
)
_SHAPES = _NAMED + _TOKENS
_SENSITIVE_KEY = (
    r"(?i)^(?:.*[_.\-]|.*(?-i:(?<=[a-z])(?=[A-Z])))?(?:pass(?:word|wd|phrase)|pwd|secret|secret[_-]?key|api[_-]?key|"
    r"access[_-]?key|secret[_-]?access[_-]?key|private[_-]?key|signing[_-]?key|token|authorization|credentials?|dsn)$"
)
_RUN_TABLE = bytes(65 if (chr(b).isalnum() and b < 128) or b in b"_.-" else 32 for b in range(256))
_TOKEN_RUN = b"A" * 20


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


class Redactor:
    """Masks given secret values (6 characters and more) in every form they travel in, and well-known token shapes."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._known: set[str] = set()
        self.add(values)

    def add(self, values: Iterable[str]) -> None:
        """Masks these values as well, from now on; for secrets that are met on the way (a manifest's, a cluster's)."""
        fresh = {value for value in values if value not in self._known}
        if not fresh and self._known:
            return
        self._known |= fresh
        forms = set(self._forms)
        for value in fresh:
            forms.update(_forms_of(value))
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        encoded = [_encoded(form) for form in self._forms]
        self._longest = max((len(form) for form in encoded), default=0)
        self._token_like = tuple(form for form in encoded if _TOKEN_RUN in form.translate(_RUN_TABLE))
        self._others = tuple(form for form in encoded if _TOKEN_RUN not in form.translate(_RUN_TABLE))

    @property
    def longest_form_bytes(self) -> int:
        """Length in bytes of the longest text that is masked as a given value (0 without values)."""
        return self._longest

    def redact(self, text: str) -> str:
        """The text with every secret replaced by `***`. Line breaks stay, except inside a masked private key."""
        if self.is_clean(_encoded(text)):
            return text
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        if "PRIVATE KEY" in text:
            text = _compiled(_KEY_BLOCK).sub(MASK, text)
        lowered = text.lower()
        shapes = tuple(shape for shape in _SHAPES if _has(lowered, shape.anchors))
        if not shapes:
            return text
        return "\n".join([_masked(line, shapes) for line in text.split("\n")])

    def is_clean(self, chunk: bytes) -> bool:
        """True when no secret can stand in these bytes (the fast path; False only means: look closer)."""
        lowered = chunk.lower()
        words, tokens = _fast_anchors()
        for anchor in words:
            if anchor in lowered:
                return False
        if b"@" in chunk and b"://" in chunk:
            return False
        for form in self._others:
            if form in chunk:
                return False
        if _TOKEN_RUN not in chunk.translate(_RUN_TABLE):
            return True
        return not any(t in lowered for t in tokens) and not any(f in chunk for f in self._token_like)

    def redact_bytes(self, chunk: bytes) -> bytes:
        """As `redact`, for whole lines of bytes; bytes that are not UTF-8 come out as they went in."""
        if self.is_clean(chunk):
            return chunk
        return _encoded(self.redact(chunk.decode("utf-8", "surrogateescape")))

    def redact_value(self, value: Any) -> Any:
        """A copy of nested mappings and lists in which every string (keys too) is redacted.

        A string under a name such as `password`, an `env` entry of such a name and a Secret's data are masked whole.
        A value with `as_dict()` is taken as that dictionary.
        """
        return self._value(value.as_dict() if hasattr(value, "as_dict") else value, 0)

    def _value(self, value: Any, depth: int) -> Any:
        if depth > DEPTH_MAX:
            return "[nested too deep]"
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, bytes):
            return self.redact(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth + 1) for item in value]
        return value

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        secret_object = value.get("kind") == "Secret"
        named = isinstance(value.get("name"), str) and _is_sensitive(value["name"])
        out: dict[Any, Any] = {}
        for key, item in value.items():
            clean_key = self.redact(key) if isinstance(key, str) else key
            if secret_object and key in ("data", "stringData") and isinstance(item, Mapping):
                out[clean_key] = dict.fromkeys(item, MASK)
            elif isinstance(item, str | bytes) and (
                (isinstance(key, str) and _is_sensitive(key)) or (named and key == "value")
            ):
                out[clean_key] = MASK if item else item
            else:
                out[clean_key] = self._value(item, depth + 1)
        return out


class StreamRedactor:
    """Redacts bytes that arrive in pieces: a secret cut by a border of pieces does not leak, and memory is bounded.

    `feed` returns what is safe to write so far (whole lines), `close` the rest. A line over `line_kb_max` KB is cut.
    """

    def __init__(self, redactor: Redactor, line_kb_max: int = LINE_KB_MAX) -> None:
        self._redactor = redactor
        self._line_bytes_max = line_kb_max * 1024
        self._border = max(_BORDER_BYTES, redactor.longest_form_bytes)
        self._held = b""
        self._skipping = False  # the rest of a line that was cut
        self._in_key = 0  # bytes seen of a private key that has not ended

    def feed(self, chunk: bytes) -> bytes:
        """Takes bytes of any length; returns redacted bytes that end at a line's end (or nothing)."""
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        if end < 0:
            self._held += chunk
            return self._cut_if_long()
        lines, self._held = self._held + chunk[: end + 1], chunk[end + 1 :]
        if self._skipping:
            breaks = [i for i in (lines.find(b"\n"), lines.find(b"\r")) if i >= 0]
            lines = lines[min(breaks) :]
            self._skipping = False
        return self._lines(lines) + self._cut_if_long()

    def close(self) -> bytes:
        """What was held back, redacted; the stream is at its end."""
        held, self._held = self._held, b""
        return b"" if self._skipping else self._lines(held)

    def _lines(self, lines: bytes) -> bytes:
        if not self._in_key and b"PRIVATE KEY" not in lines:
            return self._redactor.redact_bytes(lines)
        return b"".join(self._key_line(line) for line in lines.splitlines(keepends=True))

    def _key_line(self, line: bytes) -> bytes:
        """A private key's lines one by one: from BEGIN to END nothing comes out but one mask."""
        if self._in_key:
            self._in_key += len(line)
            if b"-----END" in line:
                self._in_key = 0
                return self._redactor.redact_bytes(line.rpartition(b"-----")[2])
            if self._in_key > PEM_KB_MAX * 1024:
                self._in_key = 0
            return b""
        start = line.find(b"-----BEGIN")
        if start >= 0 and b"PRIVATE KEY" in line and b"-----END" not in line[start:]:
            self._in_key = len(line) - start
            return self._redactor.redact_bytes(line[:start]) + MASK.encode() + b"\n"
        return self._redactor.redact_bytes(line)

    def _cut_if_long(self) -> bytes:
        if self._skipping:
            self._held = b""
            return b""
        if len(self._held) <= self._line_bytes_max + self._border:
            return b""
        clean = self._lines(self._held)[: -self._border]
        self._held = b""
        self._skipping = True
        return clean + b" [line cut after %d KB]" % (self._line_bytes_max // 1024)


def redact_value(value: Any, values: Iterable[str] = ()) -> Any:
    """`Redactor(values).redact_value(value)` for a single use."""
    return Redactor(values).redact_value(value)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _masked(line: str, shapes: tuple[_Shape, ...]) -> str:
    lowered = line.lower()
    for shape in shapes:
        for anchor in shape.anchors:
            if anchor in lowered:
                line = _compiled(shape.pattern).sub(shape.put, line)
                break
    return line


@lru_cache(maxsize=1)
def _fast_anchors() -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """(anchors looked for in every piece, anchors looked for only where a token-like run of characters stands)."""
    words = {anchor for shape in _NAMED for anchor in shape.anchors if anchor != "://"}
    words -= {anchor for anchor in words if any(other in anchor for other in words - {anchor})}
    tokens = {anchor for shape in _TOKENS for anchor in shape.anchors}
    return tuple(a.encode() for a in sorted(words)), tuple(a.encode() for a in sorted(tokens))


def _has(lowered: str, anchors: Iterable[str]) -> bool:
    return any(anchor in lowered for anchor in anchors)


@lru_cache(maxsize=4096)
def _is_sensitive(key: str) -> bool:
    return len(key) < 200 and _compiled(_SENSITIVE_KEY).match(key) is not None


def _forms_of(value: str) -> set[str]:
    """The value, its lines, and what programs make of them: URL-quoted, base64 at each alignment, JSON-escaped, hex."""
    forms: set[str] = set()
    parts = {value, value.strip(), *value.splitlines(), *(line.strip() for line in value.splitlines())}
    for part in parts:
        if len(part) < SECRET_CHARS_MIN:
            continue
        raw = _encoded(part)
        forms.add(part)
        forms.update(_quoted(raw))
        forms.update(_base64_cores(raw))
        forms.update(_json_escaped(part))
        forms.add(hexlify(raw).decode())
    return {form for form in forms if len(form) >= SECRET_CHARS_MIN}


def _quoted(raw: bytes) -> set[str]:
    def quote(safe: Callable[[int], bool], space: str, style: str) -> str:
        return "".join(chr(b) if safe(b) else space if b == 32 else f"%{b:{style}}" for b in raw)

    def unreserved(byte: int) -> bool:
        return chr(byte).isascii() and (chr(byte).isalnum() or byte in b"-_.~")

    def unreserved_or_slash(byte: int) -> bool:
        return unreserved(byte) or byte == 47

    return {quote(safe, space, style) for safe in (unreserved, unreserved_or_slash)
            for space in ("%20", "+") for style in ("02X", "02x")}  # fmt: skip


def _base64_cores(raw: bytes) -> set[str]:
    """The characters of base64 that depend on the secret alone, wherever it starts in the encoded text."""
    cores: set[str] = set()
    for shift, lead in ((0, 0), (1, 2), (2, 3)):
        encoded = b2a_base64(b"\0" * shift + raw, newline=False).decode()
        rest = (shift + len(raw)) % 3
        core = encoded[lead : len(encoded) - (0, 3, 2)[rest]]
        cores.update((core, core.replace("+", "-").replace("/", "_")))
        if shift == 0:
            cores.add(encoded)
    return {core for core in cores if len(core) >= SECRET_CHARS_MIN}


def _json_escaped(part: str) -> set[str]:
    names = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    plain = "".join(names.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 else c) for c in part)
    ascii_only = "".join(c if ord(c) < 127 else _utf16_escapes(c) for c in plain)
    return {plain, ascii_only, plain.replace("/", "\\/"), part.replace("'", "\\'")}


def _utf16_escapes(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
