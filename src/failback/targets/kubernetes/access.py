"""Which API server, as whom: the kubeconfig's context, or the account of the pod that failback runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from failback.model.errors import NotPossibleHere

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FILE_KEYS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def load(context: str | None) -> Any:
    """lightkube's SingleConfig. Raises NotPossibleHere with the way to get a cluster.

    The kubeconfig comes first, as it does for kubectl; a pod's own account only where there is none.
    """
    try:
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError
    except ImportError as cause:
        raise NotPossibleHere(
            "A Kubernetes target needs the extra: pip install 'failback[kubernetes]'.", kind="kubernetes"
        ) from cause
    merged = _kubeconfig()
    try:
        if merged is None and _SERVICE_ACCOUNT.exists():
            return KubeConfig.from_service_account(service_account=str(_SERVICE_ACCOUNT)).get()
        if merged is None:
            raise NotPossibleHere(
                "No cluster is configured here: neither KUBECONFIG nor ~/.kube/config names one, and this is no pod.",
                kind="kubernetes",
            )
        return KubeConfig.from_dict(dict(merged)).get(context)
    except (ConfigError, KeyError) as cause:
        known = ", ".join(str(one.get("name")) for one in (merged or {}).get("contexts") or ()) or "none"
        raise NotPossibleHere(
            f"The kubeconfig has no usable context {context or '(current)'}: {cause}. It has: {known}.",
            kind="kubernetes",
        ) from cause


def _kubeconfig() -> Mapping[str, Any] | None:
    """All files of KUBECONFIG as one, the first that names a thing wins, as kubectl merges them; None without any."""
    named = os.environ.get("KUBECONFIG")
    paths = [Path(part) for part in named.split(os.pathsep) if part] if named else [Path("~/.kube/config").expanduser()]
    merged: dict[str, Any] = {}
    for path in paths:
        if not path.is_file():
            continue
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, ValueError, yaml.YAMLError) as cause:
            raise NotPossibleHere(f"The kubeconfig {path} cannot be read: {cause}", kind="kubernetes") from cause
        for key in ("clusters", "contexts", "users"):
            known = {one["name"] for one in merged.setdefault(key, [])}
            merged[key] += [_absolute(one, path.parent) for one in config.get(key) or () if one["name"] not in known]
        if config.get("current-context"):
            merged.setdefault("current-context", config["current-context"])
    return merged or None


def _absolute(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Paths in a kubeconfig are relative to its own folder."""
    shape: dict[str, Any] = dict(entry)
    for part in ("cluster", "user"):
        inner = shape.get(part)
        if not isinstance(inner, dict):
            continue
        inner = {key: str(folder / value) if key in _FILE_KEYS and value else value for key, value in inner.items()}
        plugin = inner.get("exec")
        if isinstance(plugin, dict) and str(plugin.get("apiVersion", "")).endswith("/v1"):
            # The credential that a v1 plugin prints has the same shape, and the library reads only the older name.
            inner["exec"] = {**plugin, "apiVersion": "client.authentication.k8s.io/v1beta1"}
        shape[part] = inner
    return shape
