"""Opens the target that a plan names. A new one is a package under `failback.targets` and a row in `_KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from failback.executor.home import Home
from failback.model.errors import NotPossibleHere
from failback.model.plan import KubernetesTargetSpec, Plan
from failback.model.redaction import Redactor
from failback.targets.base import Target


def open_target(home: Home, plan: Plan, redactor: Redactor) -> Target | None:
    """The plan's target; None for a plan of steps alone. Raises NotPossibleHere for one that is not installed."""
    if plan.target is None:
        return None
    opener = _KINDS.get(plan.target.kind)
    if opener is None:
        raise NotPossibleHere(
            f"This version of failback has no target of the kind {plan.target.kind!r}; it has: {', '.join(_KINDS)}.",
            kind=plan.target.kind,
        )
    return opener(home, plan, redactor)


def open_existing(home: Home, service: str) -> Target:
    """The target of a service that was deployed with this home. Raises UnknownService."""
    if home.is_on_cluster(service):
        from failback.targets.kubernetes.target import KubernetesTarget

        return KubernetesTarget.existing(home.service(service), home.key_file, service, Redactor())
    from failback.targets.local.target import LocalTarget

    return LocalTarget.existing(home.root, home.run_dir(), service, home.key_file, Redactor())


def _local(home: Home, plan: Plan, redactor: Redactor) -> Target:
    from failback.targets.local.target import LocalTarget

    listen = getattr(plan.target, "listen", "")
    return LocalTarget(home.root, home.run_dir(), plan.service, listen, home.key_file, redactor)


def _kubernetes(home: Home, plan: Plan, redactor: Redactor) -> Target:
    from failback.detection.gate import cannot_begin
    from failback.model.observation import Limits
    from failback.targets.kubernetes.site import Settings
    from failback.targets.kubernetes.target import KubernetesTarget

    spec = plan.target
    if not isinstance(spec, KubernetesTargetSpec):
        raise RuntimeError(f"the target of {plan.service} is no cluster")
    settings = Settings(
        context=spec.context,
        namespace=spec.namespace,
        traffic=spec.traffic.model_dump(mode="json"),
        zero_downtime=plan.rollback_config.zero_downtime_required,
        strategy=plan.strategy,
    )
    place = (home.service(plan.service), home.key_file, plan.service)
    return KubernetesTarget(*place, settings, redactor, lambda view: cannot_begin(view, Limits()))


_KINDS: Mapping[str, Callable[[Home, Plan, Redactor], Target]] = {"local": _local, "kubernetes": _kubernetes}
