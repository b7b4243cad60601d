"""Container images: building, pushing and pulling them. One classification of registry errors serves builds and pods."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.files import add_file
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType, Recommendation

_REF = r"(?P<image>(?:[\w.-]+(?::\d+)?/)?(?:[\w.-]+/)*[\w.-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?)"
NOT_FOUND = r"not found|manifest unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN|name unknown|no such image|does not exist(?! or may require)|404|repository name not known|tag .* was deleted"
DENIED = r"unauthorized|authentication required|no basic auth|pull access denied|denied: |access denied|403|401|forbidden|insufficient_scope|authorization failed|requires 'docker login'|may require|no credentials|invalid username/password"
UNAVAILABLE = r"toomanyrequests|too many requests|rate limit|429|i/o timeout|timeout|timed out|connection refused|no such host|server misbehaving|tls:|x509|certificate|TLS handshake|connection reset|EOF|50[0234]\b|service unavailable|network is unreachable|no route to host|http: server gave HTTP response|context deadline exceeded|temporary failure|lookup "
PLATFORM = r"no match for platform|no image found in (?:image index|manifest list)|no matching manifest|does not provide (?:the specified )?platform|does not match the specified platform|platform .* not found"
INVALID = (
    r"invalid reference format|InvalidImageName|couldn't parse image|repository name must be lowercase|invalid tag"
)


def classify_pull(message: str) -> FailureType | None:
    """The failure type of a registry's or runtime's message about an image; None where it says nothing."""
    if re.search(PLATFORM, message, re.IGNORECASE):
        return FailureType.PLATFORM_MISMATCH
    if re.search(INVALID, message):
        return FailureType.IMAGE_NOT_FOUND
    if re.search(r"toomanyrequests|too many requests|rate limit|\b429\b", message, re.IGNORECASE):
        return FailureType.IMAGE_REGISTRY_UNAVAILABLE
    if re.search(
        r"failed to authorize|unexpected status[^\n]*: 50\d\b|dial tcp|lookup |x509|tls", message, re.IGNORECASE
    ) and not re.search(r"\b40[13]\b|denied", message):
        return FailureType.IMAGE_REGISTRY_UNAVAILABLE
    if re.search(r"not found|manifest unknown|MANIFEST_UNKNOWN|name unknown|NAME_UNKNOWN", message) and not re.search(
        r"\b40[13]\b|pull access denied|insufficient_scope|unauthorized", message, re.IGNORECASE
    ):
        return FailureType.IMAGE_NOT_FOUND
    if re.search(DENIED, message, re.IGNORECASE):
        return FailureType.IMAGE_ACCESS_DENIED
    if re.search(UNAVAILABLE, message, re.IGNORECASE):
        return FailureType.IMAGE_REGISTRY_UNAVAILABLE
    return FailureType.IMAGE_NOT_FOUND if re.search(NOT_FOUND, message, re.IGNORECASE) else None


def pull_cause(kind: FailureType, image: str, message: str) -> str:
    """The cause in one sentence."""
    said = quoted(message, 260)
    return {
        FailureType.IMAGE_NOT_FOUND: f"The image {image} is not found: the tag or repository does not exist in the registry, or its name is invalid: {said}",
        FailureType.IMAGE_ACCESS_DENIED: f"The registry refuses access to the image {image} (unauthorized: no or wrong credentials, or the repository does not exist for this user): {said}",
        FailureType.IMAGE_REGISTRY_UNAVAILABLE: f"The image {image} cannot be pulled: {registry_trouble(message)}: {said}",
        FailureType.PLATFORM_MISMATCH: f"The image {image} does not exist for the node's platform (CPU architecture): {said}",
    }[kind]


def registry_trouble(message: str) -> str:
    """What is wrong on the way to the registry."""
    for words, why in ((r"toomanyrequests|rate limit|\b429\b|too many requests", "the registry's rate limit is reached (too many requests)"), (r"no such host|lookup|misbehaving|name resolution", "the registry's host name cannot be resolved (DNS)"),
                       (r"x509|certificate|tls|HTTP response to HTTPS", "the registry's TLS certificate is not accepted"), (r"refused", "the registry refuses the connection (it does not run there)"), (r"50\d", "the registry answers with a server error")):  # fmt: skip
        if re.search(words, message, re.IGNORECASE):
            return why
    return "the registry cannot be reached (network, timeout)"


def pull_fixes(kind: FailureType, image: str, message: str, scene: Scene, where: str) -> tuple[Recommendation, ...]:
    """What to do; `where` names the file or object that names the image."""
    base, _, tag = image.rpartition(":") if ":" in image.rsplit("/", 1)[-1] else (image, "", "latest")
    registry = (
        image.split("/")[0]
        if "/" in image and ("." in image.split("/")[0] or ":" in image.split("/")[0])
        else "docker.io"
    )
    previous = next(
        (
            line
            for lines in scene.change.removed.values()
            for line in lines
            if "image" in line and base.rsplit("/", 1)[-1] in line
        ),
        "",
    )
    old = re.search(r":([\w.-]+)[\"']?\s*$", previous)
    if kind is FailureType.IMAGE_NOT_FOUND:
        back = f" (the last good release had the tag {old.group(1)})" if old else ""
        return (
            high(
                f"Correct the image tag {tag} of {base} in {where}",
                f"Use a tag that exists{back}: correct the name or tag {image}, or build and push it before the deployment",
                f"docker build -t {image} . && docker push {image}",
            ),
            medium(
                "List the tags that exist",
                f"Compare {tag} with what {registry} has",
                f"crane ls {base}   # or: skopeo list-tags docker://{base}",
            ),
        )
    if kind is FailureType.IMAGE_ACCESS_DENIED:
        secret = (
            "kubectl create secret docker-registry regcred --docker-server="
            + registry
            + " --docker-username=USER --docker-password=TOKEN\n# and in the pod: imagePullSecrets: [{name: regcred}]"
            if scene.on_kubernetes
            else f"docker login {registry}"
        )
        return (
            high(
                f"Give access to {registry}",
                f"Create or renew the credentials for {image} (imagePullSecrets / docker login / the node's role), and check that the repository name is right",
                secret,
            ),
            medium(
                "Try the credentials by hand",
                "The same user must be able to pull",
                f"docker login {registry} && docker pull {image}",
            ),
        )
    if kind is FailureType.PLATFORM_MISMATCH:
        return (
            high(
                f"Build {image} for the node's platform",
                "Publish a multi-platform image (linux/amd64 and linux/arm64), or choose nodes of the image's architecture (nodeSelector)",
                f"docker buildx build --platform linux/amd64,linux/arm64 -t {image} --push .",
            ),
        )
    limit = "rate limit" in registry_trouble(message)
    advice = (
        f"Log in to {registry} (authenticated pulls have a higher limit), or pull through a mirror or cache, and try again later"
        if limit
        else f"Check DNS, network, proxy and certificate on the way from the node to the registry {registry}, then retry"
    )
    return (
        high(
            f"Make the registry {registry} reachable" if not limit else f"Avoid the rate limit of {registry}",
            advice,
            f"docker login {registry}" if limit else f"curl -v https://{registry}/v2/",
        ),
        medium(
            "Keep images near",
            "A registry mirror or pre-pulled images make deployments independent of this registry",
            "",
        ),
    )


@line_rule(
    "image-pull",
    "pull access denied|manifest unknown|failed to resolve source metadata|failed to resolve reference|failed to pull|error pulling|manifest for|toomanyrequests|no matching manifest|not found: manifest|repository does not exist|failed to authorize|reading manifest|initializing source|invalid reference format|failed to copy|failed to do request|pulling image|unable to pull|errimagepull|no match for platform|choosing an image|error parsing image name|pinging container registry|no image found in|failed commit on ref|denied: requested access|error creating build container|unauthorized: |creating build container|resolve source metadata|resolve reference",
    r"choosing an image from manifest list|Error parsing image name|pinging container registry|no image found in|manifest unknown|pull access denied|resolve source metadata|resolve reference|failed to pull|[Ee]rror pulling|manifest for \S+ not found|toomanyrequests|no matching manifest|failed to authorize|reading manifest|initializing source|invalid reference format|failed to copy|failed to do request|unable to pull|no match for platform|denied: |unauthorized: |creating build container",
    source="registry API error codes; containerd, BuildKit, buildah, docker",
)
def pull(hit: Hit) -> Hypothesis | None:
    """A base image in a build, or an image in a deployment step, that cannot be pulled or pushed."""
    line = hit.document.lines[hit.index]
    if re.search(r"context canceled|failed to compute cache key", line) and "not found" not in line:
        return None
    kind = classify_pull(line)
    if kind is None:
        return None
    image = _image_in(hit, line)
    push = re.search(r"\bpush", hit.document.window(hit.index, 3, 0), re.IGNORECASE)
    dockerfile = re.search(r"(Dockerfile\S*|Containerfile):(\d+)", hit.document.text)
    where = (
        f"{dockerfile.group(1)} (FROM, line {dockerfile.group(2)})"
        if dockerfile
        else "the Dockerfile (FROM)"
        if hit.scene.step_type in ("docker", "build")
        else "the manifest"
    )
    if push and kind is FailureType.IMAGE_ACCESS_DENIED:
        return Hypothesis(
            kind,
            f"The registry refuses the push of {image or 'the image'} (denied: no or wrong credentials): {hit.line}",
            0.9,
            pull_fixes(kind, image or "the image", line, hit.scene, where),
            names=(image,),
        )
    return Hypothesis(
        kind,
        pull_cause(kind, image or "named in the build file", line),
        0.95 if image else 0.82,
        pull_fixes(kind, image or "the image", line, hit.scene, where),
        names=tuple(part for part in (image, image.rpartition(":")[0]) if part),
        facts={"image": image},
    )


def _image_in(hit: Hit, line: str) -> str:
    for pattern in (
        r"resolve source metadata for (\S+?):? ",
        r"(?:resolve|unpack) (?:reference|image) \"?([^\s\"]+)\"?",
        r"pull access denied for ([^\s,]+)",
        r"manifest for (\S+) not found",
        r"docker://([^\s\"\\]+?)[:\"\\]* ",
        r"docker\.io/\S+|ghcr\.io/\S+",
        r"image \"([^\"]+)\"",
        r"reading manifest \S+ in (\S+?):",
        r"^(?:ERROR: )?([\w.-]+(?:[./:][\w.-]+)*):? (?:not found|failed)",
        r"invalid reference format: \S* ?\"?([^\s\"]+)",
        r"pulling (?:image )?\"?([\w./:-]+)\"?",
    ):
        match = re.search(pattern, line + " ")
        if match:
            found = (match.group(1) if match.groups() else match.group(0)).rstrip(":,")
            tag = re.search(r"reading manifest (\S+) in", line)
            return f"{found}:{tag.group(1)}" if tag and ":" not in found.rsplit("/", 1)[-1] else found
    near = re.search(r"(?im)^\s*(?:\d+ \| )?(?:>>> )?(?:STEP \d+(?:/\d+)?: )?FROM (?:--\S+ )?(\S+)", hit.document.text)
    return near.group(1) if near else ""


@line_rule(
    "docker-copy",
    'not found|no such file|copy failed|no source files|failed to calculate checksum|failed to compute cache key|forbidden path|copier: stat|error building at step|building at step "add|add failed',
    r"(?:failed to (?:calculate checksum|compute cache key)[^\n]*?|COPY failed: [^\n]*?|ADD failed: [^\n]*?|copier: stat: ?|building at STEP \"(?P<step>(?:COPY|ADD) [^\"]+)\"[^\n]*?)\"?(?P<path>/?[\w./@*-]+)\"?(?:: not found|[^\n]*(?:no such file|not found|no source files|no items matching|does not exist))|COPY failed: no source files",
    source="BuildKit, docker build and buildah",
)
def copy_missing(hit: Hit) -> Hypothesis | None:
    """COPY of something that is not in the build context."""
    instruction = re.search(r"(?:>>> ?|STEP \d+(?:/\d+)?: |\] |STEP \")((?:COPY|ADD) [^\"\n]+)", hit.document.text)
    buildkit = re.search(r"ref \S+: \"?/?([^\"]+)\"?: not found|\"/([^\"]+)\": not found", hit.line)
    path = (
        next((g for g in buildkit.groups() if g), "")
        if buildkit
        else hit.get("path").rsplit("/buildah", 1)[-1].lstrip("/")
    )
    if instruction:
        sources = [p for p in instruction.group(1).split()[1:-1] if not p.startswith("--")]
        path = (
            next(
                (s for s in sources if s.strip("./").endswith(path.rsplit("/", 1)[-1])),
                path or (sources[0] if sources else ""),
            )
            or path
        )
    stat = re.search(r"copier: stat: ?\"?/?([^\":]+)\"?: no such file", hit.line)
    path = stat.group(1) if stat else path
    path = path.strip("\"'").removeprefix("./")
    line = re.search(r"(Dockerfile\S*|Containerfile):(\d+)", hit.document.text)
    spot = f"{line.group(1)} line {line.group(2)}" if line else "the Dockerfile"
    shown = f" ({quoted(instruction.group(1), 100)})" if instruction else ""
    return Hypothesis(
        FailureType.MISSING_FILE,
        f"COPY in {spot}{shown}: {path} is not found in the build context (it does not exist, or .dockerignore excludes it)",
        0.95,
        (
            high(
                f"Put {path} into the build context",
                f"Create, add and commit {path} (or correct the path in {spot}); make sure that .dockerignore does not exclude it (add a line !{path}) and that the context is the right folder",
                f"grep -n . .dockerignore; git ls-files {path}; echo '!{path}' >> .dockerignore",
            ),
            commit(f"{path} .dockerignore Dockerfile", f"Ship {path}"),
        ),
        names=(path, ".dockerignore", "Dockerfile"),
        facts={"path": path},
    )


@line_rule(
    "dockerfile-syntax",
    "dockerfile parse error|unknown instruction|failed to parse dockerfile|dockerfile: no such file|failed to read dockerfile|invalid from|no build stage in current context|target stage|unknown flag|missing new",
    r"[Dd]ockerfile parse error(?: on)? line (?P<line>\d+): (?P<what>.+)|(?P<unknown>unknown instruction: (?P<word>\S+).*)|failed to (?:read|find) dockerfile: (?P<read>.+)|(?P<stage>target stage \"?\S+\"? could not be found)|dockerfile parse error[^\n]*: (?P<other>.+)",
    source="BuildKit's Dockerfile frontend, buildah's parser",
)
def dockerfile_syntax(hit: Hit) -> Hypothesis | None:
    """The Dockerfile itself is wrong or absent."""
    if hit.get("read"):
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The Dockerfile is not found: {hit.line}",
            0.92,
            (
                high(
                    "Add the Dockerfile or name it with -f",
                    "Create and commit the Dockerfile, or correct its path and the build context",
                    "docker build -f path/Dockerfile .",
                ),
                *add_file("Dockerfile", hit.scene)[1:2],
            ),
            names=("Dockerfile",),
        )
    what = next((hit.get(k) for k in ("what", "unknown", "stage", "other") if hit.get(k)), hit.line)
    spot = hit.get("line") or (
        m.group(1) if (m := re.search(r"Dockerfile:(\d+)|line (\d+)", hit.document.text)) and m.group(1) else ""
    )
    word = re.search(r"unknown instruction: (\S+)", hit.line)
    from failback.diagnosis.rules.servers import nearest

    right = (
        nearest(
            word.group(1).rstrip(","),
            (
                "FROM",
                "RUN",
                "COPY",
                "ADD",
                "CMD",
                "ENTRYPOINT",
                "ENV",
                "ARG",
                "WORKDIR",
                "EXPOSE",
                "USER",
                "VOLUME",
                "LABEL",
                "HEALTHCHECK",
                "SHELL",
            ),
        )
        if word
        else ""
    )
    hint = f": write {right}" if right else ""
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"The Dockerfile{f' line {spot}' if spot else ''} is not valid: {quoted(what)}{hint}",
        0.95,
        (
            high(
                f"Correct the Dockerfile{f' line {spot}' if spot else ''}",
                f"{quoted(what)}{hint}",
                f"docker build --check .   # {right}",
            ),
            commit("Dockerfile", "Correct the Dockerfile"),
        ),
        names=("Dockerfile",),
    )


@line_rule(
    "docker-run-failed",
    "did not complete successfully|returned a non-zero code|while running runtime|exit status",
    r"process \"(?P<a>.+?)\" did not complete successfully: (?P<exit>.+)|The command '(?P<b>.+?)' returned a non-zero code: (?P<code>\d+)|building at STEP \"(?P<c>RUN [^\"]+)\": while running runtime: exit status (?P<st>\d+)",
    source="BuildKit, docker build, buildah",
)
def run_failed(hit: Hit) -> Hypothesis | None:
    """A RUN that failed: weak, because its own output says why."""
    command = re.sub(r"^/bin/sh -c ", "", hit.get("a") or hit.get("b") or hit.get("c"))
    code = (
        (m.group(1) if (m := re.search(r"exit code: (\d+)", hit.get("exit"))) else "")
        or hit.get("code")
        or hit.get("st")
    )
    if code == "137":
        return Hypothesis(
            FailureType.MEMORY_LIMIT,
            f"RUN {quoted(command, 120)} was killed (exit code 137): the build ran out of memory",
            0.85,
            (
                high(
                    "Give the build more memory",
                    "Raise the memory limit of the builder or runner, or let the step use less (fewer parallel jobs)",
                    "NODE_OPTIONS=--max-old-space-size=2048",
                ),
            ),
        )
    if code == "127":
        name = re.match(r"\s*(?:\w+=\S+ )*([\w./-]+)", command)
        return Hypothesis(
            FailureType.BUILD_FAILURE,
            f"RUN {quoted(command, 120)}: a command is not found in the image (exit code 127)",
            0.6,
            (
                high(
                    f"Install {name.group(1) if name else 'the command'} in the image",
                    "Add it before this RUN, or use a base image that has it",
                    "RUN apt-get update && apt-get install -y " + (name.group(1) if name else ""),
                ),
            ),
        )
    return Hypothesis(
        FailureType.BUILD_FAILURE,
        f"The image build fails at RUN {quoted(command, 120)} (exit code {code})",
        0.45,
        (
            high(
                f"Fix the command {quoted(command, 80)}",
                "Its own output above says why it failed",
                "docker build --progress=plain --no-cache .",
            ),
        ),
        names=("Dockerfile",),
    )


@line_rule(
    "docker-daemon",
    "cannot connect to the docker daemon|docker daemon is not running|docker.sock|error during connect|failed to connect to the docker api|docker daemon socket",
    r"Cannot connect to the Docker daemon|docker daemon (?:is not running|socket)|dial unix \S*docker\.sock|error during connect|failed to connect to the docker API",
    source="the docker client",
)
def daemon(hit: Hit) -> Hypothesis | None:
    """The docker client finds no daemon."""
    denied = "permission denied" in hit.line.lower()
    kind = FailureType.FILESYSTEM_PERMISSION if denied else FailureType.DEPENDENCY_UNREACHABLE
    return Hypothesis(
        kind,
        f"The Docker daemon {'socket may not be used (permission denied)' if denied else 'cannot be reached: it does not run or its socket is not there'}: {hit.line}",
        0.93,
        (
            high(
                "Start the Docker daemon or give access to its socket",
                "Start dockerd on the runner, or add the user to the group docker, or set DOCKER_HOST to where it listens",
                "systemctl start docker   # or: usermod -aG docker $USER",
            ),
        ),
    )
