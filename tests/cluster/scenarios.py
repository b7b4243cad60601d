"""What goes wrong with releases: one row each, with what failback has to say of it.

`foreseen`: preflight sees it, so the row is told twice: caught before anything is touched, and with the fault brought
in (`spoils`) after preflight, so that the rule is seen working.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.place import Place
from tests.cluster.registry import Registry
from tests.cluster.release import PORT, Release
from tests.cluster.spoiling import (
    Spoil,
    account_vanishes,
    admission_rule,
    configmap,
    configmap_loses_key,
    deny_pods,
    drop,
    label_namespace,
    limited_account,
    node_label,
    quota,
    registry_refuses,
    secret,
    unlabel_node,
    withdraw_rights,
)
from tests.cluster.support import is_testbed

Break = Callable[[Place, Release], None]


@dataclass(frozen=True)
class Scenario:
    """One way to fail. `rule`: of the gate; "" where a step says it by itself. `cause`: the type. Of several, with "|"
    between them, any will do. `says`: what the cause has to name."""

    name: str
    breaks: Break
    rule: str
    cause: str
    says: tuple[str, ...] = ()
    spoils: Spoil | None = None
    foreseen: bool = False
    unforeseen: bool = True
    refused: bool = False  # where foreseen: not permitted, so it is no execution at all
    checks: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "Deployment"
    replicas: int = 2
    stable: Break = field(default=lambda _, __: None)  # what the release before it does as well
    seconds: float = 12.0  # about how long; long ones begin first


def env(**variables: object) -> Break:
    """The application misbehaves by itself."""
    return lambda _, release: release.env(**variables)


def container(**fields: Any) -> Break:
    return lambda _, release: release.container.update(fields)


def pod(**fields: Any) -> Break:
    return lambda _, release: release.pod.update(fields)


def on_every_node(_: Place, release: Release) -> None:
    """The testbed's second node has a taint, and pulls from the registries only."""
    release.pod["tolerations"] = [{"key": "failback.testbed/second", "operator": "Exists"}]
    if is_testbed():
        release.container["image"] = "localhost:5000/failback/app:1"


def both(*breaks: Break) -> Break:
    def all_of_them(place: Place, release: Release) -> None:
        for one in breaks:
            one(place, release)

    return all_of_them


def _init_container(_: Place, release: Release) -> None:
    release.pod["initContainers"] = [
        {
            "name": "prepare",
            "image": "failback/app:1",
            "imagePullPolicy": "IfNotPresent",
            "env": [
                {"name": "NEED_FILE", "value": "/etc/prepared.json"},
            ],
        }
    ]


def _migration(_: Place, release: Release) -> None:
    said = 'ERROR: relation "orders" already exists\nmigration 0042_orders.sql failed'
    container = {
        "name": "migrate",
        "image": "failback/app:1",
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "ERROR_LINES", "value": said}, {"name": "EXIT_AT_START", "value": "1"}],
    }
    release.others.append(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "migrate"},
            "spec": {
                "backoffLimit": 0,
                "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
            },
        }
    )


