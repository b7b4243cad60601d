"""The archive of a failure: the execution (JSON), the error (text) and the system's state (YAML), masked throughout."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from failback.executor.context import Execution
from failback.executor.evidence import load
from failback.model.execution import impact_with_count
from failback.model.safe_json import safe_json
from failback.telemetry.reading import read_events

_LOG_CHARS_MAX = 200_000


def write_archive(x: Execution, result: Mapping[str, Any]) -> dict[str, Path]:
    """Writes the three files and returns them by kind. A second call for the same execution replaces its own files."""
    stem = _stem(x)
    folder = x.home.failure_logs
    contents = {
        "execution": (folder / f"execution-{stem}.json", _execution(x, result)),
        "error": (folder / f"error-{stem}.txt", _error(x, result)),
        "state": (folder / f"state-{stem}.yaml", _state(x, result)),
    }
    for path, text in contents.values():
        _write(path, x.redactor.redact(text))
    return {kind: path for kind, (path, _) in contents.items()}


def rewrite_archive(x: Execution, result: Mapping[str, Any]) -> None:
    """At the end once more, so that the archive also tells of the phases after it; only where there is one."""
    if (x.files / "archive").exists():
        write_archive(x, result)


def _stem(x: Execution) -> str:
    """The execution's second (with its suffix); claimed exclusively, since two environments share the folder."""
    chosen = x.files / "archive"
    if chosen.exists():
        return chosen.read_text()
    base = x.id.rsplit("_", 1)[-1]
    folder = x.home.failure_logs
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = 1
    while True:
        stem = base if number == 1 else f"{base}-{number}"
        try:
            (folder / f"execution-{stem}.json").open("x").close()
        except FileExistsError:
            number += 1
            continue
        chosen.write_text(stem)
        return stem


def _execution(x: Execution, result: Mapping[str, Any]) -> str:
    """The spec's log structure, with the whole result beside it."""
    rollback = result["rollback"]
    cause = result["root_cause"]
    rolled_back = result["status"] == "failed" and rollback["phases"]
    log = {
        **result,
        "status": "failed_with_rollback" if rolled_back else result["status"],
        "root_cause": cause,
        "evidence": load(x).as_dict(),
        "events": list(read_events(x.events.path)),
        "writes": x.store.writes(x.id),
    }
    return safe_json(x.redactor.redact_value(log), indent=1)


def _error(x: Execution, result: Mapping[str, Any]) -> str:
    evidence = load(x)
    error = result.get("error", {})
    cause = result["root_cause"] or {}
    lines = [
        f"Execution {x.id} of {x.row.service} failed at {error.get('step')}: {error.get('reason')}",
        f"Cause ({cause.get('type', 'unknown')}): {cause.get('cause', 'not determined')}",
        f"User impact: {impact_with_count(result['rollback']['user_impact'], result['traffic'])}",
        f"System status: {result['rollback']['system_status']}",
        "",
    ]
    if evidence.step_output:
        lines += ["--- output of the step", evidence.step_output[-_LOG_CHARS_MAX:]]
    for name, log in evidence.logs.items():
        for which, text in (("current", log.current), ("previous", log.previous)):
            if text:
                lines += [f"--- log of {name} ({which})", text[-_LOG_CHARS_MAX:]]
    if evidence.change:
        lines += ["--- what changed since the last good release", evidence.change[-_LOG_CHARS_MAX:]]
    return "\n".join(lines) + "\n"


def _state(x: Execution, result: Mapping[str, Any]) -> str:
    state = x.kept("state.json") or {}
    shape = x.redactor.redact_value(
        {"execution": x.id, "service": x.row.service, "system_status": result["rollback"]["system_status"], **state}
    )
    return yaml.safe_dump(json.loads(json.dumps(shape, default=str)), sort_keys=False, allow_unicode=True)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o600)
    temporary.replace(path)
