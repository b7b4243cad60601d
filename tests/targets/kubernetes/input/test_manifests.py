"""Where the objects of a release come from, and what is refused before anything is touched."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
from tests.targets.kubernetes.input.things import config, deployment

from failback.model.errors import ReleaseError
from failback.targets.kubernetes import helm, manifest_files, manifests, rendering
from failback.targets.kubernetes.secret_values import secret_values

WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: []}}}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}}\n"


def render(folder: Path, *paths: str, standard_input: str | None = None):
    shape = {"manifests": paths, "plan_folder": str(folder), "standard_input": standard_input}
    return manifests.render(shape, "web", "shop")


def names(objects):
    return [f"{one['kind']}/{one['metadata']['name']}" for one in objects]


def test_files_folders_several_documents_and_lists(tmp_path):
    """Each way in which people keep manifests gives the same objects, in the order of the files."""
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "1.yaml").write_text(f"---\n{WEB}---\n# nothing\n---\n{SERVICE}")
    (tmp_path / "k8s" / "2.json").write_text(
        '{"apiVersion": "v1", "kind": "List", "items": ['
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]}'
    )
    (tmp_path / "k8s" / "README.md").write_text("not a manifest")
    (tmp_path / "k8s" / ".hidden.yaml").write_text("{{")

    found = render(tmp_path, "k8s")

    assert names(found) == ["Deployment/web", "Service/web", "ConfigMap/a"]
    assert {one["metadata"]["namespace"] for one in found} == {"shop"}


def test_standard_input_stands_among_files(tmp_path):
    (tmp_path / "web.yaml").write_text(WEB)

    assert names(render(tmp_path, "-", "web.yaml", standard_input=SERVICE)) == ["Service/web", "Deployment/web"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "web.yaml:2:1"),
        ("image: {{ .Values.image }}\n", "looks like a template"),
        ("just text\n", "should be a Kubernetes object"),
        ("a: 1\n", "no apiVersion and kind"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n", "no metadata/name"),
        (f"{WEB}---\n{WEB}", "stands twice: in web.yaml, document 1 and in web.yaml, document 2"),
        (WEB.replace("{name: web}", "{name: web, namespace: other}"), "target: {namespace: other}"),
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "release: {kustomize: PATH}"),
    ],
)
def test_what_is_no_manifest_is_told_with_its_place(tmp_path, text, said):
    (tmp_path / "web.yaml").write_text(text)

    with pytest.raises(ReleaseError) as error:
        render(tmp_path, "web.yaml")

    assert said in error.value.message
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("files", "path", "said"),
    [
        ({"k8s/kustomization.yaml": "resources: []"}, "k8s", "Write release: {kustomize: k8s}"),
        ({"k8s/Chart.yaml": "name: a"}, "k8s", "Write release: {helm: {chart: k8s}}"),
        ({"k8s/prod/web.yaml": WEB}, "k8s", "Below it: k8s/prod; name those"),
        ({}, "k8s", "is not there"),
        ({}, "https://example.org/web.yaml", "Download it in a step before"),
        ({}, "-", "standard input (-) was not given"),
    ],
)
def test_a_place_without_manifests_says_what_to_write(tmp_path, files, path, said):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    with pytest.raises(ReleaseError) as error:
        render(tmp_path, path)

    assert said in error.value.message


def test_another_namespace_is_refused_but_objects_without_one_are_kept(tmp_path):
    """A Namespace or a ClusterRole belongs to no namespace; the same name in two API groups is no doublet."""
    text = "\n---\n".join(
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: shop}}"
        for version, kind in (("v1", "Namespace"), ("a.example.org/v1", "Thing"), ("b.example.org/v1", "Thing"))
    )
    (tmp_path / "web.yaml").write_text(text)

    found = render(tmp_path, "web.yaml")

    assert names(found) == ["Namespace/shop", "Thing/shop", "Thing/shop"]
    assert all("namespace" not in one["metadata"] for one in found)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2026-01-20", "2026-01-20"),
        ("12:30:45", "12:30:45"),
        ("0644", 420),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("on", True),
        ("'on'", "on"),
        ("1.20", 1.2),
        ("~", None),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(written, value):
    """Python's own YAML makes dates and base-60 numbers of texts that Kubernetes takes as texts."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{key: {written}}}\n"

    assert manifest_files.parse(text, "a.yaml")[0].obj["data"]["key"] == value


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deployment/web", "Deployment"),
        ("deploy/web", "Deployment"),
        ("statefulsets/db", "StatefulSet"),
        ("svc/a", "Service"),
    ],
)
def test_objects_are_named_as_for_kubectl(name, kind):
    assert manifests.kind_named(name) == kind


