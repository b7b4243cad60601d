"""`failback resume`: takes up executions whose process died."""

from __future__ import annotations

import sys

from failback.cli.options import HomeDir, Json, ends_with_code, print_json


@ends_with_code
def resume(home: HomeDir = None, as_json: Json = False) -> int:
    """Take up executions whose process died, and bring each to its end."""
    from failback.cli.render.console import write
    from failback.cli.render.progress import PlainProgress
    from failback.cli.render.report import report
    from failback.executor.engine import Engine
    from failback.executor.home import Home
    from failback.model.execution import exit_code_of

    results = Engine(Home.at(home)).resume([PlainProgress(sys.stderr if as_json else sys.stdout)])
    if as_json:
        print_json(results)
    elif not results:
        write("Nothing to take up: every execution has ended or is running.\n")
    else:
        for result in results:
            write("\n" + report(result, actions=False))
    # A recovered failure is what resume is for; only an unstable service needs a person.
    return 4 if any(exit_code_of(result) == 4 for result in results) else 0
