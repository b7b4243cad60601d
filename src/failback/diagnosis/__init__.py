"""Finds why a release failed and what to do: `diagnose(evidence) -> Diagnosis`, pure and offline."""

from failback.diagnosis.engine import diagnose

__all__ = ["diagnose"]