def test_an_unknown_kind_is_told():
    with pytest.raises(ReleaseError, match="deployment/NAME"):
        manifests.kind_named("wotsit/a")


# -- kustomize and helm ------------------------------------------------------------------------------------------------


def tool(folder: Path, name: str, script: str, monkeypatch) -> None:
    """A tool of the user's, first and alone on PATH."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/bin:/usr/bin/nothing")


def test_kustomize_is_built_by_the_tool_that_is_there(tmp_path, monkeypatch):
    tool(tmp_path, "kustomize", f'[ "$1 $2" = "build {tmp_path}/prod" ] && cat <<EOF\n{WEB}\nEOF', monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "kustomize" else None)

    found = manifests.render({"kustomize": "prod", "plan_folder": str(tmp_path)}, "web", "shop")

    assert names(found) == ["Deployment/web"]


def test_without_a_tool_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)

    with pytest.raises(ReleaseError, match="kubectl or kustomize"):
        rendering.kustomize("prod", tmp_path)


def test_what_a_tool_complains_of_is_told(tmp_path, monkeypatch):
    tool(tmp_path, "helm", "echo 'Error: chart requires kubeVersion >=1.40' >&2; exit 1", monkeypatch)

    with pytest.raises(ReleaseError, match=r"kubeVersion >=1\.40"):
        manifests.render({"helm": {"chart": "./chart"}, "plan_folder": str(tmp_path)}, "web", "shop")


def test_a_tool_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ReleaseError, match="helm, which is not on PATH"):
        manifests.render({"helm": {"chart": "./chart"}, "plan_folder": str(tmp_path)}, "web", "shop")


def test_a_chart_is_rendered_with_its_values_in_the_plans_folder(tmp_path):
    (tmp_path / "chart").mkdir()

    command = helm.command(
        {"chart": "chart", "values": ["a.yaml", "b.yaml"]}, "shop-web", "shop", tmp_path, first=False
    )

    assert command[:4] == ["helm", "template", "shop-web", f"{tmp_path}/chart"]
    assert command[4:] == [
        "--namespace", "shop", "--is-upgrade", "-f", f"{tmp_path}/a.yaml", "-f", f"{tmp_path}/b.yaml",
    ]  # fmt: skip
    elsewhere = helm.command({"chart": "oci://example.org/web"}, "web", "shop", tmp_path, first=True)
    assert elsewhere[3] == "oci://example.org/web"
    assert "--is-upgrade" not in elsewhere


def hook(kind: str, name: str, hooks: str, weight: str = "0"):
    annotations = {"helm.sh/hook": hooks, "helm.sh/hook-weight": weight, "team": "a"}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "annotations": annotations}}


@pytest.mark.parametrize(
    ("first", "runs", "told"),
    [
        (False, ["Deployment/web", "ConfigMap/for-the-job", "Job/early", "Job/late"], ["Job/after"]),
        (True, ["Deployment/web", "Job/first-time", "Job/late"], ["Job/installed"]),
    ],
)
def test_hooks_become_jobs_are_dropped_or_are_told(first, runs, told):
    """Jobs before an upgrade (an installation, at first) run before the rollout in their weights' order, tests never;
    of what Helm would run now no other is lost unseen."""
    made = helm.sorted_out(
        [
            hook("Job", "late", "pre-install,pre-upgrade", "5"),
            deployment(),
            hook("Job", "early", "pre-upgrade", "-5"),
            hook("ConfigMap", "for-the-job", "pre-upgrade"),
            hook("Pod", "try", "test"),
            hook("Job", "after", "post-upgrade"),
            hook("Job", "installed", "post-install"),
            hook("Job", "undone", "post-rollback,pre-delete"),
            hook("Job", "first-time", "pre-install"),
        ],
        "web",
        "shop",
        first=first,
    )

    assert names(made.objects) == runs
    assert all("helm.sh/hook" not in one["metadata"].get("annotations", {}) for one in made.objects)
    assert [one.subject for one in made.findings] == told


def test_what_helm_looks_for_stays_on_its_objects():
    """Without label and annotations the next `helm upgrade` would refuse to take a new object over."""
    made = helm.sorted_out([config()], "shop-web", "shop", first=False).objects[0]["metadata"]

    assert made["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert made["annotations"] == {"meta.helm.sh/release-name": "shop-web", "meta.helm.sh/release-namespace": "shop"}


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_every_form_of_a_secrets_value_is_known():
    encoded = base64.b64encode(b"s3cret-value").decode()
    secret = {**config(kind="Secret", token=encoded, blob="/w=="), "stringData": {"plain": "other-value"}}

    assert set(secret_values([secret, config(a="public")])) == {encoded, "s3cret-value", "other-value", "/w=="}
