"""The drop-in name: `from task_executor_enhanced import EnhancedTaskExecutor`."""

from failback.executor.enhanced import EnhancedTaskExecutor

__all__ = ["EnhancedTaskExecutor"]
