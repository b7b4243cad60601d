"""How much time has surely passed: a clock that was set forwards must not make a snapshot look old.

Between two looks within one boot the uptime tells, which nobody can set. Across a reboot only the wall clock is there:
it is believed up to a limit, and not at all when it went back. So the sum is never more than the true time by more
than the limit a reboot, and a snapshot is removed late at worst.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from failback.backup.disk import write_durably

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FILE = ".witness.json"
# Where the system names no boot, each process is one of its own, so that only the limited rule is used.
_UNNAMED = uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at the clocks: `wall_s` unix seconds, `uptime_s` since the boot that `boot` names."""

    wall_s: float
    boot: str
    uptime_s: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """The seconds witnessed so far, and the last look."""

    total_s: float
    last: Sighting


def advanced(ledger: Ledger, now: Sighting, gap_s_max: float) -> Ledger:
    """The ledger after one more look. `gap_s_max`: what the wall clock is believed across a reboot."""
    if now.boot == ledger.last.boot:
        passed_s = max(0.0, now.uptime_s - ledger.last.uptime_s)
    else:
        passed_s = min(max(0.0, now.wall_s - ledger.last.wall_s), gap_s_max)
    return Ledger(ledger.total_s + passed_s, now)


class Witness:
    """The ledger of one backup folder. `uptime` gives (boot, seconds since)."""

    def __init__(self, root: Path, gap_s_max: float, uptime: Callable[[], tuple[str, float]]) -> None:
        self._path = root / _FILE
        self._gap_s_max = gap_s_max
        self._uptime = uptime

    def look(self, wall_s: float, at_least_s: float) -> Ledger:
        """The ledger as of now; begins at `at_least_s` (the newest snapshot's mark) when it was lost."""
        now = Sighting(wall_s, *self._uptime())
        kept = self._read()
        if kept is None or kept.total_s < at_least_s:
            kept = Ledger(at_least_s, kept.last if kept else now)
        return advanced(kept, now, self._gap_s_max)

    def keep(self, ledger: Ledger) -> None:
        """Two at once lose nothing: both wrote all that had passed. A failed write only credits the time later."""
        with contextlib.suppress(OSError):
            write_durably(self._path, json.dumps(asdict(ledger)).encode())

    def _read(self) -> Ledger | None:
        try:
            shape = json.loads(self._path.read_bytes())
            last = shape["last"]
            return Ledger(
                float(shape["total_s"]), Sighting(float(last["wall_s"]), str(last["boot"]), float(last["uptime_s"]))
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def system_uptime() -> tuple[str, float]:
    """The running boot's name and its age; suspended time counts where the system tells it."""
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        boot = _UNNAMED
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return boot, time.clock_gettime(clock)
