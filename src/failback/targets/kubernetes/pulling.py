"""The images of a release: looked for in their registries before a pod is started, and pinned by digest."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from failback.model.errors import FailbackError
from failback.model.release import Finding
from failback.targets.kubernetes import images
from failback.targets.kubernetes.desired import Desired
from failback.targets.kubernetes.images import Answer
from failback.targets.kubernetes.kinds import Object, told
from failback.targets.kubernetes.site import Site


async def pinned(site: Site, desired: Desired) -> Desired:
    """The same release with every image by digest, where its registry says which: what was tested is what restarts."""
    answers = await asked(site, desired)

    def named(container: Object) -> Object:
        answer = answers.get(container.get("image", ""))
        return {**container, "image": images.with_digest(container["image"], answer.digest)} if answer else container

    workloads = []
    for workload in desired.workloads:
        shape = copy.deepcopy(workload)
        pod = shape["spec"]["template"]["spec"]
        for key in ("containers", "initContainers"):
            if pod.get(key):
                pod[key] = [named(one) for one in pod[key]]
        workloads.append(shape)
    return dataclasses.replace(desired, workloads=tuple(workloads))


async def asked(site: Site, desired: Desired) -> dict[str, Answer]:
    """Image -> what its registry says, with the credentials of the workload that uses it. All at once."""
    wanted: dict[str, tuple[str, str] | None] = {}
    for workload in (*desired.workloads, *desired.jobs):
        pod = workload["spec"]["template"]["spec"]
        secrets = await _pull_secrets(site, desired, pod)
        for container in _containers(pod):
            image = container["image"]
            login = None
            with contextlib.suppress(ValueError):
                login = images.credentials(secrets, images.parsed(image).registry)
            wanted[image] = wanted.get(image) or login
    return await images.ask_all(wanted)


def _containers(pod: Object) -> Iterator[Object]:
    for key in ("containers", "initContainers"):
        yield from (one for one in pod.get(key) or () if one.get("image"))


async def _pull_secrets(site: Site, desired: Desired, pod: Object) -> list[Object]:
    """Those of the pod and of its service account, in the release or in the cluster."""
    brought = {one["metadata"]["name"]: one for one in desired.everything() if one["kind"] == "Secret"}
    names = [one["name"] for one in pod.get("imagePullSecrets") or ()]
    try:
        if not names:
            account = await site.cluster.get("ServiceAccount", pod.get("serviceAccountName") or "default")
            names = [one["name"] for one in (account or {}).get("imagePullSecrets") or ()]
        missing = [name for name in names if name not in brought]
        found = await asyncio.gather(*(site.cluster.get("Secret", name) for name in missing))
    except FailbackError:
        return [brought[name] for name in names if name in brought]
    return [*(brought[name] for name in names if name in brought), *(one for one in found if one is not None)]


def findings(desired: Desired, answers: Mapping[str, Answer]) -> list[Finding]:
    """What blocks is what the nodes would meet as well: no such image, or pull credentials that are refused. Pure."""
    found: dict[tuple[str, str], Finding] = {}
    for workload in (*desired.workloads, *desired.jobs):
        for container in _containers(workload["spec"]["template"]["spec"]):
            one = _finding(told(workload), container["image"], answers.get(container["image"]))
            if one is not None:
                found.setdefault((one.subject, one.message), one)
    return list(found.values())


def _finding(subject: str, image: str, answer: Answer | None) -> Finding | None:
    if answer is None or answer.state == "there":
        return None
    if answer.state == "absent":
        message = f'Failed to pull image "{image}": not found: {answer.said or "manifest unknown"}'
        remedy = "Build and push it before the Deploy step, or correct its name or tag."
        return Finding("error", subject, message, remedy, True, _foreseen(subject, message))
    if answer.state == "denied" and answer.with_credentials:
        message = (f'Failed to pull image "{image}": unauthorized: the registry refuses the credentials of the pull '
                   f"secret ({answer.said})")  # fmt: skip
        return Finding("error", subject, message, "Renew the imagePullSecret.", True, _foreseen(subject, message))
    if answer.state == "denied":
        message = f"the registry does not show {image} without credentials ({answer.said}); the nodes may have some"
        return Finding("info", subject, message, "If they have none, add an imagePullSecret.")
    message = f"the registry of {image} could not be asked from here ({answer.said}); the nodes will tell"
    return Finding("info", subject, message)


def _foreseen(subject: str, message: str) -> dict[str, Any]:
    """What the kubelet would say, for the diagnosis."""
    return {"foreseen": {"reason": "Failed", "message": message, "kind": "Pod", "name": subject.rpartition("/")[2]}}
