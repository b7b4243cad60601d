"""Memory: too little for the normal work, or growing without end. The kernel's word counts more than a log line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from failback.diagnosis.kube import ContainerState, container_spec, container_states, text
from failback.diagnosis.recommend import high, medium
from failback.diagnosis.recommend.kube import patch
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.series import Growing, growing
from failback.model.diagnosis import Citation, FailureType, Recommendation
from failback.model.evidence import MemorySample

LEAK_SAMPLES_MIN = 5
LEAK_GROWTH_MIN = 1.4  # last sample over the one at a third of the way
LEAK_RISING_SHARE = 0.7
START_S_MAX = 5.0  # what rises within the first seconds is what a start loads, not what is never given back
MIB = 1024 * 1024


def growth(samples: tuple[MemorySample, ...]) -> float | None:
    """Bytes per second of a steady growth, or None where memory levels off or too little was seen."""
    if len(samples) < LEAK_SAMPLES_MIN:
        return None
    ordered = sorted(samples, key=lambda sample: sample.at_s)
    late = ordered[len(ordered) // 3 :]
    steps = [b.bytes - a.bytes for a, b in itertools.pairwise(late)]
    rising = sum(step > 0 for step in steps) / max(len(steps), 1)
    span = late[-1].at_s - late[0].at_s
    if (
        span <= 0
        or ordered[-1].at_s < START_S_MAX
        or rising < LEAK_RISING_SHARE
        or late[-1].bytes < late[0].bytes * LEAK_GROWTH_MIN
    ):
        return None
    return (late[-1].bytes - late[0].bytes) / span


def raise_limit(
    scene: Scene, limit: int | None, used: int | None, component: str, state: ContainerState | None = None
) -> tuple[Recommendation, ...]:
    """A limit from what was measured: half more than the peak, or twice the old limit."""
    wanted = max(int((used or 0) * 1.5), int((limit or 128 * MIB) * 2)) // MIB
    wanted = max(64, -(-wanted // 64) * 64)
    if scene.on_kubernetes and state is not None and state.init:
        example = patch(scene, None, state.name, f"resources: {{limits: {{memory: {wanted}Mi}}}}", init=True)
    elif scene.on_kubernetes:
        example = f"kubectl set resources deployment/{component or 'NAME'} --limits=memory={wanted}Mi --requests=memory={max(wanted // 2, 64)}Mi"
    elif scene.step_type and scene.step_type != "deploy":
        example = f"# run the step where at least {max(wanted, 2048)}Mi of memory are free; for Node.js: NODE_OPTIONS=--max-old-space-size={max(wanted, 2048)}"
    else:
        example = f"release:\n  resources: {{memory: {wanted}Mi}}"
    was = f" (it is {limit // MIB}Mi)" if limit else ""
    of = f" of the {'init container' if state.init else 'container'} {state.name}" if state else ""
    measured = f"; {used // MIB}Mi were in use when it was killed" if used else ""
    return (
        high(
            f"Increase the memory limit to {wanted}Mi",
            f"Raise the memory limit{of}{was} above what the normal work needs{measured}, or use a larger runner",
            example,
        ),
        high(
            "Or use less memory",
            "Reduce what is loaded at once: fewer workers, smaller caches and batches, streams instead of whole files; set the runtime's own heap below the limit",
            "WEB_CONCURRENCY=1",
        ),
    )


def leak_fixes(scene: Scene, what: str, place: str) -> tuple[Recommendation, ...]:
    """Find what grows: the change names a candidate, a heap profile the rest."""
    suspect = what or "what keeps growing (a cache, list or map that is never emptied)"
    where = f" ({place})" if place else ""
    return (
        high(f"Stop the growth of {suspect}{where}", f"Bound or evict {suspect}: a leak or unbounded cache grows with every request; limit its size (LRU, time to live) or do not keep the objects. A higher limit only delays the failure",
             "from functools import lru_cache  # @lru_cache(maxsize=1024) instead of a growing list or dict"),
        medium("Prove it with a memory profile", "Compare two heap snapshots under load before the next deployment", "python -X tracemalloc / node --heapsnapshot-signal=SIGUSR2 / jmap -histo"),
    )  # fmt: skip


@scene_rule("out-of-memory-kill", "kernel OOM killer: cgroup oom_kill, pod status OOMKilled, SIGKILL")
def oom_kill(scene: Scene) -> Iterable[Hypothesis]:
    """The kernel killed it: for its limit, or because it never stopped growing."""
    yield from _replicas(scene)
    yield from _pods(scene)


def _replicas(scene: Scene) -> Iterable[Hypothesis]:
    killed = [r for r in scene.evidence.replicas if r.oom_killed]
    for replica in killed[:1]:
        peak = max((s.bytes for s in replica.memory_samples), default=None)
        rate = growth(replica.memory_samples)
        cited = (
            Citation(
                f"replicas/{replica.name}",
                f"oom_kill, limit {replica.memory_limit_bytes}, peak {peak}, lived {replica.lived_s} s",
            ),
        )
        limit = f" of {replica.memory_limit_bytes // MIB}Mi" if replica.memory_limit_bytes else ""
        what, place = _grower(scene)
        if rate or (what and (replica.lived_s or 0) > START_S_MAX):
            speed = f", it grew steadily by {rate / MIB:.1f} MiB per second" if rate else ""
            yield Hypothesis(FailureType.MEMORY_LEAK, f"Memory leak: {replica.name} was killed for its memory limit{limit}{speed} and never gave memory back{f'; {what} grows without bound' if what else ''}{f' ({place})' if place else ''}",
                             0.93, leak_fixes(scene, what, place), cited, component=replica.name, stated=True, names=(what,))  # fmt: skip
        else:
            yield Hypothesis(FailureType.MEMORY_LIMIT, f"{replica.name} was killed by the kernel (OOM, SIGKILL, exit code 137) because its memory limit{limit} is too low for its normal work",
                             0.94, raise_limit(scene, replica.memory_limit_bytes, peak, replica.name), cited, component=replica.name, stated=True)  # fmt: skip


def _pods(scene: Scene) -> Iterable[Hypothesis]:
    for pod in scene.pods():
        for state in container_states(pod):
            if "OOMKilled" not in (state.reason, state.last_reason):
                continue
            limit = text(container_spec(pod, state.name), "resources", "limits", "memory")
            what, place = _grower(scene)
            cited = (
                Citation(
                    f"pods/{state.pod}",
                    f"container {state.name} terminated: OOMKilled, exit code {state.end_code}, restarts {state.restarts}, memory limit {limit or 'unknown'}",
                ),
            )
            bound = f" of {limit}" if limit else ""
            grown = _memory_grows(scene)
            if grown or (what and not _at_start(pod, state.name)):
                what = what or (grown[0].name if grown else "")
                yield Hypothesis(FailureType.MEMORY_LEAK, f"Memory leak: container {state.name} was OOMKilled at its memory limit{bound} after steady growth: {what} grows without bound and is never emptied{f' ({place})' if place else ''}",
                                 0.9, leak_fixes(scene, what, place), cited, component=state.name, stated=True, names=(what,))  # fmt: skip
                return
            yield Hypothesis(FailureType.MEMORY_LIMIT, f"Container {state.name} was OOMKilled (exit code 137): its memory limit{bound} is too low for what it needs",
                             0.95, raise_limit(scene, quantity(limit), None, _owner(state.pod), state), cited, component=state.name, stated=True)  # fmt: skip
            return


def _at_start(pod: Mapping[str, Any], name: str) -> bool:
    """True where the container's last run ended within seconds: nothing can have grown over time."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") != name:
            continue
        ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
        try:
            started, finished = (datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
        except (KeyError, TypeError, ValueError):
            return False
        return (finished - started).total_seconds() < START_S_MAX
    return False


def _seen_short(scene: Scene) -> bool:
    """True where it is known of every replica that it lived for seconds only."""
    lived = [replica.lived_s for replica in scene.evidence.replicas if replica.lived_s is not None]
    return bool(lived) and max(lived) < START_S_MAX


def quantity(value: str) -> int | None:
    """Bytes of a Kubernetes quantity ("128Mi"); None where it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|K|M|G|T)?", value.strip())
    if match is None:
        return None
    factor = {
        "": 1,
        "Ki": 1024,
        "Mi": MIB,
        "Gi": 1024 * MIB,
        "Ti": 1024 * 1024 * MIB,
        "k": 1000,
        "K": 1000,
        "M": 10**6,
        "G": 10**9,
        "T": 10**12,
    }
    return int(float(match.group(1)) * factor[match.group(2) or ""])


@scene_rule("killed", "exit code 137: 128 + SIGKILL; the shell prints Killed")
def killed(scene: Scene) -> Iterable[Hypothesis]:
    """SIGKILL that nobody explains: nearly always memory."""
    codes = [scene.evidence.exit_code, *(r.exit_code for r in scene.evidence.replicas if not r.oom_killed)]
    signalled = any(r.signal == "SIGKILL" and not r.oom_killed for r in scene.evidence.replicas)
    if not (137 in codes or -9 in codes or signalled) or scene.evidence.timed_out_after_s is not None:
        return
    line = next(((d, i) for d in scene.documents for i in d.hits("killed")), None)
    command = _command(scene)
    shown = f" while running {command}" if command else ""
    rate = next((g for r in scene.evidence.replicas if (g := growth(r.memory_samples))), None)
    what, place = _grower(scene)
    if what and not rate and scene.step_type in ("deploy", "") and not _seen_short(scene):
        yield Hypothesis(
            FailureType.MEMORY_LEAK,
            f"Memory leak: {what} grows without bound and is never emptied{f' ({place})' if place else ''}, until the process was killed for its memory (SIGKILL, exit code 137)",
            0.86,
            leak_fixes(scene, what, place),
            (scene.cite(*line),) if line else (Citation("exit_code", "137"),),
            names=(what,),
        )
        return
    if rate:
        yield Hypothesis(
            FailureType.MEMORY_LEAK,
            f"Memory leak: it grew steadily by {rate / MIB:.1f} MiB per second until it was killed (SIGKILL, exit code 137)",
            0.82,
            leak_fixes(scene, *_grower(scene)),
        )
        return
    yield Hypothesis(
        FailureType.MEMORY_LIMIT,
        f"The process was killed (SIGKILL, exit code 137){shown}: it ran out of memory (OOM killer)",
        0.86 if line else 0.8,
        raise_limit(scene, None, None, scene.evidence.service),
        (scene.cite(*line),) if line else (Citation("exit_code", "137"),),
        component=scene.step_name or scene.evidence.service,
    )


@line_rule(
    "runtime-out-of-memory",
    "out of memory|outofmemory|memoryerror|heap limit|cannot allocate memory|allowed memory size|memory exhausted|std::bad_alloc|allocation failed|enomem|failed to allocate|oom-kill|oom_kill|invoked oom-killer|memory cgroup out|signal: killed|signal 9|sigkill|metaspace|memory allocation of|unable to allocate|was sent code 137",
    r"out of memory|OutOfMemory\w*(?:: (?P<java>.+))?|^\s*(?:\w+\.)*MemoryError|heap limit|cannot allocate memory|Allowed memory size of (?P<php>\d+) bytes exhausted|memory exhausted|std::bad_alloc|ENOMEM|failed to allocate (?P<rust>\S+)|oom-kill|oom_kill|invoked oom-killer|Memory cgroup out|Unable to allocate|memory allocation of \d+ bytes failed|signal: killed|sent SIGKILL! Perhaps out of memory|Worker .{0,20}was (?:terminated due to signal 9|sent code 137)|Metaspace",
    source="V8, JVM, CPython, PHP, Go, Rust and the kernel when memory runs out",
)
def runtime(hit: Hit) -> Hypothesis | None:
    """The runtime itself says that there is no memory left."""
    line = hit.line
    if "maxmemory" in line:
        return None
    if re.search(r"out of memory and swap|shmall|device", line, re.IGNORECASE) and "kill" not in line.lower():
        return None
    scene = hit.scene
    what, place = _grower(scene)
    rate = next((g for r in scene.evidence.replicas if (g := growth(r.memory_samples))), None)
    if (what and not _seen_short(scene)) or rate:
        return Hypothesis(
            FailureType.MEMORY_LEAK,
            f"Memory leak: memory grows until none is left: {what or 'usage'} grows without bound and is never emptied{f' ({place})' if place else hit.at}: {line}",
            0.9,
            leak_fixes(scene, what, place or hit.place),
            names=(what,),
        )
    node = "heap limit" in line.lower() or "JavaScript heap" in line
    java = "java.lang" in line or bool(hit.get("java")) or "Metaspace" in line
    if node:
        first = high(
            "Raise Node.js' heap (--max-old-space-size) or the memory limit",
            "The JavaScript heap is too small for what is loaded at start: raise --max-old-space-size (and the container's memory limit above it), or load less at once",
            "NODE_OPTIONS=--max-old-space-size=1024",
        )
        kind = "The JavaScript heap of Node.js is too small"
    elif java:
        first = high(
            "Raise the JVM's heap or the memory limit",
            "Set -Xmx or -XX:MaxRAMPercentage and a container memory limit above it (for Metaspace: -XX:MaxMetaspaceSize)",
            "JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75",
        )
        kind = f"The JVM ran out of memory ({hit.get('java') or 'heap'})"
    elif hit.get("php"):
        first = high(
            "Raise PHP's memory_limit",
            f"memory_limit is {int(hit.get('php')) // MIB}M: raise it, or process less at once",
            "php -d memory_limit=512M",
        )
        kind = "PHP's memory limit is too low"
    else:
        first = None
        kind = "The process ran out of memory"
    fixes = raise_limit(scene, None, None, scene.evidence.service)
    return Hypothesis(FailureType.MEMORY_LIMIT, f"{kind}{hit.at}: {line}", 0.91, (first, *fixes) if first else fixes)


def _grower(scene: Scene) -> tuple[str, str]:
    """(what grows, where) from a name that the release added and appends to, or a count in the log that only rises."""
    for file, lines in scene.change.added.items():
        for line in lines:
            match = re.search(
                r"([A-Za-z_][\w.]*?)\.(?:append|push|add|set|put|insert|extend|Add|Push|computeIfAbsent|store)\(|\b([A-Za-z_]\w*)\s*=\s*append\(|([A-Za-z_]\w*)\[[^\]]+\]\s*=(?!=)|\b([A-Za-z_]\w*)\s*<<\s",
                line,
            )
            if not match:
                continue
            name = next(g for g in match.groups() if g).removeprefix("self.").removeprefix("this.")
            declared = any(
                re.search(
                    rf"\b{re.escape(name.split('.')[-1])}\b\s*(?::[^=]+)?=\s*(?:\[\]|\{{\}}|new (?:Map|Set|Array|ArrayList|HashMap|List|Dictionary)|list\(|dict\(|set\(|defaultdict|make\(|Hash\.new)",
                    other,
                )
                for other in lines
            )
            if declared or re.search(
                r"cache|history|store|registry|seen|rendered|log|sessions|listeners|buffer", name, re.IGNORECASE
            ):
                return name, file
    for document in scene.logs:
        found = growing(document.lines)
        named = next((grown for grown in found if not grown.memory), None)
        if named and any(grown.memory for grown in found):
            return named.name, ""
    return "", ""


def _memory_grows(scene: Scene) -> tuple[Growing, Document] | None:
    """The memory that a log says its process uses, where it only rises."""
    for document in scene.logs:
        found = next((grown for grown in growing(document.lines) if grown.memory), None)
        if found:
            return found, document
    return None


@scene_rule("memory-grows", "a process that prints its memory and was killed or ran out of it: steady growth is a leak")
def memory_grows(scene: Scene) -> Iterable[Hypothesis]:
    """The log itself shows the growth, and something says that memory ended it."""
    seen = _memory_grows(scene) if _ended_for_memory(scene) else None
    if seen is None:
        return
    grown, document = seen
    what, place = _grower(scene)
    yield Hypothesis(
        FailureType.MEMORY_LEAK,
        f"Memory leak: memory grows steadily ({grown.text}) and is never given back until the process is killed{f'; {what} grows without bound' if what else ''}{f' ({place})' if place else ''}",
        0.95,
        leak_fixes(scene, what, place),
        (scene.cite(document, grown.index),),
        component=scene.component_of(document),
        names=(what,),
        stated=True,
    )


def _ended_for_memory(scene: Scene) -> bool:
    evidence = scene.evidence
    if evidence.exit_code in (137, -9) or any(
        r.oom_killed or r.signal == "SIGKILL" or r.exit_code in (137, -9) for r in evidence.replicas
    ):
        return True
    if any("OOMKilled" in (s.reason, s.last_reason) for pod in scene.pods() for s in container_states(pod)):
        return True
    words = ("allowed memory size", "killed", "outofmemory", "out of memory", "memoryerror", "heap limit", "oom")
    return any(word in document.lower for document in scene.documents for word in words)


def _command(scene: Scene) -> str:
    """The command that ran last, as npm and shells echo it."""
    if scene.step is None:
        return ""
    for index in range(len(scene.step.lines) - 1, -1, -1):
        match = re.match(r"^(?:> |\$ |\+ )(.+)$", scene.step.lines[index])
        if match:
            return quoted(match.group(1), 120)
    return ""


def _owner(pod: str) -> str:
    """The Deployment's name in a pod's name: shop-7d9f8c6b5-abcde -> shop."""
    return re.sub(r"-[a-z0-9]{6,10}-[a-z0-9]{5}$", "", pod)


@scene_rule("memory-growth-seen", "the gate's own samples: memory that grows straight towards its limit")
def growth_seen(scene: Scene) -> Iterable[Hypothesis]:
    """It was stopped before the kernel's kill: the verdict itself has the figures."""
    if scene.evidence.verdict_rule not in ("memory-leaks", "memory-runs-out"):
        return
    said = scene.evidence.verdict_reason
    yield Hypothesis(
        FailureType.MEMORY_LEAK,
        f"Memory grows without end and would have reached its limit: {quoted(said, 240)}",
        0.85,
        leak_fixes(scene, "", ""),
        citations=(Citation("verdict", said),),
        names=("memory",),
    )
