"""What `doctor` asks of a cluster: does it answer, may we do our work there, did somebody leave a rollout behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from failback.model.errors import FailbackError
from failback.model.release import Finding
from failback.targets.kubernetes import preflight_rights
from failback.targets.kubernetes.kinds import Object, labels_of, told
from failback.targets.kubernetes.record import ROLLOUT_OF, record_of
from failback.targets.kubernetes.site import Site

ANSWERS_S_MAX = 10.0


async def examine(site: Site, kinds: Sequence[str] = ()) -> list[Finding]:
    """All findings about one namespace. `kinds`: of the workloads that are deployed there."""
    place = f"{site.cluster.server} (context {site.cluster.context}, namespace {site.cluster.namespace})"
    try:
        async with asyncio.timeout(ANSWERS_S_MAX):
            version = await site.cluster.version()
            lacking, left = await asyncio.gather(
                preflight_rights.missing(site, preflight_rights.always_needed(kinds or ("Deployment",))),
                abandoned(site),
                return_exceptions=True,
            )
            found = [Finding("ok", "cluster", f"{place} answers: Kubernetes {version}")]
            if isinstance(lacking, BaseException):
                raise lacking
            if lacking:
                found.append(await preflight_rights.finding(site, lacking))
            else:
                found.append(Finding("ok", "permissions", f"all that a rollout needs in {site.cluster.namespace}"))
            if not isinstance(left, BaseException):
                found += left
            return found
    except TimeoutError:
        why = f"no answer within {ANSWERS_S_MAX:.0f} s"
    except FailbackError as error:
        why = error.message
    remedy = "`kubectl version` with the same context shows whether the way there is open."
    return [Finding("error", "cluster", f"{place} cannot be used: {why}", remedy)]


async def abandoned(site: Site) -> list[Finding]:
    """Rollouts in the namespace that nobody is at work on; and, as information, those that somebody is."""
    workloads = await site.in_rollouts(ROLLOUT_OF)
    services = sorted({labels_of(one)[ROLLOUT_OF] for one in workloads})
    leases = await asyncio.gather(*(site.cluster.get("Lease", f"failback-{name}") for name in services))
    held = {name: is_held(lease, datetime.now(UTC)) for name, lease in zip(services, leases, strict=True)}
    return list(_told(workloads, held))


def _told(workloads: Sequence[Object], held: dict[str, bool]) -> Iterator[Finding]:
    for one in workloads:
        service = labels_of(one)[ROLLOUT_OF]
        try:
            record = record_of(one)
        except ValueError as error:
            yield Finding("error", told(one), str(error), "Use the version of failback that began it.")
            continue
        if record is None:
            continue
        if held[service]:
            yield Finding("info", told(one), f"execution {record.execution} of {service} is at work on it")
            continue
        yield Finding(
            "error",
            told(one),
            f"the rollout of {service} by {record.execution} was left behind ({record.moment}); users are served",
            "`failback resume -f PLAN` with the service's plan ends it from any machine; so does its next deployment.",
        )


def is_held(lease: Object | None, now: datetime) -> bool:
    """Whether a Lease has a holder that gave a sign in time. Pure."""
    spec = (lease or {}).get("spec") or {}
    if not spec.get("holderIdentity") or not spec.get("renewTime"):
        return False
    age = (now - datetime.fromisoformat(spec["renewTime"])).total_seconds()
    return age <= float(spec.get("leaseDurationSeconds") or 0)
