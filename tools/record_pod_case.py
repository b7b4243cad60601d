"""Deploy something broken on a real cluster and write down what its parts say of it, as a diagnosis case.

`record()` takes a PodRecipe (manifests, what to wait for, what a senior engineer would say), makes a namespace, sends
the manifests as a client does, waits, and writes one case: pods and events cut to what matters, logs, and the API
server's answer where it refused. Run as a script with a Python file that holds a list RECIPES:

    testbed/run .venv/bin/python tools/record_pod_case.py FILE [ID...]
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import ssl
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from make_cases import ASIDE, OPEN, faults, neutral, shorten

WAIT_S_MAX = 120.0
LOG_LINES_MAX = 60
POLL_S = 0.5
_API_OF = {
    "Deployment": "apis/apps/v1",
    "StatefulSet": "apis/apps/v1",
    "DaemonSet": "apis/apps/v1",
    "Job": "apis/batch/v1",
    "CronJob": "apis/batch/v1",
    "Ingress": "apis/networking.k8s.io/v1",
    "NetworkPolicy": "apis/networking.k8s.io/v1",
    "Role": "apis/rbac.authorization.k8s.io/v1",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2",
    "PodDisruptionBudget": "apis/policy/v1",
}
_CONTAINER_KEYS = (
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "envFrom",
    "ports",
    "resources",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
    "lifecycle",
    "securityContext",
    "workingDir",
    "volumeMounts",
)
_SPEC_KEYS = (
    "nodeSelector",
    "affinity",
    "nodeName",
    "securityContext",
    "serviceAccountName",
    "priorityClassName",
    "imagePullSecrets",
    "runtimeClassName",
    "topologySpreadConstraints",
    "hostNetwork",
)


@dataclass(frozen=True)
class PodRecipe:
    """One failure to bring about. `manifests` and `setup` are YAML; `{ns}` in them is the namespace."""

    id: str
    source: str
    manifests: str
    type: str | list[str]
    cause: list[list[str]] = field(default_factory=list)
    fix: list[list[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    setup: str = ""
    namespace_labels: dict[str, str] = field(default_factory=dict)
    user: str = ""  # sent as this user (impersonated)
    verb: str = "POST"  # or "APPLY": sent as server-side apply, twice where `setup` made the object
    wait_reasons: tuple[str, ...] = ()  # a waiting, terminated or event reason that ends the waiting
    wait_text: str = ""  # a text in an event's message or a log that ends the waiting
    settle_s: float = 2.0
    wait_s_max: float = WAIT_S_MAX
    with_manifests: bool = False
    change: str = ""
    aside: bool = False


class Api:
    """The API server that KUBECONFIG names, as the user that stands there."""

    def __init__(self) -> None:
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        self.token = user.get("token", "")
        if not self.token:
            with tempfile.TemporaryDirectory() as folder:
                cert, key = Path(folder, "cert"), Path(folder, "key")
                cert.write_text(_pem(user, "client-certificate"))
                key.write_text(_pem(user, "client-key"))
                context.load_cert_chain(cert, key)
        self.client = httpx.Client(base_url=cluster["server"], verify=context, timeout=30, trust_env=False)

    def call(self, method: str, path: str, body: object = None, user: str = "", kind: str = "application/json") -> Any:
        """The decoded answer: an object, or the Status that says why not. Logs come as text."""
        headers = {"content-type": kind} | ({"impersonate-user": user} if user else {})
        headers |= {"authorization": f"Bearer {self.token}"} if self.token else {}
        content = None if body is None else yaml.safe_dump(body) if "yaml" in kind else json.dumps(body)
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                answer = self.client.request(method, path, content=content, headers=headers)
                break
            except httpx.TransportError:  # others may restart the API server of a shared cluster
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text


def _pem(entry: dict[str, str], name: str) -> str:
    data = entry.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else Path(entry[name]).read_text()


def record(recipe: PodRecipe, api: Api) -> Path:
    """Bring the failure about and write its case. The namespace is deleted afterwards."""
    namespace = f"diag-{recipe.id}"[:60].strip("-")
    labels = {"kubernetes.io/metadata.name": namespace, **recipe.namespace_labels}
    made = api.call(
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
    )
    if made.get("kind") == "Status" and made.get("reason") != "AlreadyExists":
        raise SystemExit(f"{recipe.id}: {made.get('message')}")
    try:
        _await_account(api, namespace)
        for manifest in _objects(recipe.setup, namespace):
            answer = _send(api, manifest, namespace)
            if answer.get("kind") == "Status":
                raise SystemExit(f"{recipe.id}: set-up: {answer.get('message')}")
        given = _given(recipe, api, namespace)
    finally:
        api.call("DELETE", f"/api/v1/namespaces/{namespace}")
    expect: dict[str, object] = {"type": recipe.type}
    if recipe.type != "none":
        expect |= {"cause": recipe.cause, "fix": recipe.fix}
    if recipe.wrong:
        expect["not"] = recipe.wrong
    case = {"id": recipe.id, "source": f"reproduced: {recipe.source}", "given": given, "expect": expect}
    target = (ASIDE if recipe.aside else OPEN) / f"{recipe.id}.json"
    target.write_text(neutral(json.dumps(case, indent=1, ensure_ascii=False)) + "\n")
    return target


def _given(recipe: PodRecipe, api: Api, namespace: str) -> dict[str, object]:
    manifests = list(_objects(recipe.manifests, namespace))
    given: dict[str, object] = {
        "failed_step": {"number": 7, "name": "Deploy", "type": "deploy"},
        "target": "kubernetes",
    }
    refused: Any = None
    for manifest in manifests:
        answer = _send(api, manifest, namespace, recipe.user, recipe.verb)
        if answer.get("kind") == "Status":
            refused = answer
            break
    if refused is not None:
        given["api_error"] = {key: value for key, value in refused.items() if key != "metadata"}
    else:
        _wait(recipe, api, namespace)
        given |= _collected(api, namespace)
    if recipe.with_manifests or refused is not None:
        given["manifests"] = manifests
    if recipe.change:
        given["change"] = recipe.change
    return given


def _objects(text: str, namespace: str) -> Iterable[dict[str, Any]]:
    for manifest in yaml.safe_load_all(text.replace("{ns}", namespace)):
        if manifest:
            manifest.setdefault("metadata", {}).setdefault("namespace", namespace)
            yield manifest


def _send(api: Api, manifest: dict[str, Any], namespace: str, user: str = "", verb: str = "POST") -> Any:
    kind = manifest["kind"]
    group = manifest.get("apiVersion", "v1")
    base = _API_OF.get(kind) or ("api/v1" if group == "v1" else f"apis/{group}")
    base = base if group in ("v1", base.removeprefix("apis/")) else f"apis/{group}"
    plural = {
        "Ingress": "ingresses",
        "NetworkPolicy": "networkpolicies",
        "StorageClass": "storageclasses",
        "PriorityClass": "priorityclasses",
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    }.get(kind, kind.lower() + "s")
    scoped = kind not in (
        "Namespace",
        "ClusterRole",
        "StorageClass",
        "PersistentVolume",
        "PriorityClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    )
    path = f"/{base}/namespaces/{namespace}/{plural}" if scoped else f"/{base}/{plural}"
    if verb == "APPLY":
        name = manifest["metadata"]["name"]
        return _status(
            api.call(
                "PATCH",
                f"{path}/{name}?fieldManager=deploy&force=true&fieldValidation=Strict",
                manifest,
                user,
                "application/apply-patch+yaml",
            )
        )
    return _status(api.call("POST", f"{path}?fieldValidation=Strict", manifest, user))


def _status(answer: Any) -> Any:
    return answer if isinstance(answer, dict) else {"kind": "Status", "message": str(answer)}


def _await_account(api: Api, namespace: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline:
        if api.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default").get("kind") == "ServiceAccount":
            return
        time.sleep(POLL_S)
    raise SystemExit(f"{namespace}: no default service account")


def _wait(recipe: PodRecipe, api: Api, namespace: str) -> None:
    deadline = time.monotonic() + recipe.wait_s_max
    while time.monotonic() < deadline:
        text = json.dumps(_collected(api, namespace))
        reasons = any(f'"reason": "{reason}"' in text for reason in recipe.wait_reasons)
        if reasons or (recipe.wait_text and recipe.wait_text in text):
            break
        time.sleep(POLL_S)
    time.sleep(recipe.settle_s)


def _collected(api: Api, namespace: str) -> dict[str, object]:
    pods = api.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"][:2]
    events = api.call("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    found: dict[str, object] = {"pods": [_cut_pod(pod) for pod in pods]}
    kept = [_cut_event(event) for event in events if event["type"] == "Warning" or event["reason"] in ("Killing",)]
    if kept:
        found["events"] = kept[-14:]
    logs: dict[str, dict[str, str]] = {}
    for pod in pods:
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            pair = {
                name: _log(api, namespace, pod["metadata"]["name"], container["name"], previous)
                for name, previous in (("current", False), ("previous", True))
            }
            pair = {name: text for name, text in pair.items() if text.strip()}
            if pair:
                logs[f"{pod['metadata']['name']}/{container['name']}"] = pair
    if logs:
        found["logs"] = logs
    return found


def _log(api: Api, namespace: str, pod: str, container: str, previous: bool) -> str:
    answer = api.call(
        "GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&previous={str(previous).lower()}"
    )
    return shorten(answer, LOG_LINES_MAX) if isinstance(answer, str) else ""


def _cut_pod(pod: dict[str, Any]) -> dict[str, Any]:
    spec, status, meta = pod["spec"], pod.get("status", {}), pod["metadata"]
    cut: dict[str, Any] = {key: spec[key] for key in _SPEC_KEYS if spec.get(key) and spec[key] != "default"}
    for key in ("initContainers", "containers"):
        if spec.get(key):
            cut[key] = [_cut_container(entry) for entry in spec[key]]
    volumes = [volume for volume in spec.get("volumes", []) if not volume["name"].startswith("kube-api-access")]
    if volumes:
        cut["volumes"] = volumes
    owners = [{"kind": owner["kind"], "name": owner["name"]} for owner in meta.get("ownerReferences", [])]
    state = {key: status[key] for key in ("phase", "reason", "message") if status.get(key)}
    state["conditions"] = [
        {k: c[k] for k in ("type", "status", "reason", "message") if c.get(k)} for c in status.get("conditions", [])
    ]
    for key in ("initContainerStatuses", "containerStatuses"):
        if status.get(key):
            state[key] = [_cut_status(entry) for entry in status[key]]
    return {
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": meta.get("labels", {}),
            "ownerReferences": owners,
        },
        "spec": cut,
        "status": state,
    }


def _cut_container(entry: dict[str, Any]) -> dict[str, Any]:
    cut = {key: entry[key] for key in _CONTAINER_KEYS if entry.get(key)}
    mounts = [mount for mount in cut.pop("volumeMounts", []) if not mount["name"].startswith("kube-api-access")]
    return cut | ({"volumeMounts": mounts} if mounts else {})


def _cut_status(entry: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "ready", "started", "restartCount", "image")
    cut: dict[str, Any] = {key: entry[key] for key in kept if key in entry}
    for key in ("state", "lastState"):
        if entry.get(key):
            cut[key] = {
                kind: {k: v for k, v in value.items() if k not in ("containerID",)}
                for kind, value in entry[key].items()
            }
    return cut


def _cut_event(event: dict[str, Any]) -> dict[str, Any]:
    involved = event["involvedObject"]
    cut = {"type": event["type"], "reason": event["reason"], "message": event.get("message", "")}
    return cut | {
        "count": event.get("count") or 1,
        "involvedObject": {key: involved[key] for key in ("kind", "name", "fieldPath") if involved.get(key)},
    }


def main(arguments: list[str]) -> int:
    """Record the recipes of a file, or those whose ids are named; 1 when a case is out of order."""
    recipes: list[PodRecipe] = runpy.run_path(arguments[0])["RECIPES"]
    wanted = set(arguments[1:])
    api, bad = Api(), 0
    for recipe in recipes:
        if wanted and recipe.id not in wanted:
            continue
        path = record(recipe, api)
        found = faults(path)
        bad += bool(found)
        print(f"{recipe.id}: {'; '.join(found) or 'recorded'}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
