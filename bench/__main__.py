"""`python -m bench`: the figures of the README, measured now, each beside its bar and its peer.

`--long` adds what is tried hundreds of times (half an hour); `--only-long` is that alone.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

from bench import endurance, local
from bench.rows import Row


def main() -> int:
    """0 when every bar was met. `--json` prints one document."""
    as_json = "--json" in sys.argv
    only_long = "--only-long" in sys.argv
    wanted: list[Iterator[Row]] = [] if only_long else [local.rows()]
    if only_long or "--long" in sys.argv:
        wanted.append(endurance.rows())
    found = []
    if not as_json:
        busy = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began"
        print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {busy}\n")
        print(f"{'WHAT':<76}{'BAR':<14}MEASURED")
    for row in chain(*wanted):
        found.append(row)
        if not as_json:
            mark = {True: "✓", False: "✗", None: " "}[row.met]
            print(f"{mark} {row.what:<74}{row.bar:<14}{row.measured}", flush=True)
    peers = [] if only_long else list(local.peer_rows())
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in found], "peers": peers}, indent=1))
    elif peers:
        print(f"\n{'UNDER 200 REQUESTS/S':<34}{'RESTART IN PLACE':<26}FAILBACK")
        for case, other, ours in peers:
            print(f"{case:<34}{other:<26}{ours}")
    return 1 if any(row.met is False for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
