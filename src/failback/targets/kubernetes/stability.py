"""Whether the stable revision is as well as when the execution began: what is recorded then, and looked at after.

Each thing is an Action of its own with its numbers. What was broken before is judged "no worse than before".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from failback.facts.signatures import signatures
from failback.model.errors import FailbackError
from failback.model.evidence import ProbeResult
from failback.targets.base import Action
from failback.targets.expectations import judge_smoke, smoke_question
from failback.targets.kubernetes.endpoints import ready_pods
from failback.targets.kubernetes.kinds import Object
from failback.targets.kubernetes.mirror import Mirror
from failback.targets.kubernetes.pods import containers, is_leaving, is_ready, restarts
from failback.targets.kubernetes.reaching import Reach
from failback.targets.kubernetes.site import Site
from failback.targets.kubernetes.watching import Judged

_SETTLED_S_MAX = 10.0  # endpoints follow a selector within milliseconds, a pod's readiness within a probe's period
_LOG_BYTES = 128 * 1024
_LOGS_MAX = 3
_SIGNATURES_MAX = 300
_SAFE = ("GET", "HEAD", "OPTIONS")
NO_CHECK = "response time: the plan has no smoke check that says what is expected"


async def baseline(site: Site, judged: Sequence[Judged], checks: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the stable revision is like now, JSON-ready. `checks`: how it will be asked later."""
    units = await asyncio.gather(*(_record(site, one) for one in judged if one.stable is not None))
    return {
        "at": time.time(),
        "checks": dict(checks or {}),
        "units": {one["unit"]: one for one in units},
        "smoke": [
            {"pod": answer.replica, "path": answer.path, "passed": answer.passed, "ms": answer.duration_ms}
            for answer in await _answers(site, judged, checks or {})
        ],
    }


async def verify_stable(
    site: Site, judged: Sequence[Judged], before: Mapping[str, Any], checks: Mapping[str, Any] | None = None
) -> list[Action]:
    """What was looked at, each on its own: replicas, restarts, endpoints, answers, logs."""
    if not any(one.stable is not None for one in judged):
        return [Action("as before: nothing ran"), *await _nothing_left(site, judged)]
    actions: list[Action] = []
    for one in judged:
        if one.stable is None:
            continue
        known = (before.get("units") or {}).get(one.unit.told) or {}
        actions += await _replicas(site, one, known)
        for name in one.services:
            actions.append(await _endpoints(site, one, name, known))
    wanted = checks or before.get("checks") or {}
    actions.append(_response_time(await _answers(site, judged, wanted), before))
    actions.append(await _errors(site, judged, before))
    return actions


async def _record(site: Site, one: Judged) -> dict[str, Any]:
    pods = await _stable_pods(site, one)
    texts = await asyncio.gather(*_logs(site, pods), return_exceptions=True)
    errors = sorted({line for text in texts if isinstance(text, str) for line in signatures(text)})
    endpoints = await asyncio.gather(*(_endpoint_pods(site, name) for name in one.services))
    return {
        "unit": one.unit.told,
        "revision": one.stable,
        "wanted": one.replicas,
        "ready": sum(map(is_ready, pods)),
        "restarts": {pod["metadata"]["name"]: restarts(pod) for pod in pods},
        "endpoints": {name: len(found) for name, found in zip(one.services, endpoints, strict=True)},
        "errors": [site.redactor.redact(line) for line in errors[:_SIGNATURES_MAX]],
    }


async def _stable_pods(site: Site, one: Judged) -> list[Object]:
    pods = await site.cluster.find("Pod", labels=one.selector(one.stable or ""))
    return [pod for pod in pods if not is_leaving(pod)]


async def _replicas(site: Site, one: Judged, known: Mapping[str, Any]) -> list[Action]:
    was = known.get("ready")
    wanted = one.replicas if was is None else min(one.replicas, int(was))
    async with Mirror(site.cluster, "Pod", labels=one.selector(one.stable or "")) as mirror:
        await mirror.until(lambda pods: sum(map(is_ready, pods.values())) >= wanted, _SETTLED_S_MAX)
        pods = [pod for pod in mirror.values() if not is_leaving(pod)]
    ready = sum(map(is_ready, pods))
    note = f", no worse than before ({was})" if was is not None and int(was) < one.replicas else ""
    found = [Action(f"{one.unit.told}: all replicas ready ({ready}/{one.replicas}{note})", ok=ready >= wanted)]
    if known:
        earlier = known.get("restarts") or {}
        more = {
            name: restarts(pod) - int(earlier[name])
            for pod in pods
            if (name := pod["metadata"]["name"]) in earlier and restarts(pod) > int(earlier[name])
        }
        told = ", ".join(f"{name}: {count}" for name, count in sorted(more.items()))
        # Told, and no verdict: a pod that is ready again serves, whatever restarted it.
        said = f"restarted since the start: {told}" if more else "restarts unchanged"
        found.append(Action(f"{one.unit.told}: {said}", ok=None if more else True))
    return found