def _migration_nowhere(place: Place, release: Release) -> None:
    """Its pod waits for what will never come, and the Job itself would say nothing of it for ever."""
    _migration(place, release)
    release.others[-1]["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}


def _config_only(_: Place, release: Release) -> None:
    """The same image and template; only a ConfigMap has another content."""
    release.config["data"] |= {"STATUS": "503", "ERROR_TEXT": "backend of GREETING is not configured"}


def _liveness(_: Place, release: Release) -> None:
    probe = {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    release.container["livenessProbe"] = probe
    release.env(UNLIVE_AFTER_S=2)


def _selector(_: Place, release: Release) -> None:
    release.workload["spec"]["selector"]["matchLabels"]["tier"] = "web"
    release.workload["spec"]["template"]["metadata"]["labels"]["tier"] = "web"


def _autoscaled(place: Place, release: Release) -> None:
    """An autoscaler has the replicas; it has set three of them."""
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }
    place.cluster.kubectl("scale", "deployment/app", "--replicas=3")
    place.cluster.apply(autoscaler)
    place.cluster.rolled_out()
    release.others.append(autoscaler)
    del release.workload["spec"]["replicas"]


def _memory(limit: str) -> Break:
    return container(resources={"limits": {"memory": limit}, "requests": {"memory": "16Mi"}})


_OPEN = "localhost:5000/failback"
SCENARIOS: tuple[Scenario, ...] = (
    # What an image may be
    Scenario("bad tag", container(image=f"{_OPEN}/app:nope"), "", "image_not_found", ("nope",),
             foreseen=True, unforeseen=False),
    Scenario("image gone", registry_refuses, "image-not-found", "image_not_found", ("localhost:",),
             spoils=lambda place: place.of(Registry).refuse("no such image"), foreseen=True),
    Scenario("registry wants credentials", container(image="localhost:5001/failback/app:1", imagePullPolicy="Always"),
             "image-denied", "image_access_denied", ("localhost:5001",)),
    Scenario("registry denies", registry_refuses, "image-denied", "image_access_denied", ("localhost:",),
             spoils=lambda place: place.of(Registry).refuse("denied")),
    Scenario("wrong architecture", container(image="failback/app-arm64:1"), "deterministic-exit",
             "platform_mismatch", ("exec format error",)),
    # What a pod needs
    Scenario("ConfigMap missing", configmap("late"), "config-missing", "missing_configuration", ("late",),
             spoils=drop("configmap", "late"), foreseen=True),
    Scenario("Secret missing", secret("late"), "config-missing", "missing_configuration", ("late",),
             spoils=drop("secret", "late"), foreseen=True),
    Scenario("key missing", configmap("late"), "config-missing", "missing_configuration", ("late", "key"),
             spoils=configmap_loses_key("late"), foreseen=True),
    Scenario("volume that can't mount",
             lambda _, release: release.mounts({"hostPath": {"path": "/nowhere/at/all", "type": "Directory"}}),
             "volume-missing", "volume_failure", ("/nowhere/at/all",)),
    Scenario("quota", env(), "quota-exceeded", "quota_exceeded", ("small",), spoils=quota("small", pods=2),
             foreseen=True),
    Scenario("service account gone", account_vanishes, "pods-forbidden", "missing_configuration", ("runner",),
             spoils=drop("serviceaccount", "runner"), foreseen=True),
    Scenario("RBAC-denied", limited_account, "", "rbac_forbidden", ("deployer", "deployments"),
             spoils=withdraw_rights, foreseen=True, refused=True),
    Scenario("admission policy", admission_rule, "admission-denied", "admission_denied", ("no pods in",),
             spoils=deny_pods, foreseen=True),
    Scenario("Pod Security", env(), "admission-denied", "admission_denied", ("restricted",),
             spoils=label_namespace("pod-security.kubernetes.io/enforce=restricted"), foreseen=True),
    Scenario("immutable field", _selector, "", "invalid_manifest", ("spec.selector",), foreseen=True,
             unforeseen=False),
    Scenario("unschedulable", node_label, "unschedulable", "unschedulable", ("node",), spoils=unlabel_node,
             foreseen=True),
    # What a container does
    Scenario("bad command", container(command=["/no/such/program"]), "container-not-started", "bad_command",
             ("/no/such/program",)),
    Scenario("exit at start, Node.js", container(image="failback/node-app:2"), "deterministic-exit", "missing_file",
             ("config/production.json",)),
    Scenario("exit at start, Python", container(image="failback/python-app:2"), "deterministic-exit",
             "missing_dependency", ()),
    Scenario("exit after 5 s", env(EXIT_AFTER_S=5), "every-replica-exited",
             "code_error", (), checks={"soak": 8}, seconds=20),
    Scenario("says why, then exits", env(EXIT_AFTER_S=3, ERROR_LINES="ConnectionRefusedError: [Errno 111] cache:6379"),
             "new-error-lines|every-replica-exited", "dependency_unreachable", ("6379",), checks={"soak": 6}),
    Scenario("exit after 20 s", env(EXIT_AFTER_S=20), "every-replica-exited", "code_error", (), checks={"soak": 25},
             seconds=35),
    Scenario("over its memory limit", both(_memory("48Mi"), env(USE_MB=200)), "killed-for-memory", "memory_limit",
             ("48",)),
    Scenario("leak", both(_memory("160Mi"), env(LEAK_MB_PER_S=6)), "memory-leaks|memory-runs-out", "memory_leak", (),
             checks={"soak": 25}, seconds=30),
    Scenario("never ready", env(NEVER_READY=1), "not-ready-in-time", "slow_start|code_error", ("503",),
             checks={"ready": {"path": "/healthz", "timeout": 6}}, seconds=15),
    Scenario("liveness kills", _liveness, "killed-by-its-probe", "code_error", ("/livez", "500"),
             checks={"soak": 10}, seconds=20),
    Scenario("init container fails", _init_container, "deterministic-exit", "missing_file", ("/etc/prepared.json",)),
    # What users would get
    Scenario("ready but 500", env(STATUS=500, ERROR_TEXT="KeyError: 'customer_id'"), "smoke-wrong", "code_error",
             ("500",)),
    Scenario("ready but slow", env(LATENCY_S=2), "smoke-slow", "timeout", ("too slowly",)),
    Scenario("5 % errors", env(ERROR_PERCENT=5), "smoke-often-wrong|new-errors-everywhere", "code_error", ("500",),
             checks={"smoke": [{"path": "/", "status": 200, "repeat": 200}]}, seconds=15),
    Scenario("failing migration", _migration, "", "migration_failed", ("orders",)),
    Scenario("migration that fits on no node", _migration_nowhere, "unschedulable", "unschedulable", ("disk",),
             seconds=20),
    Scenario("config-only change", _config_only, "smoke-wrong", "code_error", ("503",)),
    # Other kinds, and other hands
    Scenario("StatefulSet", env(STATUS=500), "smoke-wrong", "code_error", ("500",), kind="StatefulSet", replicas=3,
             seconds=25),
    Scenario("DaemonSet", env(STATUS=500), "smoke-wrong", "code_error", ("500",), kind="DaemonSet",
             stable=on_every_node, seconds=25),
    Scenario("autoscaled", both(_autoscaled, env(STATUS=500)), "smoke-wrong", "code_error", ("500",)),
)  # fmt: skip


@dataclass(frozen=True)
class Control:
    """A healthy release that looks odd: it has to go live."""

    name: str
    changes: Break
    checks: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "Deployment"
    replicas: int = 2
    stable: Break = field(default=lambda _, __: None)  # what the release before it does as well
    seconds: float = 15.0


def _flaky(place: Place, release: Release) -> None:
    """The first start of one pod fails, for no reason that it would tell; all pods share the node's folder."""
    shared = place.folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    place.folder.chmod(0o755)
    release.mounts({"hostPath": {"path": str(shared)}}, "/once")
    release.env(FAIL_ONCE_FILE="/once/started")


_PATIENT = {"path": "/healthz", "timeout": 60}
CONTROLS: tuple[Control, ...] = (
    Control("healthy", env()),
    Control("slow start, 25 s", env(START_DELAY_S=25), checks={"ready": _PATIENT}, seconds=45),
    Control("one flaky restart", _flaky, checks={"ready": _PATIENT}, seconds=25),
    Control("ends at once at SIGTERM", env(ON_TERM="exit"), stable=env(ON_TERM="exit")),
    Control("autoscaled", _autoscaled),
    Control("StatefulSet", env(), kind="StatefulSet", replicas=3, seconds=40),
    Control("DaemonSet", env(), kind="DaemonSet", stable=on_every_node, seconds=40),
    Control("listens elsewhere", lambda _, release: _moved(release)),
)  # fmt: skip


def _moved(release: Release) -> None:
    """Another port: the Service's target changes in the same write as its selector."""
    release.env(PORT=PORT + 1)
    release.container["ports"] = [{"name": "http", "containerPort": PORT + 1}]
    release.service["spec"]["ports"] = [{"name": "web", "port": 80, "targetPort": PORT + 1}]
