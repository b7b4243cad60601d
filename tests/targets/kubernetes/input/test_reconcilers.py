"""Argo CD, Flux and Helm are recognised, and a rollout that one of them would undo in the middle is not begun."""

from __future__ import annotations

from typing import Any

import pytest
from tests.targets.kubernetes.input.things import deployment, service

from failback.targets.kubernetes.reconcilers import Reconciler, finding_of, heals, reconcilers_of

ARGO = Reconciler("Argo CD", "Application", "", "shop")
FLUX = Reconciler("Flux", "Kustomization", "flux-system", "shop")
RELEASE = Reconciler("Flux", "HelmRelease", "apps", "shop")
HELM = Reconciler("Helm", "release", "shop", "web")


def marked(
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, managers: tuple[str, ...] = ()
) -> Any:
    obj = deployment()
    obj["metadata"] |= {
        "labels": labels or {},
        "annotations": annotations or {},
        "managedFields": [{"manager": manager} for manager in managers],
    }
    return obj


FLUX_LABELS = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
RELEASE_LABELS = {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "apps"}
HELM_ANNOTATIONS = {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (marked(annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}), [ARGO]),
        (marked(annotations={"argocd.argoproj.io/tracking-id": "team_shop:apps/Deployment:shop/web"}),
         [Reconciler("Argo CD", "Application", "team", "shop")]),
        (marked({"argocd.argoproj.io/instance": "shop"}), [ARGO]),
        (marked({"app.kubernetes.io/instance": "shop"}, managers=("argocd-controller",)), [ARGO]),
        (marked(FLUX_LABELS), [FLUX]),
        (marked(RELEASE_LABELS, HELM_ANNOTATIONS), [RELEASE]),
        (marked(annotations=HELM_ANNOTATIONS, managers=("helm",)), [HELM]),
        # An instance label alone is what every chart writes.
        (marked({"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm"}), []),
        (marked(managers=("kubectl-client-side-apply", "kube-controller-manager")), []),
    ],
)  # fmt: skip
def test_who_has_an_object_in_its_care(obj, found):
    assert reconcilers_of(obj) == found


def argo(**automated: Any) -> Any:
    return {"spec": {"syncPolicy": {"automated": automated}}}


@pytest.mark.parametrize(
    ("tool", "obj", "policy", "by_itself"),
    [
        (ARGO, marked(), argo(selfHeal=True), True),
        (ARGO, marked(), argo(prune=True), False),
        (ARGO, marked(), {"spec": {}}, False),
        (ARGO, marked(), None, None),
        (FLUX, marked(), {"spec": {}}, True),
        (FLUX, marked(), {"spec": {"suspend": True}}, False),
        (FLUX, marked(annotations={"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}), None, False),
        (FLUX, marked(annotations={"kustomize.toolkit.fluxcd.io/ssa": "Merge"}), None, None),
        (RELEASE, marked(), {"spec": {}}, False),
        (RELEASE, marked(), {"spec": {"driftDetection": {"mode": "enabled"}}}, True),
        (HELM, marked(), None, False),
    ],
)
def test_whether_it_puts_changes_back_by_itself(tool, obj, policy, by_itself):
    assert heals(tool, obj, policy) is by_itself


@pytest.mark.parametrize(
    ("tool", "by_itself", "blocking", "remedy"),
    [
        (ARGO, True, True, "argocd app set shop --self-heal=false"),
        (ARGO, None, True, "argocd app set shop"),  # not known: a pin that is taken away sends users to dark pods
        (ARGO, False, False, "into its source"),
        (FLUX, True, True, "flux suspend kustomization shop -n flux-system"),
        (RELEASE, True, True, "flux suspend helmrelease shop -n apps"),
        (HELM, False, False, "chart's values"),
    ],
)
def test_what_a_person_is_told(tool, by_itself, blocking, remedy):
    found = finding_of("shop", deployment(), tool, by_itself)

    assert found.blocking is blocking
    assert remedy in found.remedy


def test_the_fields_that_would_be_undone_are_named():
    assert "spec/selector" in finding_of("shop", service(), FLUX, True).message
    assert "minReadySeconds" in finding_of("shop", deployment(), FLUX, True).message
