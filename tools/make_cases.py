"""Let a real failure happen in a small folder and write down what was printed, in the format of the diagnosis cases.

`record()` takes a Recipe (files, command, what a senior engineer would say) and writes one case. Run as a script it
looks at every case there is: format, size, private paths. Linux and root only: the folder is shown to the command as
/app in a mount namespace of its own, so that real runtimes print neutral paths by themselves.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path.home()
WORK = Path(os.environ.get("FAILBACK_CASES_WORK", "/tmp/failback-cases"))  # work/ID, venvs/NAME, root (a chroot), hosts
HOSTS = WORK / "hosts"  # shown as /etc/hosts, where it is
REPOSITORY = Path(__file__).resolve().parent.parent
OPEN = REPOSITORY / "tests" / "cases"
ASIDE = REPOSITORY / "tests" / "cases_aside"
SIZE_BYTES_MAX = 12_000
RUN_S_MAX = 300
PROBE_S_MAX = 120
SETTLE_S_MAX = 1
GRACE_S_MAX = 3

STEPS = {"build": 1, "test": 2, "quality": 3, "security": 4, "docker": 5, "verify": 6, "deploy": 7}
GIVEN_KEYS = {
    *("failed_step", "target", "exit_code", "step_output", "api_error"),
    *("pods", "events", "logs", "manifests", "change"),
}
TYPES = {
    *("missing_file", "missing_dependency", "version_incompatibility", "missing_configuration"),
    *("invalid_configuration", "code_error", "image_not_found", "image_access_denied", "image_registry_unavailable"),
    *("platform_mismatch", "bad_command", "filesystem_permission", "rbac_forbidden", "admission_denied"),
    *("invalid_manifest", "quota_exceeded", "memory_limit", "memory_leak", "cpu_starvation", "disk_full"),
    *("unschedulable", "volume_failure", "probe_misconfigured", "slow_start", "port_conflict"),
    *("dependency_unreachable", "dependency_auth", "tls_certificate", "migration_failed", "node_failure"),
    *("build_failure", "dependency_resolution", "test_failure", "quality_violation", "vulnerability_found"),
    *("timeout", "none"),
}
REGISTRIES = (
    *("registry.npmjs.org", "registry.yarnpkg.com", "pypi.org", "files.pythonhosted.org", "repo.maven.apache.org"),
    *("repo1.maven.org", "index.crates.io", "static.crates.io", "proxy.golang.org", "sum.golang.org", "deb.debian.org"),
)
# What the machine prints of itself, and what stands for it in a case.
NEUTRAL = (
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    (re.compile(rf"{HOME}/\.pyenv/versions/[\d.]+"), "/usr/local"),
    (re.compile(rf"{HOME}/\.(cargo|rustup)"), r"/usr/local/\1"),
    (re.compile(rf"{HOME}/go\b"), "/go"),
    (re.compile(rf"{WORK}/root\b"), ""),
    (re.compile(rf"{WORK}/\w+"), "/app"),
    (re.compile(rf"{HOME}\b"), "/home/app"),
    (re.compile(r"(?<=lookup )(\S+) on [\d.]+:53"), r"\1 on 10.0.0.2:53"),
    (re.compile("|".join(map(re.escape, REGISTRIES))), "registry.example"),
)
PRIVATE = re.compile(
    "|".join([rf"{HOME}\b", str(WORK), rf"(?<!\w){REPOSITORY.parent}\b", r"\.pyenv", *map(re.escape, REGISTRIES)])
)


@dataclass(frozen=True)
class Recipe:
    """One failure to bring about. `files` maps paths in the folder to text; a value of None removes the file."""

    id: str
    source: str  # how a reader sees it again, without "reproduced: "
    command: str  # run by bash in /app
    type: str | list[str]
    cause: list[list[str]] = field(default_factory=list)
    fix: list[list[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    step: str = "deploy"
    step_name: str | None = None
    files: dict[str, str | None] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)  # the old release's text of changed files: makes `change`
    setup: str = ""  # run first, output thrown away
    probe: str = ""  # run while the command lives; its output is the step's
    ready_s_max: float = 2.0
    venv: str | None = None  # a virtual environment that is shown as /app/.venv
    mounts: dict[str, str] = field(default_factory=dict)  # path under /app -> folder outside that is shown there
    env: dict[str, str] = field(default_factory=dict)
    network: str = "host"  # "none": loopback only; else the name of a network namespace that `ip netns` knows
    twice: bool = False  # restarted once: the first run is `previous`
    exit_code: bool = True
    container: str = "web-1/app"
    aside: bool = False
    run_s_max: float = RUN_S_MAX
    lines_max: int = 110


def neutral(text: str) -> str:
    """The text without colour codes, private paths and registry hosts."""
    for pattern, replacement in NEUTRAL:
        text = pattern.sub(replacement, text)
    return text


def shorten(text: str, lines_max: int) -> str:
    """The text with its middle left out, and said so, when it has more than `lines_max` lines."""
    lines = text.splitlines(keepends=True)
    if len(lines) <= lines_max:
        return text
    head = lines_max // 2
    tail = lines_max - head
    return "".join([*lines[:head], f"[... {len(lines) - lines_max} lines left out ...]\n", *lines[-tail:]])


def _environment(recipe: Recipe) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in {"SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy"}}
    path = f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin:{HOME}/.cargo/bin"
    if recipe.venv:
        path = f"/app/.venv/bin:{path}"
    base = {
        "PATH": path,
        "HOME": str(HOME),
        "LANG": "C.UTF-8",
        "GOFLAGS": "-buildvcs=false",
        "CI": "1",
        "npm_config_userconfig": "/dev/null",
    }
    return kept | base | recipe.env


def _script(recipe: Recipe, body: str) -> list[str]:
    """The command line that shows the folder as /app and runs `body` there."""
    lines = ["set -e", f"mount --bind {WORK}/work/{recipe.id} /app"]
    if recipe.venv:
        lines.append(f"mkdir -p /app/.venv && mount --bind {WORK}/venvs/{recipe.venv} /app/.venv")
    for inside, outside in recipe.mounts.items():
        lines.append(f"mkdir -p /app/{inside} && mount --bind {outside} /app/{inside}")
    if recipe.network == "none":
        lines.append("ip link set lo up")
    if HOSTS.exists():
        lines.append(f"mount --bind {HOSTS} /etc/hosts")
    lines += ["cd /app", "set +e", body]
    enter = {"host": [], "none": []}.get(recipe.network, ["nsenter", f"--net=/run/netns/{recipe.network}"])
    flags = ["-m", "--propagation", "private"] + (["-n"] if recipe.network == "none" else [])
    return ["nice", *enter, "unshare", *flags, "bash", "-c", "\n".join(lines)]


def _run(recipe: Recipe) -> tuple[str, int, str]:
    """What the command printed, its exit code, and what the probe printed. 124 where the time limit ended it."""
    env = _environment(recipe)
    log = WORK / "work" / f"{recipe.id}.log"
    log.unlink(missing_ok=True)
    with log.open("ab") as sink:  # appended, or a child that opens /dev/stderr would overwrite it
        process = subprocess.Popen(
            _script(recipe, recipe.command),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        probed, printed = "", None
        if recipe.probe:
            time.sleep(recipe.ready_s_max)
            said = f"exec 2>&1\ncd /app\n{recipe.probe}"
            inside = ["nsenter", "-t", str(process.pid), "-m", "-n", "bash", "-c", said]
            probed = subprocess.run(
                inside, env=env, stdout=subprocess.PIPE, text=True, timeout=PROBE_S_MAX, check=False
            ).stdout
            time.sleep(SETTLE_S_MAX)  # what the last answer left in the log
            printed = log.read_text(encoding="utf-8", errors="replace")  # while it runs: our own signal is no evidence
            os.killpg(process.pid, signal.SIGTERM)
        try:
            code = process.wait(timeout=GRACE_S_MAX if recipe.probe else recipe.run_s_max)
        except subprocess.TimeoutExpired:
            code = 124
        with contextlib.suppress(ProcessLookupError):  # all of it had ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if printed is None:
        printed = log.read_text(encoding="utf-8", errors="replace")
    return printed, code if code >= 0 else 128 - code, probed


def _change(recipe: Recipe) -> str:
    """The unified diff from the last good release to this one."""
    parts: list[str] = []
    for path, old in recipe.before.items():
        new = recipe.files.get(path) or ""
        parts += difflib.unified_diff(
            old.splitlines(keepends=True),
            new.splitlines(keepends=True),
            f"a/{path}" if old else "/dev/null",
            f"b/{path}" if new else "/dev/null",
        )
    return "".join(parts)


def _prepare(recipe: Recipe) -> None:
    """A fresh folder with the recipe's files, and its set-up done. Raises SystemExit where the set-up fails."""
    folder = WORK / "work" / recipe.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in recipe.files.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    if recipe.setup:
        script = _script(recipe, f"set -e\n{recipe.setup}")
        made = subprocess.run(script, env=_environment(recipe), capture_output=True, text=True, check=False)
        if made.returncode:
            raise SystemExit(f"{recipe.id}: set-up failed\n{made.stdout[-2000:]}{made.stderr[-3000:]}")


