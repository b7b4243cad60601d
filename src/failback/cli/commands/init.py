"""`failback init`: looks at the folder and writes a commented plan; overwrites nothing."""

from __future__ import annotations

from pathlib import Path

from failback.cli.options import DEFAULT_PLAN, Json, PlanFile, ends_with_code, print_json


@ends_with_code
def init(file: PlanFile = DEFAULT_PLAN, as_json: Json = False) -> int:
    """Look at this folder and write a commented plan; overwrites nothing."""
    from failback.cli.render.console import write
    from failback.executor.scaffold import write_scaffold

    written = write_scaffold(Path.cwd() if not file.is_absolute() else file.parent, file)
    if as_json:
        print_json(written)
        return 0
    for path in written["written"]:
        write(f"✓ wrote {path}\n")
    for note in written["notes"]:
        write(f"  {note}\n")
    write(f"  Next: read {file}, then `failback plan`, then `failback deploy`.\n")
    return 0
