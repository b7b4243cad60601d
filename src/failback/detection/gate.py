"""The gate: observations in, a verdict out. Pure; the time is in the view. The first sufficient fact decides."""

from __future__ import annotations

from failback.detection import rules_process, rules_traffic
from failback.detection.rule import Rule
from failback.model.observation import Limits, Stage, Verdict, VerdictState, View

# First match wins: what the infrastructure itself states, then what processes do, then what time says.
RULES: tuple[Rule, ...] = (*rules_process.RULES[:-1], *rules_traffic.RULES, rules_process.RULES[-1])


def judge(view: View, limits: Limits) -> Verdict:
    """FAILED by the first rule that holds; HEALTHY once everything asked for was seen; else PROGRESSING, from what to
    what."""
    for rule in RULES:
        found = rule.find(view, limits)
        if found is not None:
            return Verdict(VerdictState.FAILED, found.reason, rule.name, found.evidence, view.at_s)
    waiting = _waiting_for(view, limits)
    if waiting:
        return Verdict(VerdictState.PROGRESSING, waiting, at_s=view.at_s)
    return Verdict(VerdictState.HEALTHY, _healthy(view, limits), at_s=view.at_s)


def _waiting_for(view: View, limits: Limits) -> str:
    """What is still missing; empty when nothing is."""
    wanted = view.replicas_wanted
    ready = [replica for replica in view.replicas if replica.ready and replica.running]
    if len(ready) < wanted or wanted == 0:
        slowest = f" ({view.at_s:.0f} s of {limits.ready_s_max:g} s)" if view.at_s >= 1 else ""
        return f"replicas ready {len(ready)} -> {wanted}{slowest}"
    smoked = [replica for replica in view.replicas if replica.smoke_done]
    if view.stage is Stage.DARK and len(smoked) < wanted:
        return f"replicas past their smoke requests {len(smoked)} -> {wanted}"
    calm_s = _calm_s(view)
    if view.stage is Stage.DARK:
        return "" if calm_s >= limits.soak_s else f"soak {limits.soak_s:g} s since the last replica was ready or restarted"
    baked_s = view.at_s - (view.bake_started_s if view.bake_started_s is not None else view.at_s)
    if baked_s < limits.bake_s:
        return f"bake {limits.bake_s:g} s with users' requests"
    return "" if calm_s >= min(limits.soak_s, limits.bake_s) else "a replica has restarted: it soaks anew"


def _calm_s(view: View) -> float:
    """How long ago the last replica became ready, or ended."""
    moments = [replica.ready_at_s or 0.0 for replica in view.replicas]
    moments += [end.at_s for replica in view.replicas for end in replica.exits]
    return view.at_s - max(moments, default=0.0)


def _healthy(view: View, limits: Limits) -> str:
    smoke = sum(len(replica.smoke) for replica in view.replicas)
    if view.stage is Stage.DARK:
        return f"{view.replicas_wanted} replicas ready, {smoke} smoke requests answered well, calm for {limits.soak_s:g} s"
    if view.traffic is None or view.traffic.new.requests == 0:
        return f"baked {limits.bake_s:g} s: no requests came"
    new = view.traffic.new
    return f"baked {limits.bake_s:g} s: {new.failed:,} of {new.requests:,} user requests failed"


def time_to_next_look(view: View, limits: Limits) -> float:
    """Seconds after which time alone may change the verdict."""
    moments = [limits.ready_s_max - view.at_s, limits.soak_s - _calm_s(view)]
    if view.bake_started_s is not None:
        moments.append(view.bake_started_s + limits.bake_s - view.at_s)
    return max(0.01, min((moment for moment in moments if moment > 0), default=0.25))
