"""The gate: a view in, a verdict out. Pure; the time is in the view. The first sufficient fact decides."""

from __future__ import annotations

import math

from failback.detection import rules_image, rules_pod
from failback.detection.moments import moments
from failback.detection.rules_progress import progress
from failback.detection.table import RULES
from failback.model.observation import Limits, Verdict, VerdictState, View

__all__ = ["RULES", "cannot_begin", "judge", "time_to_next_look"]

_AFTER_S = 0.001  # so that a caller who slept exactly that long is past the moment, whatever floats make of it


def judge(view: View, limits: Limits) -> Verdict:
    """FAILED by the first rule that condemns; HEALTHY once all that was asked for was seen; else PROGRESSING, from what
    to what. Never raises; the same view gives the same verdict."""
    for rule in RULES:
        found = rule.find(view, limits)
        if found is not None:
            waiting = rule.state is VerdictState.PROGRESSING
            reason = progress(view, limits, found.reason) if waiting else found.reason
            return Verdict(rule.state, reason, rule.name, found.evidence, view.at_s)
    # The table's last row always holds; this is what an emptied table would mean.
    return Verdict(VerdictState.PROGRESSING, progress(view, limits, ""), at_s=view.at_s)


def cannot_begin(view: View, limits: Limits) -> Verdict | None:
    """Of pods that are to do something once, and that nobody asks whether they are ready: what the infrastructure says
    of them that no wait will change. None: nothing of the kind, so far."""
    for rule in (*rules_image.RULES, *rules_pod.RULES):
        found = rule.find(view, limits)
        if found is not None and rule.state is VerdictState.FAILED:
            return Verdict(rule.state, found.reason, rule.name, found.evidence, view.at_s)
    return None


def time_to_next_look(view: View, limits: Limits) -> float:
    """Seconds after which time alone may change the verdict of an otherwise unchanged view; infinite where it can't."""
    if judge(view, limits).state is VerdictState.FAILED:
        return math.inf
    ahead = (moment - view.at_s for moment in moments(view, limits))
    return min((wait_s for wait_s in ahead if wait_s > 0), default=math.inf) + _AFTER_S
