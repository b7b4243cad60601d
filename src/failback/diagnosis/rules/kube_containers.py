"""Containers that cannot be created or started, or that end at once: configuration, commands, users, crash loops."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.kube import ContainerState, container_states, get, text
from failback.diagnosis.recommend import high, medium
from failback.diagnosis.recommend.kube import add_key, container_of, in_namespace, patch, workload
from failback.diagnosis.rule import Hypothesis, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.diagnosis.statements import Told, statement_rule
from failback.model.diagnosis import Citation, FailureType

_CREATE = "CreateContainerConfigError|CreateContainerError|RunContainerError|StartError|ContainerCannotRun|Failed|FailedPostStartHook|PostStartHookError|BackOff|CrashLoopBackOff|Error|FailedToStart|FailedMount"


@statement_rule(
    "pod-configuration-missing",
    "CreateContainerConfigError|Failed|FailedMount|FailedToStart",
    r"(?P<kind1>configmap|secret)s? \"(?P<name1>[^\"]+)\" not found|couldn't find key (?P<key2>\S+) in (?P<kind2>ConfigMap|Secret) (?P<name2>[^\s,]+)|references non-existent (?P<kind3>config|secret) key: (?P<key3>\S+)|(?P<kind4>configmap|secret) \S+ (?P<name4>\S+) not registered",
    source="kubelet: env, envFrom, volumes and subPaths of ConfigMaps and Secrets",
)
def configuration_missing(told: Told) -> Hypothesis | None:
    """A ConfigMap, Secret or key that the pod refers to does not exist."""
    said = told.statement
    raw = next((told.get(k) for k in ("kind1", "kind2", "kind3", "kind4") if told.get(k)), "").lower()
    kind = "Secret" if raw == "secret" else "ConfigMap"
    name = next((told.get(k) for k in ("name1", "name2", "name4") if told.get(k)), "").rsplit("/", 1)[-1]
    key = told.get("key2") or told.get("key3")
    volume = re.search(r"volume \"([^\"]+)\"", said.message)
    if not name and volume:
        name = _source_of(told, volume.group(1)) or f"of the volume {volume.group(1)}"
    what = f"The key {key} is missing in the {kind} {name}" if key else f"The {kind} {name} does not exist (not found)"
    where = (
        f", which the volume {volume.group(1)} mounts"
        if volume
        else f", which the container {said.container} reads"
        if said.container
        else ""
    )
    return Hypothesis(
        FailureType.MISSING_CONFIGURATION,
        f"{what}{where}: {quoted(said.message)}",
        0.97,
        add_key(told.scene, kind, name, key, said),
        names=tuple(part for part in (name, key) if part),
        facts={"kind": kind, "name": name, "key": key},
    )


def _source_of(told: Told, volume: str) -> str:
    for pod in (*told.scene.evidence.pods, *(get(m, "spec", "template") for m in told.scene.evidence.manifests)):
        for entry in get(pod, "spec", "volumes") or ():
            if text(entry, "name") == volume:
                return text(entry, "configMap", "name") or text(entry, "secret", "secretName")
    return ""


@statement_rule(
    "pod-runs-as-root",
    "CreateContainerConfigError|Failed|CreateContainerError",
    r"runAsNonRoot and (?:image will run as root|image has non-numeric user \((?P<user>[^)]*)\)|container's runAsUser breaks)|unable to find user (?P<nouser>\S+):|no matching entries in (?:passwd|group) file",
    source="kubelet's check of runAsNonRoot; runc's lookup of the user",
)
def runs_as_root(told: Told) -> Hypothesis | None:
    """The image's user does not fit the pod's securityContext, or does not exist."""
    said, user = told.statement, told.get("user")
    if told.get("nouser") or "no matching entries" in said.message:
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"The user {told.get('nouser')} that the container {said.container} shall run as does not exist in the image: {quoted(said.message)}",
            0.94,
            (high(f"Create the user {told.get('nouser')} in the image or use a number", "Add the user in the Dockerfile (adduser), or set runAsUser to a numeric id", patch(told.scene, said, said.container, "securityContext: {runAsUser: 1000}")),),
        )  # fmt: skip
    why = (
        f"the image names its user as text ({user}), so the kubelet cannot verify that it is not root"
        if user
        else "the image would run as root"
    )
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The container {said.container} may not start: runAsNonRoot is set and {why}: {quoted(said.message)}",
        0.95,
        (
            high(
                "Run as a numeric user that is not root",
                f"Set runAsUser (for example 1000) in the securityContext of {said.container or 'the container'}, or USER 1000 in the Dockerfile; files must belong to that user",
                patch(told.scene, said, said.container, "securityContext: {runAsNonRoot: true, runAsUser: 1000}"),
            ),
        ),
        names=("runAsNonRoot", "securityContext"),
    )


@statement_rule(
    "pod-command",
    _CREATE,
    r"exec: \\?\"(?P<cmd>[^\"\\]*)\\?\": (?P<why>executable file not found in \$PATH|stat [^:]+: (?:no such file or directory|permission denied)|permission denied|is a directory|[^:]*no such file or directory)|exec (?P<bare>/\S+): (?P<bwhy>no such file or directory|permission denied|exec format error)|(?P<fmt>exec format error)|no command specified|chdir to cwd \(\\?\"(?P<cwd>[^\"\\]+)\\?\"\)|during container init: mkdir (?P<mkdir>[^:]+): (?:not a directory|permission denied|read-only file system|file exists)|(?:error mounting|not a directory: Are you trying to mount)",
    source="runc: execve's errno before the container runs",
)
def command(told: Told) -> Hypothesis | None:
    """runc cannot execute the command that the pod names."""
    said = told.statement
    message = quoted(said.message, 300)
    name = told.get("cmd") or told.get("bare")
    why = told.get("why") or told.get("bwhy") or told.get("fmt")
    scene = told.scene
    owner = workload(scene, said)
    if "exec format error" in why:
        return Hypothesis(
            FailureType.PLATFORM_MISMATCH,
            f"The image of container {said.container} was built for another CPU architecture (exec format error): {message}",
            0.94,
            (
                high("Build the image for the node's platform", "Publish a multi-platform image (linux/amd64 and linux/arm64), or choose nodes of the image's architecture (nodeSelector kubernetes.io/arch)", "docker buildx build --platform linux/amd64,linux/arm64 -t IMAGE --push ."),
            ),
        )  # fmt: skip
    folder = told.get("cwd") or told.get("mkdir")
    if folder:
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION if "permission" not in message else FailureType.FILESYSTEM_PERMISSION,
            f"The working directory {folder} of container {said.container} cannot be entered: {message}",
            0.9,
            (high(f"Correct workingDir {folder}", f"Set workingDir to a folder that exists in the image and that the user may enter, or create {folder} in the Dockerfile", patch(scene, said, said.container, "workingDir: /app")),),
        )  # fmt: skip
    if "mount" in told.match.group(0):
        path = re.search(r"mount(?:ing)? \\?\"[^\"]*\\?\" to rootfs at \\?\"([^\"\\]+)", said.message)
        return Hypothesis(
            FailureType.VOLUME_FAILURE,
            f"A volume cannot be mounted into container {said.container}{f' at {path.group(1)}' if path else ''} (a file over a folder, or the other way round): {message}",
            0.9,
            (high("Correct mountPath or subPath", "Mount a ConfigMap key as one file with subPath, and a folder without it; the path must not exist as the other kind", "volumeMounts: [{name: config, mountPath: /etc/app/app.yaml, subPath: app.yaml}]"),),
        )  # fmt: skip
    denied = "permission denied" in why
    shown = name or "the command"
    text_ = (
        "permission denied: it is not executable"
        if denied
        else "it is not found in the image (executable file not found)"
    )
    if "is a directory" in why:
        text_ = "it is a directory and no program"
    spec = container_of(scene, said)
    field = "args" if name and name in str(get(spec, "args")) and not get(spec, "command") else "command"
    fix = (
        high(f"Make {shown} executable", f"Set the execute permission in the image (chmod +x {shown}; in git: update-index --chmod=+x) and check its shebang", f"COPY --chmod=755 {shown.rsplit('/', 1)[-1]} {shown}")
        if denied
        else high(f"Correct the command {shown}", f"Correct the {field} of container {said.container} in the {owner[0]} {owner[1]} (spelling, path, PATH), or install or COPY {shown} into the image", patch(scene, said, said.container, 'command: ["/path/in/image"]  # or remove command: to use the image\'s own entrypoint'))
    )  # fmt: skip
    return Hypothesis(
        FailureType.BAD_COMMAND,
        f"The command {shown} of container {said.container} cannot be started: {text_}: {message}",
        0.97,
        (
            fix,
            medium("Look into the image", "See what is there", "kubectl debug -it POD --image=IMAGE -- sh -c 'ls -l; echo $PATH'"),
        ),
        names=(shown.rsplit("/", 1)[-1],),
        facts={"command": shown},
    )  # fmt: skip


@statement_rule(
    "pod-hook",
    "FailedPostStartHook|PostStartHookError|FailedPreStopHook",
    r".",
    source="kubelet's lifecycle hooks",
)
def hook(told: Told) -> Hypothesis | None:
    """A lifecycle hook that fails ends the container."""
    said = told.statement
    which = "preStop" if "PreStop" in said.reason else "postStart"
    missing = re.search(r"exec: \\?\"([^\"\\]+)\\?\"|stat (\S+): no such", said.message)
    hooked = get(container_of(told.scene, said), "lifecycle", which, "exec", "command") or ()
    what = next((g for g in missing.groups() if g), "") if missing else " ".join(map(str, hooked))
    gone = (
        f": {what} is not found in the image"
        if missing
        else f": its command {what} does not end with 0"
        if what
        else ""
    )
    return Hypothesis(
        FailureType.BAD_COMMAND,
        f"The {which} hook of container {said.container or text(container_of(told.scene, said), 'name')} fails{gone}: {quoted(said.message, 300)}",
        0.9 if which == "postStart" else 0.5,
        (
            high(
                f"Correct the {which} hook",
                f"Its command{f' {what}' if what else ''} must exist in the image and end with 0: correct or remove lifecycle.{which}",
                patch(
                    told.scene,
                    said,
                    said.container,
                    f'lifecycle: {{{which}: {{exec: {{command: ["sh", "-c", "..."]}}}}}}',
                ),
            ),
        ),
    )


@scene_rule("container-ended", "the kubelet's record of how a container ended, when its log says nothing better")
def ended(scene: Scene) -> Iterable[Hypothesis]:
    """A container that ends again and again: weak where a log can tell more, and it says what is known."""
    for pod in scene.pods():
        for state in container_states(pod):
            if (state.end_code in (None, 0) and state.waiting != "CrashLoopBackOff") or state.end_reason == "OOMKilled":
                continue
            yield _ended(scene, pod, state)
            return


def _ended(scene: Scene, pod: object, state: ContainerState) -> Hypothesis:
    code = state.end_code
    last = _last_line(scene, state)
    role = f"init container {state.name}" if state.init else f"container {state.name}"
    known = {126: "the command is not executable (permission denied)", 127: "a command is not found", 139: "it crashed (SIGSEGV, segmentation fault)", 134: "it aborted (SIGABRT)", 143: "it was told to stop (SIGTERM)", 137: "it was killed (SIGKILL)"}.get(code or 0, "")  # fmt: skip
    kind = FailureType.BAD_COMMAND if code in (126, 127) else FailureType.CODE_ERROR
    completed = code == 0
    if completed:
        return Hypothesis(
            FailureType.BAD_COMMAND,
            f"The {role} ends by itself with exit code 0 and is started again and again (CrashLoopBackOff): its command does not stay in the foreground{f'; it printed: {last}' if last else ''}",
            0.72,
            (
                high(f"Let {state.name} stay in the foreground", "The command of a Deployment must not end: start the server in the foreground (no daemon mode), or use a Job when the work is meant to end", patch(scene, None, state.name, 'command: ["program", "--foreground"]')),
            ),
            citations=(Citation(f"pods/{state.pod}", f"container {state.name}: {state.waiting or state.end_reason}, exit code 0, restarts {state.restarts}"),),
            component=state.name,
        )  # fmt: skip
    return Hypothesis(
        kind,
        f"The {role} ends with exit code {code}{f': {known}' if known else ''}{f'; the last thing it printed is: {last}' if last else ', and its log says nothing'}",
        0.44 if not known or code in (137, 143) else 0.7,  # below what any trace in the log says
        (
            high(f"Fix what ends {state.name}", f"Run the same image with the same settings by hand and read what it prints{f': {last}' if last else ''}", f"kubectl logs {state.pod}{in_namespace(scene)} -c {state.name} --previous"),
        ),
        citations=(Citation(f"pods/{state.pod}", f"container {state.name}: {state.waiting or state.end_reason}, exit code {code}, restarts {state.restarts}"),),
        component=state.name,
    )  # fmt: skip


def _last_line(scene: Scene, state: ContainerState) -> str:
    for document in reversed(scene.logs):
        if document.source.split(" ")[0].endswith(f"/{state.name}"):
            found = next((quoted(line) for line in reversed(document.lines) if line.strip()), "")
            if found:
                return found
    return ""
