"""A free port for something that failback itself lets listen (a drill's service)."""

from __future__ import annotations

from failback.targets.local.ports import free_ports


def free_port() -> int:
    """One free port on the loopback. Raises TargetError when none can be found."""
    return free_ports(1)[0]
