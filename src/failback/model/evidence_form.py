"""Reads evidence from its stored form and from a recorded case, and says which field is wrong when it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from failback.model.evidence import Evidence, FailedStep, LogPair, MemorySample, ProbeResult, ReplicaEvidence

TARGETS = ("kubernetes", "local", "none")
T = TypeVar("T")


def evidence_from_dict(shape: Mapping[str, Any]) -> Evidence:
    """Evidence from `Evidence.as_dict()`, from the `given` part of a recorded case, or from the whole case.

    Unknown keys are ignored, absent and null ones take their default. Raises ValueError, naming the field's path.
    """
    if not isinstance(shape, Mapping):
        raise ValueError(f"evidence: should be a mapping, got {type(shape).__name__}")
    given = shape.get("given")
    if "target" not in shape and isinstance(given, Mapping):
        shape = given
    read = _Reader(shape, "")
    return Evidence(
        target=read.target(),
        failed_step=read.part("failed_step", _failed_step),
        exit_code=read.integer("exit_code"),
        step_output=read.text("step_output"),
        api_error=read.mapping("api_error"),
        pods=read.mappings("pods"),
        events=read.mappings("events"),
        logs=read.logs("logs"),
        log_baseline=read.logs("log_baseline"),
        manifests=read.mappings("manifests"),
        change=read.text("change"),
        replicas=read.parts("replicas", _replica),
        probes=read.parts("probes", _probe),
        release_files=read.texts("release_files"),
        service=read.text("service"),
        verdict_rule=read.text("verdict_rule"),
        verdict_reason=read.text("verdict_reason"),
        timed_out_after_s=read.number("timed_out_after_s"),
    )


class _Reader:
    """Typed access to one mapping; every error carries the path of the field."""

    def __init__(self, shape: Any, path: str) -> None:
        if not isinstance(shape, Mapping):
            raise ValueError(f"{path or 'evidence'}: should be a mapping, got {type(shape).__name__}")
        self._shape = shape
        self._path = path

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _wrong(self, key: str, wanted: str, got: object) -> ValueError:
        return ValueError(f"{self._at(key)}: should be {wanted}, got {type(got).__name__}")

    def target(self) -> str:
        value = self.text("target") or "none"
        if value not in TARGETS:
            raise ValueError(f"target: should be one of {', '.join(TARGETS)}, got {value!r:.60}")
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self._shape.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(key, "a string", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(_text_item(item, f"{self._at(key)}[{i}]") for i, item in enumerate(self._list(key)))

    def integer(self, key: str) -> int | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        return value

    def number(self, key: str) -> float | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number", value)
        return float(value)

    def flag(self, key: str) -> bool:
        value = self._shape.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def mapping(self, key: str) -> Mapping[str, Any] | None:
        value = self._shape.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(key, "a mapping", value)
        return value

    def mappings(self, key: str) -> tuple[Mapping[str, Any], ...]:
        items = self._list(key)
        for i, item in enumerate(items):
            if not isinstance(item, Mapping):
                raise self._wrong(f"{key}[{i}]", "a mapping", item)
        return tuple(items)

    def logs(self, key: str) -> dict[str, LogPair]:
        pairs: dict[str, LogPair] = {}
        for name, value in (self.mapping(key) or {}).items():
            if isinstance(value, str):
                pairs[str(name)] = LogPair(current=value)
            else:
                pair = _Reader(value if value is not None else {}, f"{self._at(key)}.{name}")
                pairs[str(name)] = LogPair(current=pair.text("current"), previous=pair.text("previous"))
        return pairs

    def part(self, key: str, build: Callable[[_Reader], T]) -> T | None:
        value = self._shape.get(key)
        return None if value is None else build(_Reader(value, self._at(key)))

    def parts(self, key: str, build: Callable[[_Reader], T]) -> tuple[T, ...]:
        return tuple(build(_Reader(item, f"{self._at(key)}[{i}]")) for i, item in enumerate(self._list(key)))

    def _list(self, key: str) -> Sequence[Any]:
        value = self._shape.get(key)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise self._wrong(key, "a list", value)
        return value


def _text_item(item: object, path: str) -> str:
    if not isinstance(item, str):
        raise ValueError(f"{path}: should be a string, got {type(item).__name__}")
    return item


def _failed_step(read: _Reader) -> FailedStep:
    return FailedStep(number=read.integer("number") or 0, name=read.text("name"), type=read.text("type"))


def _sample(read: _Reader) -> MemorySample:
    return MemorySample(at_s=read.number("at_s") or 0.0, bytes=read.integer("bytes") or 0)


def _replica(read: _Reader) -> ReplicaEvidence:
    return ReplicaEvidence(
        name=read.text("name"),
        exit_code=read.integer("exit_code"),
        signal=read.text("signal") or None,
        oom_killed=read.flag("oom_killed"),
        lived_s=read.number("lived_s"),
        restarts=read.integer("restarts") or 0,
        memory_limit_bytes=read.integer("memory_limit_bytes"),
        memory_samples=read.parts("memory_samples", _sample),
    )


def _probe(read: _Reader) -> ProbeResult:
    return ProbeResult(
        replica=read.text("replica"),
        path=read.text("path"),
        status=read.integer("status"),
        duration_ms=read.number("duration_ms") or 0.0,
        expected=read.text("expected"),
        passed=read.flag("passed"),
        error=read.text("error") or None,
        body_head=read.text("body_head"),
        kind=read.text("kind") or "smoke",
    )
