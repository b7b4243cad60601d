"""The eight phases, one module each, in order. A new one is a new module and a row here."""

from failback.executor.phase import Phase
from failback.executor.phases import (
    archival,
    cleanup,
    notification,
    recommendations,
    root_cause,
    stability,
    traffic,
    version,
)

ALL: tuple[Phase, ...] = (
    Phase(1, limit_s=10.0, run=traffic.run),
    Phase(2, limit_s=60.0, run=version.run),
    Phase(3, limit_s=30.0, run=stability.run),
    Phase(4, limit_s=60.0, run=cleanup.run),
    Phase(5, limit_s=10.0, run=root_cause.run),
    Phase(6, limit_s=5.0, run=recommendations.run),
    Phase(7, limit_s=15.0, run=archival.run),
    Phase(8, limit_s=30.0, run=notification.run),
)
