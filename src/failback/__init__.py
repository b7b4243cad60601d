"""failback: deploys a service so that a bad release never reaches a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from failback.executor.enhanced import EnhancedTaskExecutor

__version__ = "0.1.0"
__all__ = ["EnhancedTaskExecutor", "__version__"]


def __getattr__(name: str) -> Any:
    # Looked up late: `failback --help` and the launcher of every process must not pay for the executor.
    if name == "EnhancedTaskExecutor":
        from failback.executor.enhanced import EnhancedTaskExecutor

        return EnhancedTaskExecutor
    raise AttributeError(f"module 'failback' has no attribute {name!r}")
