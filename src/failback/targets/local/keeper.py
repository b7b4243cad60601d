"""What a systemd or launchd unit runs: the home's supervisor in the foreground, started again if it is not running.

`python -I -m failback.targets.local.keeper HOME RUN_DIR`
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from failback.targets.local.supervision import Supervision

_LOOK_S = 2.0


def main() -> int:
    """Keeps the supervisor alive until told to stop; then ends it, and with it every program, in order."""
    supervision = Supervision(Path(sys.argv[1]) / "supervisor", Path(sys.argv[2]))
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not told:
        supervision.ensure()
        time.sleep(_LOOK_S)
    supervision.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
