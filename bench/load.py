"""The load generator as a command: python -m bench.load http://127.0.0.1:8080/ --rate 200 --seconds 10 --json."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from pathlib import Path

from failback.drill.load import LoadReport, run_load


def main(arguments: list[str] | None = None) -> int:
    """0 when every request was answered well, 1 when one failed, 2 on wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        report = asyncio.run(
            run_load(
                options.url,
                options.rate,
                options.seconds,
                keep_alive=options.keep_alive,
                method=options.method,
                tag=options.tag,
                timeout_s_max=options.timeout,
            )
        )
    except ValueError as wrong:
        print(f"bench.load: {wrong}", file=sys.stderr)
        return 2
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = round(_peak_mib(), 1)
    cpu = (used.ru_utime + used.ru_stime) / max(report.seconds, 0.001)
    print(
        json.dumps(report.as_dict() | {"cpu_share": round(cpu, 3), "memory_mib": memory})
        if options.json
        else _text(report, cpu)
    )
    return 1 if report.failed else 0


def _peak_mib() -> float:
    """The most memory that this program had. Linux hands a parent's `ru_maxrss` on to what it starts, so there the
    kernel's own mark of this program is read."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for how long (10)")
    parser.add_argument("--keep-alive", action="store_true", help="keep connections; else a new one for each request")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--tag", default="x-release", help='response header that says who answered, or "body"')
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds until a request counts as failed (10)")
    parser.add_argument("--json", action="store_true")
    return parser


def _text(report: LoadReport, cpu: float) -> str:
    kinds = "".join(f"\n  {kind}: {count:,}" for kind, count in sorted(report.by_kind.items()))
    tags = "".join(f"\n  {name} answered {seen.count:,}" for name, seen in report.answered_by.items())
    latency = ", ".join(f"{name} {ms:.1f}" for name, ms in report.latency_ms.items()) or "no answer"
    return (
        f"{report.failed:,} of {report.sent:,} requests failed in {report.seconds:.1f} s"
        f" ({report.connections:,} connections){kinds}{tags}\n"
        f"latency from the intended time, ms: {latency}\n"
        f"the generator was at most {report.late_ms_max:.1f} ms late, and used {cpu:.0%} of one core"
    )


if __name__ == "__main__":
    sys.exit(main())
