"""One deployment in this process, and how many requests it made of the API server: `FOLDER HOME OUTPUT`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from failback.executor.engine import Engine
from failback.executor.home import Home
from failback.executor.plan_file import load_plan
from failback.targets.kubernetes import cluster


def main(folder: Path, home: Path, output: Path) -> int:
    """0 when it went live."""
    made: list[Any] = []
    original = cluster.Cluster.__init__

    def noted(self: cluster.Cluster, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        made.append(self)

    cluster.Cluster.__init__ = noted  # type: ignore[method-assign]
    began = time.monotonic()
    result = Engine(Home.at(home)).deploy(load_plan(folder / "failback.yaml"), approved=True)
    requests: dict[str, int] = {}
    for one in made:
        for name, count in one.requests.items():
            requests[name] = requests.get(name, 0) + count
    told = {"requests": requests, "total": sum(requests.values()), "seconds": time.monotonic() - began}
    output.write_text(json.dumps(told))
    if result["status"] != "completed":
        print(result.get("error"))
    return 0 if result["status"] == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(*(Path(one) for one in sys.argv[1:4])))
