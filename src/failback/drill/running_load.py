"""A load in a process of its own, so that what is measured does not share an interpreter with what is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_END_S_MAX = 30.0


class RunningLoad:
    """Started at once; `stop` gives the report. Ends by itself when this process goes."""

    def __init__(self, url: str, rate_per_s: float, *, keep_alive: bool = False) -> None:
        kind = "keep-alive" if keep_alive else "new"
        command = [sys.executable, "-I", "-m", "failback.drill.load_process", url, str(rate_per_s), kind]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
        )

    def stop(self) -> dict[str, Any]:
        """Ends the load, waits for the last answers and returns the report's mapping."""
        out, _ = self._process.communicate(timeout=_END_S_MAX)
        report: dict[str, Any] = json.loads(out)
        return report

    def __enter__(self) -> RunningLoad:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
