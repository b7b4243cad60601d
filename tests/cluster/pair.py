"""Two services in one namespace and one plan: `search`, then `shop`, which comes after it in the graph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import yaml

from tests.cluster.place import Place, load, place
from tests.cluster.support import app

SEARCH, SHOP = SERVICES = ("search", "shop")


class Pair(Place):
    """As Place, with a plan for both services."""

    def release(self, number: int, **faults: Mapping[str, object]) -> None:
        """A release of both, as manifests; `faults`: by service, what its version does wrong (testbed/app/server)."""
        for name in SERVICES:
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            objects = app(name, {"VERSION": number, **faults.get(name, {})})
            objects[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 3
            (folder / "release.yaml").write_text(yaml.safe_dump_all(objects))
        (self.folder / "failback.yaml").write_text(json.dumps(self.plan(), indent=1))

    def plan(self) -> dict[str, Any]:
        target = {"kind": "kubernetes", "namespace": self.cluster.namespace}
        return {
            "apiVersion": "failback/v1",
            "service": "platform",
            "services": {
                name: {"target": target, "release": {"manifests": [f"{name}/"]}, "checks": self.checks}
                for name in SERVICES
            },
            **self.extra,
        }

    @contextmanager
    def loads(self, rate: int = 50) -> Iterator[dict[str, dict[str, Any]]]:
        """Users of both; what was counted is in the mappings afterwards."""
        with ExitStack() as both:
            yield {name: both.enter_context(load(self.cluster.address(name), rate)) for name in SERVICES}

    def versions(self) -> dict[str, set[str]]:
        """What users are answered by, by service: the version that the pods of the Service's endpoints were given."""
        found = {}
        for name in SERVICES:
            selector = self.cluster.get("service", name)["spec"]["selector"]
            pods = self.cluster.listed("pods", ",".join(f"{key}={value}" for key, value in selector.items()))
            found[name] = {env["value"] for pod in pods if _stays(pod) for env in _env(pod) if env["name"] == "VERSION"}
        return found

    def problems(self) -> list[str]:
        """What a rollout has left behind, of either service."""
        found = []
        for name in SERVICES:
            deployment, service = self.cluster.get("deployment", name), self.cluster.get("service", name)
            for one in (deployment, service):
                marks = [key for key in one["metadata"].get("annotations", {}) if key.startswith("failback.dev/")]
                found += [f"{one['kind']} {name} has {key}" for key in marks]
            if service["spec"]["selector"] != {"app": name}:
                found.append(f"Service {name} selects {service['spec']['selector']}")
            if deployment["spec"].get("minReadySeconds"):
                found.append(f"{name} has minReadySeconds {deployment['spec']['minReadySeconds']}")
            pods = [one for one in self.cluster.listed("pods", f"app={name}") if _stays(one)]
            if len(pods) != 2:
                found.append(f"{name} has {len(pods)} pods")
        return found


def _env(pod: Mapping[str, Any]) -> list[dict[str, str]]:
    return list(pod["spec"]["containers"][0].get("env") or ())


def _stays(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


@contextmanager
def pair() -> Iterator[Pair]:
    """A pair in a namespace of its own, gone afterwards."""
    with place() as made:
        yield Pair(made.cluster, made.folder)
