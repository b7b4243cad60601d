"""What the kubelet, scheduler, controllers and API server of Kubernetes 1.34 say: the type, and the thing that it names."""

from __future__ import annotations

from typing import Any

import pytest

from failback.diagnosis import diagnose
from failback.model.evidence import Evidence, FailedStep, LogPair

STEP = FailedStep(7, "Deploy", "deploy")
IM = 'failed to pull and unpack image "reg.io/shop:1.2": failed to resolve reference "reg.io/shop:1.2": '


def pod(waiting: str | None = None, msg: str = "", status: dict[str, Any] | None = None) -> dict[str, Any]:
    """A pod of the Deployment shop whose container waits for a reason, or whose status is given."""
    state = {"waiting": {"reason": waiting, "message": msg}} if waiting else {}
    container = {"name": "app", "ready": False, "restartCount": 0, "state": state}
    return {
        "metadata": {"name": "shop-7d9f8c6b5-abcde", "namespace": "shop"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "reg.io/shop:1.2"}]},
        "status": {"phase": "Pending", "containerStatuses": [container], **(status or {})},
    }


def ev(reason: str, msg: str, kind: str = "Pod", name: str = "shop-7d9f8c6b5-abcde") -> dict[str, Any]:
    """A warning event."""
    return {"type": "Warning", "reason": reason, "message": msg, "involvedObject": {"kind": kind, "name": name}}


def E(pods: Any = (), events: Any = (), api: Any = None, step: str = "", logs: Any = None) -> Evidence:
    return Evidence(
        target="kubernetes",
        failed_step=STEP,
        pods=tuple(pods),
        events=tuple(events),
        api_error=api,
        step_output=step,
        logs=logs or {},
    )


def A(msg: str, reason: str = "Forbidden", code: int = 403, **details: str) -> dict[str, Any]:
    """The API server's answer."""
    return {"kind": "Status", "status": "Failure", "message": msg, "reason": reason, "code": code, "details": details}


