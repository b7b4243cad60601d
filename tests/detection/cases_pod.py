"""Pods that can't be made, scheduled or started, in Kubernetes' own words, and what passes by itself."""

from __future__ import annotations

from dataclasses import replace

from tests.detection.scene import ABSENT, GOOD, exit_, fires, look_alike, said, view, waiting

CREATING = waiting("ContainerCreating")
SET = "ReplicaSet/web-7d9f"
QUOTA = (
    'Error creating: pods "web-7d9f-abc" is forbidden: exceeded quota: compute, requested: pods=1, '
    "used: pods=4, limited: pods=4"
)
WEBHOOK = 'Error creating: admission webhook "policy.example" denied the request: no latest tags'
SECURITY = (
    'Error creating: pods "web-7d9f-abc" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
)
ACCOUNT = (
    'Error creating: pods "web-7d9f-" is forbidden: error looking up service account shop/web: '
    'serviceaccount "web" not found'
)
NO_CPU = (
    "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found."
)
UP = said("TriggeredScaleUp", "pod triggered scale-up: [{pool 3->4 (max: 9)}]")
LOW = (
    "The node was low on resource: memory. Container web was using 900Mi, request is 100Mi, has "
    "larger consumption of memory. "
)
ATTACH = (
    'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and '
    "can't be attached to another"
)
MOUNT_TIME_OUT = "Unable to attach or mount volumes: unmounted volumes=[data]: timed out waiting for the condition"
MOUNT_32 = 'MountVolume.SetUp failed for volume "data" : mount failed: exit status 32'


def gone(evicted: str = "", **more: bool) -> object:
    return replace(ABSENT, evicted=evicted, **more)


FIRES = (
    fires(
        "config-missing",
        view(waiting("CreateContainerConfigError", 'configmap "web" not found'), GOOD),
        "a missing ConfigMap",
    ),
    fires(
        "config-missing",
        view(waiting("CreateContainerConfigError", "couldn't find key PORT in ConfigMap shop/web"), GOOD),
        "a missing key",
    ),
    fires(
        "config-missing",
        view(waiting("CreateContainerConfigError", 'secret "db" not found', container="migrate", init=True), GOOD),
        "of an init container",
    ),
    fires(
        "container-not-created",
        view(waiting("CreateContainerError", 'failed to generate container "x" spec: no command specified'), GOOD),
        "an image without a command",
    ),
    fires(
        "container-not-started",
        view(waiting("RunContainerError", 'exec: "serve": executable file not found in $PATH: unknown'), GOOD),
        "a command that is not there",
    ),
    fires(
        "volume-missing",
        view(
            CREATING,
            GOOD,
            says=(said("FailedMount", 'MountVolume.SetUp failed for volume "c" : configmap "web" not found'),),
        ),
        "a mounted ConfigMap that is not there",
    ),
    fires(
        "volume-missing",
        view(
            CREATING,
            GOOD,
            says=(
                said("FailedMount", 'MountVolume.SetUp failed for volume "c" : references non-existent secret key: x'),
            ),
        ),
        "a key of a mounted Secret",
    ),
    fires(
        "volume-missing",
        view(
            CREATING,
            GOOD,
            says=(said("FailedAttachVolume", "AttachVolume.Attach failed: rpc error: code = NotFound desc = disk"),),
        ),
        "a disk that does not exist",
    ),
    fires("volume-unusable", view(CREATING, GOOD, at_s=92, says=(said("FailedMount", MOUNT_32),)), "refused for 90 s"),
    fires(
        "volume-unusable",
        view(CREATING, GOOD, at_s=92, says=(said("FailedAttachVolume", ATTACH),)),
        "no detach takes so long",
    ),
    fires(
        "unschedulable",
        view(ABSENT, GOOD, says=(said("FailedScheduling", NO_CPU),), autoscaled=False),
        "no node has room, and none will be added",
    ),
    fires(
        "unschedulable",
        view(
            ABSENT,
            GOOD,
            says=(said("FailedScheduling", NO_CPU), said("NotTriggerScaleUp", "pod didn't trigger scale-up")),
        ),
        "the autoscaler has declined",
    ),
    fires(
        "unschedulable",
        view(ABSENT, GOOD, at_s=17, says=(said("FailedScheduling", NO_CPU),)),
        "no autoscaler has answered",
    ),
    fires(
        "unschedulable",
        view(
            ABSENT, GOOD, at_s=4, says=(said("FailedScheduling", '0/1 nodes: persistentvolumeclaim "data" not found'),)
        ),
        "a claim that nobody made",
    ),
    fires("quota-exceeded", view(GOOD, wanted=2, says=(said("FailedCreate", QUOTA, SET),)), "the quota has no room"),
    fires(
        "quota-exceeded",
        view(
            wanted=2,
            says=(
                said(
                    "FailedCreate", 'pods "w" is forbidden: maximum cpu usage per Container is 1, but limit is 2', SET
                ),
            ),
        ),
        "a LimitRange",
    ),
    fires("admission-denied", view(wanted=2, says=(said("FailedCreate", WEBHOOK, SET),)), "a webhook says no"),
    fires("admission-denied", view(wanted=2, says=(said("FailedCreate", SECURITY, SET),)), "PodSecurity says no"),
    fires(
        "pods-forbidden", view(wanted=2, says=(said("FailedCreate", ACCOUNT, SET),)), "the service account is missing"
    ),
    fires(
        "pods-not-created",
        view(wanted=2, at_s=62, says=(said("FailedCreate", 'failed calling webhook "x": connection refused', SET),)),
        "its webhook is away for good",
    ),
    fires(
        "evicted-over-own-limit",
        view(gone('Usage of EmptyDir volume "cache" exceeds the limit "10Mi". '), GOOD, wanted=1),
        "its own scratch space",
    ),
    fires(
        "evicted-over-own-limit",
        view(gone('Container web exceeded its local ephemeral storage limit "1Gi". '), GOOD, wanted=1),
        "its own disk limit",
    ),
    fires("evicted-again", view(gone(LOW), gone(LOW), GOOD, wanted=1), "evicted, made anew, and evicted again"),
)

