"""What a release would change in the cluster: the server's own dry run of it beside what is there, as a unified diff.

Values of Secrets are never shown, only whether they change. What others changed since failback's last write follows
as drift, so that it is not overwritten unseen.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from failback.model.errors import FailbackError
from failback.model.redaction import MASK
from failback.targets.kubernetes import merging
from failback.targets.kubernetes.cleaning import as_manifest
from failback.targets.kubernetes.deployments import applicable
from failback.targets.kubernetes.desired import Desired
from failback.targets.kubernetes.drift import drift_of
from failback.targets.kubernetes.kinds import KINDS, WORKLOADS, Object, told
from failback.targets.kubernetes.secret_values import secret_values
from failback.targets.kubernetes.site import Site

_SECRET_PARTS = ("data", "stringData")


async def difference(site: Site, desired: Desired) -> str:
    """A unified diff of all objects, then the drift; "" where nothing changes."""
    site.redactor.add(secret_values(desired.everything()))
    wanted = (*desired.workloads, *desired.services, *desired.others)
    pairs = await asyncio.gather(*(_pair(site, one) for one in wanted))
    site.redactor.add(secret_values(live for live, _ in pairs if live is not None))
    parts = [text for live, after in pairs for text in _diff(site.cluster.namespace, live, after)]
    drifted = [line for live, after in pairs if live is not None for line in _drift(live, after)]
    if drifted:
        parts.append("\n".join(["# Changed by others since failback's last release:", *drifted]) + "\n")
    return site.redactor.redact("".join(parts))


async def _pair(site: Site, wanted: Object) -> tuple[Object | None, Object]:
    """The object as it is, and as it would be."""
    live = await site.cluster.get(wanted["kind"], wanted["metadata"]["name"]) if _known(wanted) else None
    shape = applicable(wanted, live) if wanted["kind"] in WORKLOADS else wanted
    try:
        after = await merging.merged(site.cluster, shape, live)
    except FailbackError:
        return live, wanted  # refused: preflight tells why; the change is shown as it was meant
    return live, after


def _known(wanted: Object) -> bool:
    known = KINDS.get(wanted["kind"])
    return known is not None and known.api_version == wanted["apiVersion"]


def _diff(namespace: str, live: Object | None, after: Object) -> Iterator[str]:
    before, now = (None if live is None else as_manifest(live)), as_manifest(after)
    other = _other_values(before, now) if now["kind"] == "Secret" and before is not None else []
    if other:
        yield f"# {told(after)}: other values of {', '.join(other)}\n"
    if before is not None:
        before, now = _masked(before, now)
    elif now["kind"] == "Secret":
        now = {**now, **{part: dict.fromkeys(now[part], MASK) for part in _SECRET_PARTS if now.get(part)}}
    name = f"{told(after)} ({namespace})"
    lines = difflib.unified_diff(
        _lines(before), _lines(now), f"{name} now" if before is not None else "nothing", f"{name} after"
    )
    text = "".join(lines)
    if text:
        yield text if text.endswith("\n") else f"{text}\n"


def _other_values(before: Object, now: Object) -> list[str]:
    """The keys of a Secret that get another value; the values themselves are never shown."""
    was, will = before.get("data") or {}, now.get("data") or {}
    return sorted(key for key in will if key in was and was[key] != will[key])


def _masked(before: Object, now: Object) -> tuple[Object, Object]:
    """Secrets without their values."""
    if now["kind"] != "Secret":
        return before, now
    old, new = dict(before), dict(now)
    for part in _SECRET_PARTS:
        was, will = before.get(part) or {}, now.get(part) or {}
        if was:
            old[part] = dict.fromkeys(was, MASK)
        if will:
            new[part] = dict.fromkeys(will, MASK)
    return old, new


def _lines(obj: Mapping[str, Any] | None) -> list[str]:
    if obj is None:
        return []
    return str(yaml.safe_dump(dict(obj), sort_keys=True, allow_unicode=True)).splitlines(keepends=True)


def _drift(live: Object, after: Object) -> Iterator[str]:
    """Each field that others changed, and what becomes of it."""
    for one in drift_of(live):
        value = MASK if live["kind"] == "Secret" else _short(one.value)
        same = _at(after, live, one.path)
        fate = "stays" if same else "this release overwrites it"
        yield f"# {told(live)}: {one.path} = {value} (by {one.manager}, {one.at}): {fate}"


def _at(after: Object, live: Object, path: str) -> bool:
    """Whether the field has the same value afterwards."""
    return bool(_value(after, path) == _value(live, path))


def _value(obj: Any, path: str) -> Any:
    for part in path.replace("[", ".[").split("."):
        if obj is None:
            return None
        if not part.startswith("["):
            obj = obj.get(part) if isinstance(obj, dict) else None
            continue
        wanted = part.strip("[]").split(", ")
        if isinstance(obj, list):
            obj = next(
                (
                    one
                    for one in obj
                    if (isinstance(one, dict) and set(wanted) <= {str(value) for value in one.values()})
                    or str(one) == wanted[0]
                ),
                None,
            )
    return obj


def _short(value: Any) -> str:
    text = str(yaml.safe_dump(value, default_flow_style=True, width=10_000)).replace("\n...", "").strip()
    return text if len(text) <= 120 else f"{text[:117]}..."
