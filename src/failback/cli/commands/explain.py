"""`failback explain`: one execution in full; its fix as a patch; a person's correction of its cause."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from failback.cli.commands.history import find
from failback.cli.options import HomeDir, Json, ends_with_code, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from failback.executor.home import Home
    from failback.executor.store import ExecutionRow

_NOTE_CHARS_MAX = 1_000

ExecutionId = Annotated[
    str | None,
    typer.Argument(metavar="EXECUTION", help="Its id, or the end of it; without one, the latest.", show_default=False),
]


@ends_with_code
def explain(
    execution: ExecutionId = None,
    patch: Annotated[bool, typer.Option("--patch", help="Print the fix as a diff, for `git apply`.")] = False,
    correct: Annotated[
        str | None,
        typer.Option("--correct", metavar="TYPE", help="Say what the cause really was.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="With --correct: why, or what helps.", show_default=False)] = "",
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Tell one execution in full: summary, timeline, evidence, cause, fixes."""
    from failback.executor.home import Home
    from failback.model.errors import UsageError

    place = Home.at(home)
    row = find(place, execution)
    if note and correct is None:
        raise UsageError("--note belongs to --correct TYPE: say what the cause was, too.")
    if correct is not None:
        return _correct(place, row, correct, note, as_json)
    folder = place.execution(row.id)
    if patch:
        return _patch(row, folder, as_json)
    if as_json:
        from failback.telemetry.reading import read_events, read_json

        print_json(
            {
                **(row.result or {"execution_id": row.id, "status": "running"}),
                "evidence": read_json(folder / "evidence.json"),
                "corrections": _corrections(place, row),
                "tried_fixes": _fixes(folder),
                "events": list(read_events(folder / "events.jsonl")),
            }
        )
        return 0
    from failback.cli.render.console import write
    from failback.cli.render.incident import incident

    write("\n".join(incident(row, folder, _corrections(place, row))) + "\n")
    return 0


def _fixes(folder: Path) -> list[dict[str, Any]]:
    from failback.telemetry.reading import read_json

    kept = read_json(folder / "fixes.json")
    return list(kept.get("fixes") or []) if isinstance(kept, dict) else []


def _patch(row: ExecutionRow, folder: Path, as_json: bool) -> int:
    """The diff alone on standard output, so that it can be piped; where it belongs on standard error."""
    from failback.cli.render.text import plain
    from failback.model.errors import UsageError
    from failback.model.fix import best

    fixes = _fixes(folder)
    fix = best(fixes)
    if fix is None:
        why = "none of the fixes that were tried passed" if fixes else "no change of configuration was found that may"
        raise UsageError(f"{row.id} has no patch: {why} end this failure.")
    if not fix.get("patch"):
        raise UsageError(f"{fix['action']}: this cannot be a patch: {fix.get('no_patch')}.")
    text = (folder / fix["patch"]).read_bytes().decode()
    if as_json:
        told = {key: fix[key] for key in ("action", "why", "status", "tried", "seconds", "root")}
        print_json({**told, "patch": text})
        return 0
    sure = f"passed the gate in {fix['seconds']:.1f} s" if fix["status"] == "verified" else "NOT tried"
    sys.stderr.write(f"{plain(fix['action'])} ({sure}). In {fix['root']}: git apply, or patch -p1\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())  # as it is: no line end of it may be translated
    return 0


def _correct(place: Home, row: ExecutionRow, type_: str, note: str, as_json: bool) -> int:
    """Stores a person's word about the cause; from then on it weighs whenever the same signature comes again."""
    from failback.executor.memory import memory
    from failback.learning.store import correction
    from failback.model.diagnosis import FailureType
    from failback.model.errors import UsageError
    from failback.model.plan_base import nearest
    from failback.model.redaction import Redactor

    types = [str(kind) for kind in FailureType if kind is not FailureType.NONE]
    wanted = type_.strip().lower().replace("-", "_")
    if wanted not in types:
        close = nearest(wanted, types)
        raise UsageError(
            f"{type_!r} is no failure type." + (f" Did you mean {close}?" if close else f" Types: {', '.join(types)}.")
        )
    mark = ((row.result or {}).get("root_cause") or {}).get("signature")
    if not mark:
        raise UsageError(f"{row.id} has no diagnosis that could be corrected: only a failed execution has one.")
    if len(note) > _NOTE_CHARS_MAX:
        raise UsageError(f"The note has {len(note):,} characters; {_NOTE_CHARS_MAX:,} are kept at most.")
    told = correction(row.id, mark, wanted, Redactor().redact(note.strip()), _person())
    with memory(place) as store:
        store.correct(told)
    if as_json:
        print_json({"execution_id": row.id, "signature": mark, "type": told.type, "note": told.note, "by": told.by})
    else:
        sys.stdout.write(f"Noted: {row.id} was {told.type}. It weighs when the same failure comes again.\n")
    return 0


def _corrections(place: Home, row: ExecutionRow) -> list[dict[str, Any]]:
    """What people said about this very execution; none where the memory cannot be read."""
    from dataclasses import asdict

    from failback.executor.memory import memory
    from failback.model.errors import MemoryUnavailable

    if not ((row.result or {}).get("root_cause") or {}).get("signature"):
        return []
    try:
        with memory(place, create=False) as store:
            return [asdict(one) for one in store.corrections("WHERE execution_id = ? ORDER BY corrected_at", (row.id,))]
    except MemoryUnavailable:
        return []


def _person() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "a person"
