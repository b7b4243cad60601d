"""A fix in the user's own manifests: the right document, the right line, nothing else."""

from __future__ import annotations

import pytest
import yaml

from failback.fixes.manifest_patch import changed
from failback.fixes.yaml_edit import CannotEdit
from failback.model.fix import Change, PutFile, SetSetting

MANIFESTS = """# the shop
apiVersion: v1
kind: Service
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      containers:
        - name: shop   # first
          image: shop:1
          env:
            - name: LOG
              value: plain   # or json
          readinessProbe:
            httpGet: {path: /nope, port: 8080}
          resources:
            limits:
              memory: 64Mi
        - name: side
          image: side:1
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  theme: dark
"""


def after(change: Change, text: str = MANIFESTS) -> str:
    file, made = changed({"k8s/shop.yaml": text, "k8s/empty.yaml": "# nothing\n"}, change)
    assert file == "k8s/shop.yaml"
    return made


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (SetSetting(("release", "resources", "memory"), "128Mi"), "memory: 64Mi", "memory: 128Mi"),
        (SetSetting(("checks", "ready", "path"), "/healthz"), "{path: /nope, port", "{path: /healthz, port"),
        (SetSetting(("release", "env", "LOG"), "json"), "value: plain   # or json", "value: json   # or json"),
        (
            SetSetting(("release", "env", "REGION"), "eu"),
            "value: plain   # or json\n",
            "value: plain   # or json\n            - {name: REGION, value: eu}\n",
        ),
        (PutFile("configmap/settings/region", b"eu"), "  theme: dark\n", "  theme: dark\n  region: eu\n"),
    ],
)
def test_one_line_changes(change: Change, old: str, new: str) -> None:
    assert after(change) == MANIFESTS.replace(old, new)


def test_a_container_without_env_or_limits_gets_them() -> None:
    bare = "kind: Deployment\nspec: {template: {spec: {containers: [{name: a, image: b}]}}}\n"

    with_env = after(SetSetting(("release", "env", "REGION"), "eu"), bare)
    with_limit = after(SetSetting(("release", "resources", "memory"), "1Gi"), bare)

    container = yaml.safe_load(with_env)["spec"]["template"]["spec"]["containers"][0]
    assert container == {"name": "a", "image": "b", "env": [{"name": "REGION", "value": "eu"}]}
    assert "resources: {limits: {memory: 1Gi}}" in with_limit


def test_what_is_not_clear_is_refused() -> None:
    """Two workloads, none, a secret, a ConfigMap that is not there."""
    memory = SetSetting(("release", "resources", "memory"), "1Gi")
    for text in (MANIFESTS + "---\nkind: DaemonSet\nspec: {}\n", "kind: Service\n", "kind: [broken"):
        with pytest.raises(CannotEdit):
            after(memory, text)
    with pytest.raises(CannotEdit, match="secret"):
        after(SetSetting(("release", "env", "KEY"), "x", "${KEY}", secret=True))
    with pytest.raises(CannotEdit):
        after(PutFile("configmap/other/key", b"x"))
    with pytest.raises(CannotEdit):
        after(PutFile("app.json", b"x"))