def _given(recipe: Recipe) -> dict[str, object]:
    """Runs the recipe: what a step and its processes printed, in the format of a case."""
    previous = _run(recipe)[0] if recipe.twice else None
    printed, code, probed = _run(recipe)
    printed, probed = (shorten(neutral(text), recipe.lines_max) for text in (printed, probed))
    given: dict[str, object] = {
        "failed_step": {
            "number": STEPS[recipe.step],
            "name": recipe.step_name or recipe.step.capitalize(),
            "type": recipe.step,
        },
        "target": "local" if recipe.step == "deploy" else "none",
    }
    if recipe.step == "deploy":
        logs = {"current": printed}
        if previous is not None:
            logs["previous"] = shorten(neutral(previous), recipe.lines_max)
        given["logs"] = {recipe.container: logs}
        if probed:
            given["step_output"] = probed
    else:
        given["step_output"] = printed + probed
    if recipe.exit_code and not recipe.probe:
        given["exit_code"] = code
    if change := _change(recipe):
        given["change"] = change
    return given


def record(recipe: Recipe) -> dict[str, object]:
    """Run the recipe and write its case. Returns the case."""
    _prepare(recipe)
    given = _given(recipe)
    expect: dict[str, object] = {"type": recipe.type}
    if recipe.type != "none":
        expect |= {"cause": recipe.cause, "fix": recipe.fix}
    if recipe.wrong:
        expect["not"] = recipe.wrong
    source = f"reproduced: {recipe.source}"
    case: dict[str, object] = {"id": recipe.id, "source": source, "given": given, "expect": expect}
    target = (ASIDE if recipe.aside else OPEN) / f"{recipe.id}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n")
    return case


