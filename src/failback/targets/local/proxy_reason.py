"""Why Envoy refuses a document: asked of a second Envoy that only validates (the running one tells its log)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.targets.local import proxy_config

_VALIDATE_S_MAX = 10.0
_REASON_CHARS_MAX = 300


def reason_of(binary: str, name: str, document: Mapping[str, Any]) -> str:
    """Envoy's own words about `document` (one of the three files), shortened; empty when it finds nothing wrong."""
    with tempfile.TemporaryDirectory(prefix="failback-") as folder:
        path = Path(folder) / "check.json"
        path.write_text(json.dumps(_static(name, document)))
        try:
            done = subprocess.run(
                [binary, "--mode", "validate", "--config-path", str(path), "--log-level", "critical"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_VALIDATE_S_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return "" if done.returncode == 0 else _last_words(done.stderr)


def _static(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A whole configuration around the one document."""
    resources = [{key: value for key, value in one.items() if key != "@type"} for one in document["resources"]]
    if name == proxy_config.CLUSTERS:
        return {"static_resources": {"clusters": resources}}
    if name == proxy_config.LISTENERS:
        return {"static_resources": {"listeners": resources}}
    listener = proxy_config.listeners("", "/", ["127.0.0.1"], 1)["resources"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = resources[0]
    del listener["@type"]
    return {"static_resources": {"listeners": [listener]}}


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].rsplit(" | caused by ", 1)[-1].strip(" :)")[:_REASON_CHARS_MAX] if lines else ""
