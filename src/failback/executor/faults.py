"""Named points at which a test may kill the process: before a write, after its effect, after its record.

`FAILBACK_FAULT=record:FILE` appends each point to FILE as it is passed; `FAILBACK_FAULT=kill:POINT` sends SIGKILL to
this very process there, once; `stop:POINT` sends SIGSTOP, so that the world may change while it is frozen; `fail:POINT`
raises there what no code expects, as a defect would. So the list of boundaries is computed by a run, and a new write is
covered by itself.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

_SETTING = os.environ.get("FAILBACK_FAULT", "")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_passed: Counter[str] = Counter()


def point(name: str) -> None:
    """Passes the point `name`; the n-th passing of a name in this process is called `name#n`."""
    if not _SETTING:
        return
    _passed[name] += 1
    label = f"{name}#{_passed[name]}"
    kind, _, argument = _SETTING.partition(":")
    if kind == "record":
        with Path(argument).open("a") as log:
            log.write(label + "\n")
    elif kind in _SIGNALS and argument == label:
        os.kill(os.getpid(), _SIGNALS[kind])
    elif kind == "fail" and argument == label:
        raise ArithmeticError(f"a defect at {name}")
