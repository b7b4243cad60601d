"""The signature of a failure: equal when the same thing fails again, whatever the time, port, replica or line number.

Pure. It is taken from what the engine found and from the evidence, never from a person's correction, so that the
correction of one failure is found again for the next one.
"""

from __future__ import annotations

import hashlib

from failback.facts.signatures import template
from failback.model.diagnosis import Diagnosis
from failback.model.evidence import Evidence

_SHORT = 16
_LINES = ("logs/", "step_output")


def signature(diagnosis: Diagnosis, evidence: Evidence) -> str:
    """16 hexadecimal digits over `signature_parts`."""
    text = "\0".join(signature_parts(diagnosis, evidence))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_SHORT]


def signature_parts(diagnosis: Diagnosis, evidence: Evidence) -> tuple[str, str, str, str]:
    """(type, kind of step, how the process ended, the line that the diagnosis rests on, normalised)."""
    step = evidence.failed_step
    lines = (cited.text for cited in diagnosis.evidence if cited.source.startswith(_LINES))
    line = next(lines, "") or diagnosis.cause
    return (str(diagnosis.type), step.type if step else "", _ended(evidence), template(line))


def _ended(evidence: Evidence) -> str:
    if any(replica.oom_killed for replica in evidence.replicas):
        return "oom"
    signal = next((replica.signal for replica in evidence.replicas if replica.signal), None)
    if signal:
        return signal
    return "" if evidence.exit_code is None else f"exit {evidence.exit_code}"