SAID = [
    (
        "image_registry_unavailable",
        "rate",
        E(
            [
                pod(
                    "ErrImagePull",
                    IM
                    + "unexpected status from HEAD request to https://reg.io/v2/shop/manifests/1.2: 429 Too Many Requests",
                )
            ]
        ),
    ),
    (
        "image_registry_unavailable",
        "certificate",
        E(
            [
                pod(
                    "ErrImagePull",
                    IM
                    + 'failed to do request: Head "https://reg.io/v2/shop/manifests/1.2": tls: failed to verify certificate: x509: certificate signed by unknown authority',
                )
            ]
        ),
    ),
    (
        "image_registry_unavailable",
        "",
        E(
            [
                pod(
                    "ErrImagePull",
                    IM
                    + 'failed to do request: Head "https://reg.io/v2/shop/manifests/1.2": dial tcp 10.0.0.9:443: i/o timeout',
                )
            ]
        ),
    ),
    (
        "image_registry_unavailable",
        "HTTP",
        E(
            [
                pod(
                    "ErrImagePull",
                    IM
                    + 'failed to do request: Head "https://reg.io/v2/shop/manifests/1.2": http: server gave HTTP response to HTTPS client',
                )
            ]
        ),
    ),
    (
        "image_registry_unavailable",
        "",
        E(
            [
                pod(
                    "ErrImagePull",
                    IM
                    + "unexpected status from HEAD request to https://reg.io/v2/shop/manifests/1.2: 503 Service Unavailable",
                )
            ]
        ),
    ),
    (
        "image_access_denied",
        "reg.io/shop",
        E(
            [
                pod(
                    "ErrImagePull",
                    IM
                    + "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://reg.io/token: 401 Unauthorized",
                )
            ]
        ),
    ),
    (
        "image_access_denied",
        "",
        E(
            [
                pod(
                    "ErrImagePull",
                    "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                )
            ]
        ),
    ),
    (
        "image_access_denied",
        "",
        E(
            [
                pod(
                    "ImagePullBackOff",
                    'Back-off pulling image "ghcr.io/acme/api:3": ErrImagePull: failed to pull and unpack image "ghcr.io/acme/api:3": failed to resolve reference "ghcr.io/acme/api:3": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://ghcr.io/token: 403 Forbidden',
                )
            ]
        ),
    ),
    (
        "platform_mismatch",
        "",
        E(
            [
                pod(
                    "ErrImagePull",
                    'failed to pull and unpack image "reg.io/shop:1.2": no match for platform in manifest: not found',
                )
            ]
        ),
    ),
    (
        "image_not_found",
        "1.2",
        E(
            [
                pod(
                    "ImagePullBackOff",
                    'Back-off pulling image "reg.io/shop:1.2": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "reg.io/shop:1.2": failed to resolve reference "reg.io/shop:1.2": reg.io/shop:1.2: not found',
                )
            ]
        ),
    ),
    (
        "volume_failure",
        "nfs.internal",
        E(
            [pod("ContainerCreating")],
            [
                ev(
                    "FailedMount",
                    'MountVolume.SetUp failed for volume "media" : mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs nfs.internal:/exports/media /var/lib/kubelet/pods/x\nOutput: mount.nfs: Connection timed out',
                )
            ],
        ),
    ),
    (
        "volume_failure",
        "pvc-1",
        E(
            [pod("ContainerCreating")],
            [
                ev(
                    "FailedAttachVolume",
                    'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can\'t be attached to another',
                )
            ],
        ),
    ),
    (
        "volume_failure",
        "data",
        E(
            [pod("ContainerCreating")],
            [
                ev(
                    "FailedMount",
                    "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data kube-api-access-x]: timed out waiting for the condition",
                )
            ],
        ),
    ),
    (
        "volume_failure",
        "ebs.csi",
        E(
            [pod("ContainerCreating")],
            [
                ev(
                    "FailedMount",
                    'MountVolume.MountDevice failed for volume "pvc-2" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ebs.csi.aws.com not found in the list of registered CSI drivers',
                )
            ],
        ),
    ),
    (
        "volume_failure",
        "",
        E(
            [
                pod(
                    status={
                        "conditions": [
                            {
                                "type": "PodScheduled",
                                "status": "False",
                                "reason": "Unschedulable",
                                "message": "0/3 nodes are available: 3 node(s) had volume node affinity conflict. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
                            }
                        ]
                    }
                )
            ]
        ),
    ),
    (
        "unschedulable",
        "dedicated",
        E(
            [
                pod(
                    status={
                        "conditions": [
                            {
                                "type": "PodScheduled",
                                "status": "False",
                                "reason": "Unschedulable",
                                "message": "0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: gpu}. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
                            }
                        ]
                    }
                )
            ]
        ),
    ),
    (
        "unschedulable",
        "Too many pods",
        E(
            [],
            [
                ev(
                    "FailedScheduling",
                    "0/2 nodes are available: 2 Too many pods. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
                )
            ],
        ),
    ),
    (
        "unschedulable",
        "topology",
        E(
            [],
            [
                ev(
                    "FailedScheduling",
                    "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.",
                )
            ],
        ),
    ),
    (
        "memory_limit",
        "memory",
        E(
            [
                pod(
                    status={
                        "phase": "Failed",
                        "reason": "Evicted",
                        "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container app was using 900Mi, request is 0, has larger consumption of memory.",
                    }
                )
            ]
        ),
    ),
    (
        "disk_full",
        "ephemeral",
        E(
            [
                pod(
                    status={
                        "phase": "Failed",
                        "reason": "Evicted",
                        "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 900Mi.",
                    }
                )
            ]
        ),
    ),
    (
        "disk_full",
        "64Mi",
        E(
            [
                pod(
                    status={
                        "phase": "Failed",
                        "reason": "Evicted",
                        "message": "Pod ephemeral local storage usage exceeds the total limit of containers 64Mi. ",
                    }
                )
            ]
        ),
    ),
    (
        "node_failure",
        "",
        E(
            [pod("ContainerCreating")],
            [
                ev(
                    "FailedCreatePodSandBox",
                    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "abc": plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized: Unauthorized',
                )
            ],
        ),
    ),
    (
        "node_failure",
        "",
        E(
            [pod("ContainerCreating")],
            [
                ev(
                    "FailedCreatePodSandBox",
                    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "abc": plugin type="host-local" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.244.0.1-10.244.0.254',
                )
            ],
        ),
    ),
    ("node_failure", "", E([], [ev("NodeNotReady", "Node is not ready")])),
    (
        "node_failure",
        "",
        E(
            [pod()],
            [
                ev(
                    "NetworkNotReady",
                    "network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
                )
            ],
        ),
    ),
    (
        "admission_denied",
        "no-latest",
        E(
            api=A(
                "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Deployment/shop/web was blocked due to the following policies \n\nno-latest:\n  check-tag: 'validation error: Using a mutable image tag e.g. ''latest'' is not allowed. rule check-tag failed'",
                "BadRequest",
                400,
            )
        ),
    ),
    (
        "admission_denied",
        "replica",
        E(
            api=A(
                "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'replica-limit' with binding 'replica-limit-b' denied request: failed expression: object.spec.replicas <= 5",
                "Invalid",
                422,
            )
        ),
    ),
    (
        "admission_denied",
        "istio",
        E(
            api=A(
                'Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": no endpoints available for service "istiod"',
                "InternalError",
                500,
            )
        ),
    ),
    (
        "invalid_manifest",
        "spec.template",
        E(
            api=A(
                'Job.batch "migrate" is invalid: spec.template: Invalid value: core.PodTemplateSpec{}: field is immutable',
                "Invalid",
                422,
                name="migrate",
                kind="Job",
            )
        ),
    ),
    (
        "invalid_manifest",
        "StatefulSet",
        E(
            api=A(
                "StatefulSet.apps \"db\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
                "Invalid",
                422,
            )
        ),
    ),
    (
        "invalid_manifest",
        "labels",
        E(
            api=A(
                'Deployment.apps "web" is invalid: spec.template.metadata.labels: Invalid value: {"app":"web2"}: `selector` does not match template `labels`',
                "Invalid",
                422,
            )
        ),
    ),
    (
        "invalid_manifest",
        "readinesProbe",
        E(
            api=A(
                'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.template.spec.containers[0].readinesProbe"',
                "BadRequest",
                400,
            )
        ),
    ),
    (
        "invalid_manifest",
        "replicas",
        E(
            api=A(
                'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
                "BadRequest",
                400,
            )
        ),
    ),
    (
        "invalid_manifest",
        "memory",
        E(
            api=A(
                'Deployment.apps "web" is invalid: spec.template.spec.containers[0].resources.requests: Invalid value: "512Mi": must be less than or equal to memory limit of 256Mi',
                "Invalid",
                422,
            )
        ),
    ),
    (
        "version_incompatibility|invalid_manifest",
        "Ingress",
        E(
            step='error: resource mapping not found for name: "web" namespace: "" from "k8s/ingress.yaml": no matches for kind "Ingress" in version "extensions/v1beta1"\nensure CRDs are installed first'
        ),
    ),
    (
        "invalid_manifest|missing_configuration",
        "shop",
        E(api=A('namespaces "shop" not found', "NotFound", 404, name="shop", kind="namespaces")),
    ),
    (
        "quota_exceeded",
        "pods",
        E(api=A('pods "web-1" is forbidden: exceeded quota: team, requested: pods=1, used: pods=10, limited: pods=10')),
    ),
    (
        "quota_exceeded",
        "cpu",
        E(
            events=[
                ev(
                    "FailedCreate",
                    'Error creating: pods "web-6c5-x" is forbidden: minimum cpu usage per Container is 100m, but request is 10m',
                    "ReplicaSet",
                    "web-6c5",
                )
            ]
        ),
    ),
    (
        "quota_exceeded",
        "storage",
        E(
            api=A(
                'persistentvolumeclaims "data" is forbidden: exceeded quota: storage, requested: requests.storage=50Gi, used: requests.storage=80Gi, limited: requests.storage=100Gi'
            )
        ),
    ),
    (
        "rbac_forbidden",
        "patch",
        E(
            step='Error from server (Forbidden): deployments.apps "web" is forbidden: User "system:serviceaccount:ci:deployer" cannot patch resource "deployments" in API group "apps" in the namespace "shop"'
        ),
    ),
    ("rbac_forbidden", "", E(step="error: You must be logged in to the server (Unauthorized)")),
    (
        "rbac_forbidden",
        "",
        E(
            api=A(
                'roles.rbac.authorization.k8s.io "x" is forbidden: user "ci" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
            )
        ),
    ),
    (
        "port_conflict|invalid_manifest",
        "30080",
        E(
            api=A(
                'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
                "Invalid",
                422,
            )
        ),
    ),
    (
        "missing_configuration|invalid_manifest",
        "runner",
        E(
            events=[
                ev(
                    "FailedCreate",
                    'Error creating: pods "web-" is forbidden: error looking up service account shop/runner: serviceaccount "runner" not found',
                    "ReplicaSet",
                    "web-6c5",
                )
            ]
        ),
    ),
    (
        "bad_command",
        "/app/run",
        E(
            [
                pod(
                    "CrashLoopBackOff",
                    "back-off 10s restarting failed container",
                    status={
                        "containerStatuses": [
                            {
                                "name": "app",
                                "restartCount": 2,
                                "state": {
                                    "waiting": {
                                        "reason": "CrashLoopBackOff",
                                        "message": "back-off 10s restarting failed container=app",
                                    }
                                },
                                "lastState": {
                                    "terminated": {
                                        "reason": "StartError",
                                        "exitCode": 128,
                                        "message": 'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "/app/run": stat /app/run: no such file or directory',
                                    }
                                },
                            }
                        ]
                    },
                )
            ]
        ),
    ),
    (
        "probe_misconfigured",
        "grpc",
        E(
            [
                pod(
                    status={
                        "phase": "Running",
                        "conditions": [{"type": "Ready", "status": "False"}],
                        "containerStatuses": [
                            {"name": "app", "ready": False, "restartCount": 0, "state": {"running": {}}}
                        ],
                    }
                )
            ],
            [ev("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404 grpc")],
        ),
    ),
    ("missing_configuration", "app-config", E([pod("CreateContainerConfigError", 'configmap "app-config" not found')])),
    (
        "missing_configuration",
        "DB_URL",
        E([pod("CreateContainerConfigError", "couldn't find key DB_URL in ConfigMap shop/app-config")]),
    ),
    (
        "tls_certificate|invalid_manifest",
        "",
        E(api=A('Secret "tls" is invalid: data[tls.crt]: Required value', "Invalid", 422)),
    ),
    (
        "memory_limit|memory_leak",
        "OOM",
        E(
            [
                pod(
                    status={
                        "phase": "Running",
                        "containerStatuses": [
                            {
                                "name": "app",
                                "ready": False,
                                "restartCount": 4,
                                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                            }
                        ],
                    }
                )
            ]
        ),
    ),
    (
        "dependency_unreachable",
        "5432",
        E(
            [pod("CrashLoopBackOff")],
            [ev("BackOff", "Back-off restarting failed container app in pod shop")],
            logs={
                "shop-7d9f8c6b5-abcde/app": LogPair(
                    "",
                    "Error: connect ECONNREFUSED 10.0.0.3:5432\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)",
                )
            },
        ),
    ),
]


@pytest.mark.parametrize(("kinds", "named", "evidence"), SAID, ids=range(len(SAID)))
def test_a_statement_is_understood(kinds, named, evidence):
    found = diagnose(evidence)

    assert str(found.type) in kinds.split("|"), found.cause
    assert named.lower() in found.cause.lower()
    assert any(fix.priority == "HIGH" and fix.example for fix in found.recommendations)


def test_the_role_holds_exactly_the_refused_verbs():
    """Given three refusals of one account, when diagnosed, then one Role with these verbs on these resources, and no more."""
    user = "system:serviceaccount:ci:deployer"
    log = "\n".join(
        f'{resource} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" in the namespace "shop"'
        for verb, resource, group in (("list", "pods", ""), ("watch", "pods", ""), ("patch", "deployments", "apps"))
    )
    found = diagnose(E([pod("CrashLoopBackOff")], logs={"shop-7d9f8c6b5-abcde/app": LogPair(log)}))

    manifest = found.recommendations[0].example
    assert found.type == "rbac_forbidden"
    assert 'resources: ["pods"]\n    verbs: ["list", "watch"]' in manifest
    assert 'apiGroups: ["apps"]\n    resources: ["deployments"]\n    verbs: ["patch"]' in manifest
    assert "kind: ServiceAccount\n    name: deployer\n    namespace: ci" in manifest
    assert "*" not in manifest


def test_a_ready_pod_with_early_warnings_is_healthy():
    """Unhealthy and FailedScheduling before a pod became Ready belong to its start."""
    ready = pod(
        status={
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "ready": True, "restartCount": 0, "state": {"running": {}}}],
        }
    )
    events = [
        ev("Unhealthy", "Readiness probe failed: dial tcp 10.0.0.1:80: connect: connection refused"),
        ev("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu."),
    ]

    assert diagnose(E([ready], events)).type == "none"


def test_a_container_killed_by_its_liveness_probe_is_not_a_crash():
    killed = pod(
        status={
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "app",
                    "ready": False,
                    "restartCount": 2,
                    "state": {"running": {}},
                    "lastState": {"terminated": {"reason": "Error", "exitCode": 143}},
                }
            ],
        }
    )
    events = [
        ev(
            "Unhealthy",
            'Liveness probe failed: Get "http://10.0.0.1:8080/": dial tcp 10.0.0.1:8080: connect: connection refused',
        ),
        ev("Killing", "Container app failed liveness probe, will be restarted") | {"type": "Normal"},
    ]
    log = {"shop-7d9f8c6b5-abcde/app": LogPair("INFO loading catalogue, part 3 of 9")}

    assert diagnose(E([killed], events, logs=log)).type == "slow_start"