async def _endpoints(site: Site, one: Judged, service: str, known: Mapping[str, Any]) -> Action:
    """The Service's endpoints are exactly the ready stable pods, and none of another revision."""

    async def stable() -> set[str]:
        return {pod["metadata"]["name"] for pod in await _stable_pods(site, one) if is_ready(pod)}

    wanted = await stable()
    async with Mirror(site.cluster, "EndpointSlice", labels=f"kubernetes.io/service-name={service}") as mirror:
        settled = await mirror.until(lambda slices: ready_pods(slices.values()) == wanted, _SETTLED_S_MAX)
        have = ready_pods(mirror.values())
    if not settled:
        wanted = await stable()  # another pod may have become ready, or left, meanwhile
    others = sorted(have - wanted)
    if have == wanted and (have or not (known.get("endpoints") or {}).get(service)):
        return Action(f"Service/{service}: endpoints healthy ({len(have)}/{len(wanted)}, all of the stable revision)")
    missing = len(wanted - have)
    told = f"{missing} stable pods are missing" if missing else "no endpoint is left"
    return Action(
        f"Service/{service}: "
        + (f"{len(others)} endpoints of another revision ({', '.join(others[:3])})" if others else told),
        ok=False,
    )


async def _endpoint_pods(site: Site, service: str) -> set[str]:
    try:
        found = await site.cluster.find("EndpointSlice", labels=f"kubernetes.io/service-name={service}")
    except FailbackError:
        return set()
    return ready_pods(found)


async def _nothing_left(site: Site, judged: Sequence[Judged]) -> list[Action]:
    """After a first deployment was taken back: no endpoint leads to it."""
    actions = []
    for name in dict.fromkeys(name for one in judged for name in one.services):
        have = await _endpoint_pods(site, name)
        actions.append(Action(f"Service/{name}: {len(have)} endpoints, as before: none", ok=not have))
    return actions


async def _answers(site: Site, judged: Sequence[Judged], checks: Mapping[str, Any]) -> list[ProbeResult]:
    """The smoke checks that change nothing, asked of every stable pod that is ready."""
    smokes = [check for check in checks.get("smoke") or () if str(check.get("method") or "GET") in _SAFE]
    if not smokes:
        return []
    host = (checks.get("ready") or {}).get("host")

    async def one(reach: Reach, pod: Object, check: Mapping[str, Any]) -> ProbeResult | None:
        question = smoke_question(check, host)
        try:
            answer = await reach.ask(pod, question)
            usual_ms = await reach.usual_ms(pod, question) if check.get("max_ms") else None
        except FailbackError:
            return None
        return judge_smoke(pod["metadata"]["name"], check, answer, usual_ms)

    found: list[ProbeResult] = []
    for unit in judged:
        if unit.stable is None:
            continue
        services = await asyncio.gather(*(site.cluster.get("Service", name) for name in unit.services))
        reach = Reach(site.cluster, [service for service in services if service is not None])
        pods = [pod for pod in await _stable_pods(site, unit) if is_ready(pod)]
        answers = await asyncio.gather(*(one(reach, pod, check) for pod in pods for check in smokes))
        found += [answer for answer in answers if answer is not None]
    return found


def _response_time(answers: Sequence[ProbeResult], before: Mapping[str, Any]) -> Action:
    if not answers:
        return Action(NO_CHECK, ok=None)
    slowest = max(answers, key=lambda answer: answer.duration_ms)
    bad = [answer for answer in answers if not answer.passed]
    if not bad:
        return Action(f"response time within SLA (slowest of {len(answers)}: {slowest.duration_ms:.0f} ms)")
    failed_before = {one["path"] for one in before.get("smoke") or () if not one["passed"]}
    worse = [answer for answer in bad if answer.path not in failed_before]
    if not worse:
        return Action(f"smoke {bad[0].path}: {bad[0].error}, no worse than before: it failed then as well")
    return Action(f"smoke {worse[0].path} on {worse[0].replica}: {worse[0].error}", ok=False)


async def _errors(site: Site, judged: Sequence[Judged], before: Mapping[str, Any]) -> Action:
    """Told, and no verdict: an error that users' own requests cause is printed by a healthy revision too."""
    units = before.get("units") or {}
    if not units:
        return Action("error lines: nothing was recorded at the start with which they could be compared", ok=None)
    known = {line for unit in units.values() for line in unit.get("errors") or ()}
    pods = [pod for one in judged if one.stable is not None for pod in await _stable_pods(site, one)]
    since_s = max(1, int(time.time() - float(before.get("at") or time.time())) + 2)
    texts = await asyncio.gather(*_logs(site, pods, since_s=since_s), return_exceptions=True)
    seen = {site.redactor.redact(line) for text in texts if isinstance(text, str) for line in signatures(text)}
    new = sorted(seen - known)
    unread = [text for text in texts if isinstance(text, BaseException)]
    if unread and not new:
        return Action(f"error lines: {len(unread)} of {len(texts)} logs could not be read: {unread[0]}"[:300], ok=None)
    if not new:
        return Action("no new error lines in the stable revision's logs")
    return Action(f"{len(new)} kinds of new error lines in the stable revision's logs: {new[0][:160]}", ok=None)


def _logs(site: Site, pods: Sequence[Object], since_s: int | None = None) -> list[Any]:
    return [
        site.cluster.logs(pod["metadata"]["name"], status["name"], tail_bytes=_LOG_BYTES, since_s=since_s)
        for pod in list(pods)[:_LOGS_MAX]
        for status, init in containers(pod)
        if not init
    ]
