"""`failback backups list / verify / restore / prune`: the snapshots."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from failback.cli.options import HomeDir, Json, Yes, ends_with_code, print_json

if TYPE_CHECKING:
    from failback.backup.store import SnapshotStore
    from failback.executor.home import Home

app = typer.Typer(help="List, verify, restore and prune the snapshots.", no_args_is_help=True, rich_markup_mode=None)

SnapshotId = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its id.", show_default=False)]
OneService = Annotated[str | None, typer.Option("--service", "-s", help="Only this service.", show_default=False)]
Root = Annotated[
    str | None,
    typer.Option("--root", metavar="DIR", help="The plan's backup_root, if it has one.", show_default=False),
]


@app.command("list")
@ends_with_code
def list_(service: OneService = None, root: Root = None, home: HomeDir = None, as_json: Json = False) -> int:
    """List the snapshots, newest first, and say how to restore without failback."""
    import dataclasses

    from failback.cli.render.console import table, write

    store = _store(home, root)
    found = sorted(store.listed(service), key=lambda reference: reference.created_at, reverse=True)
    if as_json:
        print_json([dataclasses.asdict(reference) for reference in found])
        return 0
    if not found:
        write("No snapshots yet: every deployment makes one first.\n")
        return 0
    rows = [
        [
            reference.id,
            reference.service,
            reference.revision or "-",
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(reference.created_at)),
            "encrypted" if reference.encrypted else "plain",
            str(len(reference.items)),
        ]
        for reference in found
    ]
    write(table(rows, ["SNAPSHOT", "SERVICE", "REVISION", "MADE", "KEPT", "ITEMS"]))
    write("\nWithout failback:\n" + store.explain_restore(found[0]) + "\n")
    return 0


@app.command("verify")
@ends_with_code
def verify(
    snapshot: Annotated[str | None, typer.Argument(metavar="SNAPSHOT", show_default=False)] = None,
    service: OneService = None,
    root: Root = None,
    home: HomeDir = None,
    as_json: Json = False,
) -> int:
    """Read snapshots back: hashes, decryption, content. Exit code 6 if one is damaged."""
    from failback.cli.render.console import write

    store = _store(home, root)
    ids = [snapshot] if snapshot else [reference.id for reference in store.listed(service)]
    problems = {name: store.verify(name) for name in ids}
    if as_json:
        print_json(problems)
    else:
        for name, found in problems.items():
            write(f"✓ {name}: verified\n" if not found else f"✗ {name}: {'; '.join(found)}\n")
        if not ids:
            write("No snapshots yet.\n")
    return 6 if any(problems.values()) else 0


@app.command("restore")
@ends_with_code
def restore(
    snapshot: SnapshotId, root: Root = None, home: HomeDir = None, yes: Yes = False, as_json: Json = False
) -> int:
    """Put a service back as a snapshot has it."""
    from failback.cli.commands.deploy import consent
    from failback.cli.render.console import on_terminal, write
    from failback.cli.render.progress import action_line
    from failback.cli.render.text import seconds
    from failback.executor.home import Home
    from failback.executor.restoring import restore_snapshot
    from failback.model.errors import NotApproved

    place = Home.at(home)
    store = _store(home, root)
    reference = store.get(snapshot)
    if not yes and not (
        sys.stdin.isatty()
        and on_terminal(sys.stdout)
        and consent(f"Put {reference.service} back as snapshot {snapshot} has it?")
    ):
        raise NotApproved(f"{reference.service} goes on as it is: nobody approved. Pass --yes.", snapshot=snapshot)
    began = time.monotonic()
    actions = restore_snapshot(place, store, reference)
    took = time.monotonic() - began
    if as_json:
        print_json({"snapshot": snapshot, "duration": round(took, 3), "actions": actions})
    else:
        write("\n".join(action_line(taken) for taken in actions) + f"\nRestored in {seconds(took)}.\n")
    return 4 if any(taken["ok"] is False for taken in actions) else 0


@app.command("prune")
@ends_with_code
def prune(root: Root = None, home: HomeDir = None, as_json: Json = False) -> int:
    """Remove snapshots past their retention; never the newest good one of a service, nor one in use."""
    from failback.cli.render.console import write
    from failback.executor.home import Home
    from failback.executor.restoring import snapshots_in_use

    store = _store(home, root)
    removed = store.prune(snapshots_in_use(Home.at(home)), time.time())
    if as_json:
        print_json({"removed": removed})
    else:
        write(f"Removed {len(removed)} snapshots.\n" + "".join(f"  {name}\n" for name in removed))
    return 0


def _store(home: object, root: str | None) -> SnapshotStore:
    from failback.executor.home import Home
    from failback.executor.restoring import open_snapshots

    place: Home = Home.at(home)  # type: ignore[arg-type]
    return open_snapshots(place, root)