LOOK_ALIKES = (
    look_alike(
        "config-missing",
        view(
            waiting(
                "CreateContainerConfigError", "failed to sync configmap cache: timed out waiting for the condition"
            ),
            GOOD,
        ),
        "the kubelet's cache fills",
    ),
    look_alike(
        "container-not-created",
        view(
            waiting("CreateContainerError", 'failed to reserve container name "web": name "web" is reserved for "1f"'),
            GOOD,
        ),
        "a lock that is given back",
    ),
    look_alike(
        "container-not-created", view(waiting("CreateContainerError", "context deadline exceeded"), GOOD), "a busy node"
    ),
    look_alike(
        "container-not-started",
        view(waiting("RunContainerError", "runc: resource temporarily unavailable"), GOOD),
        "a busy node",
    ),
    look_alike(
        "container-not-started",
        view(waiting("PodInitializing"), GOOD),
        "what every pod goes through",
        instead="being-started",
    ),
    look_alike(
        "volume-missing",
        view(
            CREATING,
            GOOD,
            says=(said("FailedMount", 'MountVolume.SetUp failed for volume "c" : object "shop"/"web" not registered'),),
        ),
        "the kubelet does not watch it yet",
    ),
    look_alike(
        "volume-missing",
        view(GOOD, GOOD, says=(said("FailedMount", 'configmap "web" not found'),), at_s=4),
        "the event stays, and the pod runs by now",
        instead="all-seen",
    ),
    look_alike(
        "volume-missing",
        view(replace(CREATING, exits=(exit_(),)), GOOD, says=(said("FailedMount", 'configmap "web" not found'),)),
        "it has run before: then it was mounted",
    ),
    look_alike(
        "volume-unusable",
        view(CREATING, GOOD, at_s=60, says=(said("FailedAttachVolume", ATTACH),)),
        "detaching elsewhere takes a minute",
        instead="volume-is-slow",
    ),
    look_alike(
        "volume-unusable",
        view(CREATING, GOOD, at_s=300, says=(said("FailedMount", MOUNT_TIME_OUT),)),
        "a time-out is a slow store's as well",
        instead="volume-is-slow",
    ),
    look_alike(
        "unschedulable",
        view(ABSENT, GOOD, at_s=10, says=(said("FailedScheduling", NO_CPU),)),
        "an autoscaler may answer",
        instead="asks-for-a-node",
    ),
    look_alike(
        "unschedulable",
        view(ABSENT, GOOD, at_s=200, says=(said("FailedScheduling", NO_CPU), UP)),
        "a node is on its way",
        instead="scaling-up",
    ),
    look_alike(
        "unschedulable",
        view(
            ABSENT,
            GOOD,
            at_s=200,
            says=(said("FailedScheduling", NO_CPU), said("Nominated", "Pod should schedule on: nodeclaim/x")),
        ),
        "Karpenter's answer",
        instead="scaling-up",
    ),
    look_alike(
        "unschedulable",
        view(GOOD, GOOD, at_s=4, says=(said("FailedScheduling", NO_CPU),), autoscaled=False),
        "it runs by now",
        instead="all-seen",
    ),
    look_alike(
        "unschedulable",
        view(ABSENT, replace(GOOD, node_lost=True), says=(said("FailedScheduling", NO_CPU),), autoscaled=False),
        "a node was lost: it did fit",
        instead="node-lost",
    ),
    look_alike(
        "unschedulable",
        view(
            ABSENT,
            GOOD,
            at_s=30,
            says=(said("FailedScheduling", "pod has unbound immediate PersistentVolumeClaims"),),
            autoscaled=False,
        ),
        "a volume is being made",
    ),
    look_alike(
        "unschedulable",
        view(
            ABSENT,
            GOOD,
            at_s=30,
            says=(said("FailedScheduling", "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }"),),
        ),
        "a node comes up",
    ),
    look_alike(
        "quota-exceeded",
        view(
            GOOD,
            wanted=2,
            says=(
                said(
                    "FailedCreate",
                    (
                        'Operation cannot be fulfilled on resourcequotas "compute": the object has been modified; '
                        "please apply your changes"
                    ),
                    SET,
                ),
            ),
        ),
        "two writers of one quota: tried again",
    ),
    look_alike(
        "quota-exceeded",
        view(GOOD, GOOD, at_s=4, says=(said("FailedCreate", QUOTA, SET),)),
        "all pods are there by now",
        instead="all-seen",
    ),
    look_alike(
        "admission-denied",
        view(
            wanted=2,
            says=(
                said(
                    "FailedCreate",
                    'Internal error occurred: failed calling webhook "x": context deadline exceeded',
                    SET,
                ),
            ),
        ),
        "a webhook that is away has not said no",
    ),
    look_alike(
        "pods-forbidden",
        view(
            wanted=2,
            says=(
                said(
                    "FailedCreate",
                    (
                        'pods "w" is forbidden: error looking up service account new/default: serviceaccount '
                        '"default" not found'
                    ),
                    SET,
                ),
            ),
        ),
        "a new namespace gets its default account a moment later",
    ),
    look_alike(
        "pods-forbidden",
        view(wanted=2, says=(said("FailedCreate", 'pods "w" is forbidden: status unknown for quota: compute', SET),)),
        "a new quota is counted first",
    ),
    look_alike(
        "pods-not-created",
        view(wanted=2, at_s=50, says=(said("FailedCreate", "etcdserver: request timed out", SET),)),
        "an API server that restarts",
    ),
    look_alike(
        "evicted-over-own-limit", view(gone(LOW), GOOD, wanted=2), "a node under pressure", instead="evicted-once"
    ),
    look_alike(
        "evicted-again",
        view(gone(LOW), GOOD, GOOD, wanted=2, at_s=4),
        "one eviction, made anew elsewhere",
        instead="all-seen",
    ),
    look_alike(
        "evicted-again",
        view(
            gone("The node had condition: [DiskPressure]. "),
            gone("The node had condition: [DiskPressure]. "),
            GOOD,
            wanted=1,
        ),
        "the node's disk, and not more than was asked for",
    ),
)
