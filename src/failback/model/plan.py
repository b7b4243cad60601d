"""The plan: what is deployed, by which steps, how it is judged, who is told. Data only; values stay references.

`Plan.model_validate(plan.model_dump(mode="json", by_alias=True))` gives an equal plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from failback.model.plan_base import Checked, PlanModel, one_of, plain_data
from failback.model.plan_release import (
    Checks,
    ForKubernetes,
    KubernetesReleaseSpec,
    KubernetesTargetSpec,
    LocalReleaseSpec,
    LocalTargetSpec,
    ReleaseSpec,
    ServiceSpec,
    TargetSpec,
)
from failback.model.plan_settings import Backup, DiagnosisConfig, NotificationConfig, RollbackConfig
from failback.model.plan_types import (
    DnsLabel,
    Env,
    Environment,
    Path_,
    Retries,
    Run,
    Seconds,
    StepName,
    StepNames,
    StepType,
)

__all__ = [
    "Backup",
    "Checks",
    "DiagnosisConfig",
    "KubernetesReleaseSpec",
    "KubernetesTargetSpec",
    "LocalReleaseSpec",
    "LocalTargetSpec",
    "NotificationConfig",
    "Plan",
    "RollbackConfig",
    "ServiceSpec",
    "Step",
]

API_VERSION = "failback/v1"
STEPS_MAX = 200
STEP_TYPES = ("build", "test", "quality", "security", "docker", "verify", "deploy")
_ANYTHING = Checked(plain_data, {})


class Step(PlanModel):
    """One step. `needs` None: it waits for the step before it; `retries` None: `rollback_config.failure_threshold`."""

    name: StepName
    type: StepType
    run: Run | None = None
    cwd: Path_ | None = None
    env: Env = Field(default_factory=dict)
    timeout: Seconds = 900.0
    retries: Retries | None = None
    needs: StepNames | None = None
    service: DnsLabel | None = None
    params: dict[str, Annotated[Any, _ANYTHING]] = Field(default_factory=dict)


class Plan(PlanModel):
    """One plan. A step's number is its place in `steps`, from 1."""

    api_version: Literal["failback/v1"] = Field(default="failback/v1", alias="apiVersion")
    service: DnsLabel
    environment: Environment = "production"
    target: TargetSpec | None = None
    release: ReleaseSpec | None = None
    checks: Checks = Checks()
    services: Annotated[dict[DnsLabel, ServiceSpec], Field(max_length=50)] = Field(default_factory=dict)
    steps: Annotated[tuple[Step, ...], Field(max_length=STEPS_MAX)] = ()
    strategy: Annotated[str, one_of("dark", "rolling", "weighted")] = "dark"
    rollback_config: RollbackConfig = RollbackConfig()
    notification_config: NotificationConfig = NotificationConfig()
    backup: Backup = Backup()
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    auto_fix: Annotated[str, one_of("off", "propose")] = "off"

    @model_validator(mode="before")
    @classmethod
    def _mark_releases(cls, given: Any) -> Any:
        """A release is read by its target's kind; the two stand beside one another."""
        if not isinstance(given, Mapping):
            return given
        marked = dict(_marked(given))
        services = marked.get("services")
        if not marked.get("steps") and marked.get("target"):
            marked["steps"] = [{"name": "Deploy", "type": "deploy"}]
        if not marked.get("steps") and isinstance(services, Mapping):
            marked["steps"] = [{"name": f"Deploy {name}", "type": "deploy", "service": name} for name in services]
        if isinstance(services, Mapping):
            marked["services"] = {
                name: dict(_marked(one)) if isinstance(one, Mapping) else one for name, one in services.items()
            }
        return marked

    def step(self, name: str) -> Step:
        """The step of that name; KeyError when there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def step_needs(self) -> dict[str, tuple[str, ...]]:
        """Name -> names of the steps that have to be done before it, in the plan's order."""
        needs: dict[str, tuple[str, ...]] = {}
        before: tuple[str, ...] = ()
        for step in self.steps:
            needs[step.name] = before if step.needs is None else step.needs
            before = (step.name,)
        return needs

    def service_specs(self) -> dict[str, ServiceSpec]:
        """Every service by its name: those of `services`, or the one of the plan; none for a plan of steps alone."""
        if self.services:
            return dict(self.services)
        if self.target is None:
            return {}
        return {self.service: ServiceSpec(target=self.target, release=self.release, checks=self.checks)}

    def service_of(self, step: Step) -> str:
        """The service that a Deploy step deploys."""
        return step.service or next(iter(self.services), self.service)

    def alone(self, service: str) -> Plan:
        """This plan for one of its services, with that one's Deploy step; a plan of one service is that already."""
        if not self.services:
            return self
        spec = self.services[service]
        deploys = [step for step in self.deploy_steps() if self.service_of(step) == service]
        parts = {"target": spec.target, "release": spec.release, "checks": spec.checks}
        steps = tuple(step.model_copy(update={"needs": (), "service": None}) for step in deploys)
        return self.model_copy(update={**parts, "service": service, "services": {}, "steps": steps})

    def deploy_steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.type == "deploy")

    def digest(self) -> str:
        """ "sha256:..." of the plan's canonical JSON: the same for every way to write the same plan."""
        shape = self.model_dump(mode="json", by_alias=True)
        text = json.dumps(shape, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _marked(given: Mapping[Any, Any]) -> Mapping[Any, Any]:
    target, release = given.get("target"), given.get("release")
    kind = target.get("kind") if isinstance(target, Mapping) else getattr(target, "kind", None)
    if kind == "kubernetes" and isinstance(release, Mapping):
        return {**given, "release": ForKubernetes(release)}
    return given
