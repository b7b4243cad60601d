"""The plan's `target`, `release` and `checks`: where a service runs, what is deployed, and how it is judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from failback.model.plan_base import PlanModel, one_of, texts
from failback.model.plan_types import (
    Cpu,
    DnsLabel,
    Env,
    Flag,
    Headers,
    HttpUrl,
    Increase,
    Listen,
    Memory,
    Milliseconds,
    Objects,
    OptionalPathOrPaths,
    Path_,
    Paths,
    Pause,
    Percent,
    PlanValue,
    Replicas,
    Rounds,
    Seconds,
    Share,
    Start,
    Statuses,
    Text,
    UrlPath,
    Word,
    cpu_cores,
    memory_bytes,
    split_listen,
)

_METHOD = one_of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class LocalTargetSpec(PlanModel):
    """Processes behind a proxy on this machine."""

    kind: Literal["local"]
    listen: Listen = "127.0.0.1:8080"

    @property
    def host(self) -> str:
        return split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        return split_listen(self.listen)[1]


class TrafficSpec(PlanModel):
    """Where the count of users' requests comes from, on Kubernetes."""

    source: Annotated[str, one_of("endpoints", "gateway", "probe")] = "endpoints"
    address: HttpUrl | None = None


class KubernetesTargetSpec(PlanModel):
    """A cluster, through the kubeconfig or the account of the pod that failback runs in."""

    kind: Literal["kubernetes"]
    context: Word | None = None
    namespace: DnsLabel | None = None
    traffic: TrafficSpec = TrafficSpec()


def _kind_of(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return str(kind) if kind in ("local", "kubernetes") else None


TargetSpec = Annotated[
    Annotated[LocalTargetSpec, Tag("local")] | Annotated[KubernetesTargetSpec, Tag("kubernetes")],
    Discriminator(_kind_of),
]


class Resources(PlanModel):
    """What one replica may use."""

    memory: Memory | None = None
    cpu: Cpu | None = None

    @property
    def memory_bytes(self) -> int | None:
        return None if self.memory is None else memory_bytes(self.memory)

    @property
    def cpu_cores(self) -> float | None:
        return None if self.cpu is None else cpu_cores(self.cpu)


class LocalReleaseSpec(PlanModel):
    """A folder, copied into an immutable release, and the command that starts one replica of it."""

    path: Path_
    start: Start
    env: Env = Field(default_factory=dict)
    replicas: Replicas = 2
    resources: Resources = Resources()
    shared: Paths = ()
    exclude: Paths = (".git",)


class Helm(PlanModel):
    """A chart, rendered by the user's own `helm`."""

    chart: Path_
    values: OptionalPathOrPaths = ()
    name: DnsLabel | None = None


class KubernetesReleaseSpec(PlanModel):
    """Manifests from exactly one place, and the image that goes into them."""

    manifests: OptionalPathOrPaths = ()
    image: PlanValue | None = None
    kustomize: Path_ | None = None
    helm: Helm | None = None
    objects: Objects = ()


class ForKubernetes(dict[str, Any]):
    """A release's mapping, marked: its target is a cluster. The union below can't look at the target itself."""


def _release_kind(value: Any) -> str:
    return "kubernetes" if isinstance(value, ForKubernetes | KubernetesReleaseSpec) else "local"


ReleaseSpec = Annotated[
    Annotated[LocalReleaseSpec, Tag("local")] | Annotated[KubernetesReleaseSpec, Tag("kubernetes")],
    Discriminator(_release_kind),
]


class ReadyCheck(PlanModel):
    """When a replica counts as ready."""

    path: UrlPath = "/"
    timeout: Seconds = 30.0
    status: Statuses | None = None
    host: Word | None = None


class SmokeCheck(PlanModel):
    """One request that each dark replica has to answer well."""

    path: UrlPath
    method: Annotated[str, _METHOD] = "GET"
    status: Statuses = (200,)
    max_ms: Milliseconds | None = None
    body: Text | None = None
    headers: Headers = Field(default_factory=dict)
    repeat: Rounds = 1


class Mirror(PlanModel):
    """Copies of users' requests for the dark revision; users get the stable one's answers."""

    enabled: Flag = False
    percent: Percent = 100.0
    methods: Annotated[tuple[str, ...], texts("a list of methods", _METHOD, least=1)] = ("GET", "HEAD")


class Checks(PlanModel):
    """How a revision is judged, before and after users reach it."""

    ready: ReadyCheck = ReadyCheck()
    smoke: Annotated[tuple[SmokeCheck, ...], Field(max_length=50)] = ()
    soak: Pause = 2.0
    bake: Pause = 5.0
    drain: Pause = 10.0
    mirror: Mirror = Mirror()
    max_error_increase: Share = 0.01
    max_latency_increase: Increase = 0.5
    dark_safe: Flag = False


class ServiceSpec(PlanModel):
    """One service: of a plan for several, or the only one."""

    target: TargetSpec | None = None
    release: ReleaseSpec | None = None
    checks: Checks = Checks()
