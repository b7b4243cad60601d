"""What a release wants: its objects by their part in a rollout, configuration under the name of its content."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.model.errors import ReleaseError
from failback.targets.kubernetes.desired import desired_of, references, selects
from failback.targets.kubernetes.kinds import told


def workload(kind: str = "Deployment", name: str = "web", **pod: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "app", "image": "shop:1", "envFrom": [{"configMapRef": {"name": "web"}}]}], **pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def service(name: str = "web", **selector: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector or {"app": "web"}, "ports": [{"port": 80}]},
    }


def config(value: str = "a", kind: str = "ConfigMap") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}, "data": {"KEY": value}}


def test_each_object_has_its_part() -> None:
    """The workload and its Service are the rollout; a Job comes before it, all else after the bake."""
    job = {**workload("Job", "migrate"), "apiVersion": "batch/v1"}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}

    found = desired_of([hpa, service(), config(), job, workload(), service("other", app="other")])

    assert [unit.told for unit in found.units] == ["Deployment/web"]
    assert found.units[0].services == ("web",)
    assert [told(one) for one in found.services] == ["Service/web"]
    assert [told(one) for one in found.jobs] == ["Job/migrate"]
    assert [told(one) for one in found.others] == ["ConfigMap/web", "Service/other", "HorizontalPodAutoscaler/web"]


def test_configuration_is_part_of_the_revision() -> None:
    """A changed value is another object, so the stable pods keep theirs; the same value is the same object."""
    first, same, other = (desired_of([workload(), config(value)]) for value in ("a", "a", "b"))

    assert first.configs[0]["metadata"]["name"] == same.configs[0]["metadata"]["name"]
    assert first.configs[0]["metadata"]["name"] != other.configs[0]["metadata"]["name"]
    assert first.configs[0]["immutable"] is True
    name = first.configs[0]["metadata"]["name"]
    pod = first.workloads[0]["spec"]["template"]["spec"]
    assert name == pod["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert first.digest() != other.digest()


def test_every_way_to_name_configuration_follows() -> None:
    """Volumes, variables, init containers: each names the version, and only of what is in the release."""
    pod: dict[str, Any] = {
        "initContainers": [
            {"name": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "web", "key": "KEY"}}}]}
        ],
        "volumes": [
            {"name": "c", "configMap": {"name": "web"}},
            {"name": "s", "secret": {"secretName": "web"}},
            {"name": "p", "projected": {"sources": [{"configMap": {"name": "web"}}, {"secret": {"name": "web"}}]}},
            {"name": "o", "configMap": {"name": "not-in-the-release"}},
        ],
    }

    found = desired_of([workload(**pod), config(), config(kind="Secret")])

    names = {(kind, name) for kind, name, _, _ in references(found.workloads[0]["spec"]["template"]["spec"])}
    versions = {(one["kind"], one["metadata"]["name"]) for one in found.configs}
    assert versions | {("ConfigMap", "not-in-the-release")} == names


def test_image_goes_into_the_main_container() -> None:
    found = desired_of([workload()], image="registry.example/shop:2")

    assert found.workloads[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/shop:2"


def test_only_what_is_named_is_rolled_out() -> None:
    """Two workloads in the manifests, one of them named: the other one is applied after the bake."""
    found = desired_of([workload(), workload(name="worker")], named=["deployment/web"])

    assert [unit.told for unit in found.units] == ["Deployment/web"]
    assert [told(one) for one in found.others] == ["Deployment/worker"]


def test_no_workload_is_an_error_that_says_what_is_there() -> None:
    with pytest.raises(ReleaseError, match="found ConfigMap/web"):
        desired_of([config()])


def test_what_was_given_is_not_changed() -> None:
    given_objects = [workload(), config(), service()]
    before = copy.deepcopy(given_objects)

    desired_of(given_objects, image="other:1")

    assert before == given_objects


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=3)), st.dictionaries(st.text(max_size=3), st.text(max_size=3))
)
def test_a_selector_names_those_that_have_all_of_it(selector: dict[str, str], labels: dict[str, str]) -> None:
    """An empty selector names nothing: such a Service has its endpoints from elsewhere."""
    assert selects(selector, labels) == (bool(selector) and selector.items() <= labels.items())
