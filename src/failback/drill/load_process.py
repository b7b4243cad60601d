"""A load in a process of its own: ends when its standard input does (its parent stopped it or died), then reports."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from failback.drill.load import Load, LoadReport


async def _run(url: str, rate_per_s: float, keep_alive: bool) -> LoadReport:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(
        sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 1) else stop.set()
    )
    return await Load(url, rate_per_s, keep_alive=keep_alive).run(stop=stop)


def main() -> None:
    """`python -m failback.drill.load_process URL RATE new|keep-alive`."""
    report = asyncio.run(_run(sys.argv[1], float(sys.argv[2]), sys.argv[3] == "keep-alive"))
    sys.stdout.write(json.dumps(report.as_dict()) + "\n")


if __name__ == "__main__":
    main()
