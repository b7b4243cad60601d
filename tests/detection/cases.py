"""Every case of every rule, gathered from the modules that mirror the rules."""

from __future__ import annotations

from tests.detection import (
    cases_image,
    cases_log,
    cases_memory,
    cases_pod,
    cases_process,
    cases_progress,
    cases_ready,
    cases_smoke,
    cases_traffic,
)
from tests.detection.scene import Case

_ALL = (
    cases_image,
    cases_pod,
    cases_process,
    cases_smoke,
    cases_traffic,
    cases_log,
    cases_memory,
    cases_ready,
    cases_progress,
)
FIRES: tuple[Case, ...] = tuple(case for module in _ALL for case in module.FIRES)
LOOK_ALIKES: tuple[Case, ...] = tuple(case for module in _ALL for case in module.LOOK_ALIKES)