def faults(path: Path) -> list[str]:
    """What is wrong with a case file, in words; empty when it is in order."""
    text = path.read_text()
    case = json.loads(text)
    found: list[str] = []
    if case["id"] != path.stem:
        found.append(f"id {case['id']!r} differs from the file's name")
    if len(text.encode()) > SIZE_BYTES_MAX:
        found.append(f"{len(text.encode())} bytes, limit {SIZE_BYTES_MAX}")
    if hit := PRIVATE.search(text):
        found.append(f"private: {hit[0]!r}")
    given, expect = case["given"], case["expect"]
    if unknown := set(given) - GIVEN_KEYS:
        found.append(f"unknown keys under given: {sorted(unknown)}")
    step = given["failed_step"]
    if STEPS.get(step["type"]) != step["number"]:
        found.append(f"step {step}")
    types = expect["type"] if isinstance(expect["type"], list) else [expect["type"]]
    if not set(types) <= TYPES:
        found.append(f"unknown type {types}")
    groups = expect.get("cause", []) + expect.get("fix", [])
    if types != ["none"] and not (expect.get("cause") and expect.get("fix")):
        found.append("cause and fix are needed")
    if any(not group or any(not isinstance(word, str) or not word for word in group) for group in groups):
        found.append("an empty group or word")
    if not any(given.get(key) for key in ("step_output", "logs", "pods", "events", "api_error")):
        found.append("no evidence")
    return found


def main() -> int:
    """Check every case; 1 when one is out of order."""
    paths = sorted([*OPEN.glob("*.json"), *ASIDE.glob("*.json")])
    bad = {path: found for path in paths if (found := faults(path))}
    for path, found in bad.items():
        print(f"{path.relative_to(REPOSITORY)}: {'; '.join(found)}")
    print(f"{len(paths)} cases, {len(bad)} out of order")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
