"""`failback doctor`: checks every prerequisite and permission, and says how to get what is missing."""

from __future__ import annotations

from failback.cli.options import HomeDir, Json, ends_with_code, print_json


@ends_with_code
def doctor(home: HomeDir = None, as_json: Json = False) -> int:
    """Check prerequisites and permissions, and say how to get what is missing. Exit code 6 if something is."""
    import dataclasses

    from failback.cli.render.console import write
    from failback.executor.examination import examine
    from failback.executor.home import Home

    findings = examine(Home.at(home))
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        marks = {"ok": "✓", "info": "·", "warning": "!", "error": "✗"}
        for finding in findings:
            write(f"{marks[finding.level]} {finding.subject}: {finding.message}\n")
            if finding.remedy:
                write(f"    {finding.remedy}\n")
    return 6 if any(finding.level == "error" for finding in findings) else 0
