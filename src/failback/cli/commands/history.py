"""`failback history`: what was done, and the figures of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from failback.cli.options import HomeDir, Json, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.executor.home import Home
    from failback.executor.store import ExecutionRow

_ALL = 100_000

Service = Annotated[str | None, typer.Argument(metavar="SERVICE", help="Only this service.", show_default=False)]


@ends_with_code
def history(
    service: Service = None,
    home: HomeDir = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="So many at most.", min=1)] = 20,
    stats: Annotated[bool, typer.Option("--stats", help="The figures of all of them instead.")] = False,
    as_json: Json = False,
) -> int:
    """List past executions, newest first; with --stats, the figures of all of them."""
    if stats:
        return _stats(home, service, as_json)
    from failback.cli.render.console import table, write
    from failback.cli.render.text import one_line, seconds
    from failback.executor.home import Home

    rows = _rows(Home.at(home), service, limit)
    if as_json:
        print_json([summary(row) for row in rows])
        return 0
    if not rows:
        write("No executions yet.\n")
        return 0
    lines = []
    for row in rows:
        told = summary(row)
        lines.append(
            [
                row.id,
                row.service,
                row.kind,
                told["status"],
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.created_at)),
                seconds(told["duration"]),
                _brief(row),
                one_line(told["cause"], 70),
            ]
        )
    write(table(lines, ["EXECUTION", "SERVICE", "KIND", "STATUS", "STARTED", "TOOK", "USER IMPACT", "CAUSE"]))
    return 0


def _stats(home: Path | None, service: str | None, as_json: bool) -> int:
    """Deployment, rollback and failure figures over everything that is recorded."""
    from failback.cli.render.console import write
    from failback.cli.render.statistics import statistics
    from failback.executor.home import Home
    from failback.executor.memory import memory
    from failback.learning.statistics import summary as figures_of

    place = Home.at(home)
    rows = _rows(place, service, _ALL)
    failures = []
    if place.exists:
        with memory(place, create=False) as store:
            failures = store.failures(service)
    figures = figures_of(
        [{"kind": r.kind, "created_at": r.created_at, "ended_at": r.ended_at, "result": r.result} for r in rows],
        failures,
    )
    if as_json:
        print_json(figures)
    else:
        write("\n".join(statistics(figures)) + "\n")
    return 0


def _rows(place: Home, service: str | None, limit: int) -> list[ExecutionRow]:
    from failback.executor.store import Store

    if not place.exists:
        return []
    store = Store(place.database, create=False)
    try:
        return store.executions(service=service, limit=limit)
    finally:
        store.close()


def summary(row: ExecutionRow) -> dict[str, Any]:
    """One execution in a line's worth of facts."""
    from failback.model.execution import impact_with_count

    result = row.result or {}
    rollback = result.get("rollback") or {}
    return {
        "execution_id": row.id,
        "service": row.service,
        "kind": row.kind,
        "status": (result.get("status") or "running")
        + (f", {rollback['system_status']}" if result.get("status") == "failed" and not result.get("refused") else ""),
        "started": row.created_at,
        "duration": (row.ended_at - row.created_at) if row.ended_at else None,
        "user_impact": impact_with_count(rollback["user_impact"], result["traffic"]) if result else "",
        "cause": (result.get("root_cause") or {}).get("cause") or (result.get("error") or {}).get("reason", ""),
        "exit_code": row.exit_code,
    }


def _brief(row: ExecutionRow) -> str:
    """The impact in a column: what shows it stands in the execution's own report, but a count is short enough."""
    if not row.result:
        return ""
    impact, traffic = str(row.result["rollback"]["user_impact"]), row.result["traffic"]
    if traffic.get("sample") or not traffic.get("requests"):
        return impact
    return f"{impact} ({traffic['failed']:,} of {traffic['requests']:,})"


def find(place: Home, wanted: str | None) -> ExecutionRow:
    """The execution of that id, or the only one whose id ends so. Raises UnknownExecution."""
    from failback.model.errors import UnknownExecution

    rows = _rows(place, None, 10_000)
    if wanted is None and rows:
        return rows[0]
    found = [row for row in rows if row.id == wanted] or [row for row in rows if wanted and row.id.endswith(wanted)]
    if len(found) != 1:
        near = ", ".join(_nearest(wanted or "", [row.id for row in rows])) or "there is none yet"
        what = "more than one execution ends" if len(found) > 1 else "no execution has the id, or ends"
        raise UnknownExecution(
            f"In {place.root} {what} with {wanted!r}. Executions: {near}.", execution=wanted, home=str(place.root)
        )
    return found[0]


def _nearest(wanted: str, ids: list[str]) -> Iterator[str]:
    import difflib

    yield from difflib.get_close_matches(wanted, ids, n=3, cutoff=0.3) or ids[:3]
