"""Files that a program says are not there in its own words: without an errno, a configuration file, an agent, a key."""

from __future__ import annotations

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.files import add_file, mount_file
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.rules.files import is_outside_release, missing
from failback.diagnosis.scene import Scene
from failback.diagnosis.table import row
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_FILE = FailureType.MISSING_FILE
_ABSENT = r"(?:does(?: not|n't) exist|(?:was |is |could |can)? ?not (?:be )?(?:found|located|present|there)|is missing|not found|is absent|no such file)"
_NAMED = r"(?:[\w.-]+/)*[\w-]+(?:\.[\w-]+)*\.(?:ya?ml|json5?|toml|ini|conf|cfg|config|properties|env|xml|hcl|kdl|ron|rb|py|js|cjs|mjs|ts|php|pem|crt|key|p12|jks|sql|csv|tmpl|html|ru|lua|psgi|jar|war|so|bin|dat|db|zip|tar|tgz|gz|xz|whl|deb)"


@line_rule(
    "file-said-absent",
    "exist|not found|not be found|not located|is missing|not present|no such file|unable to find|cannot find|can't find|could not find",
    rf"(?:Config File \"(?P<a>[^\"]+)\" Not Found in \"\[?(?P<dir>[^\"\]]*)\]?\""
    rf"|Config data (?:resource|location) '(?:file |class path resource )?\[?(?P<b>[^'\]]+)\]?'[^\n]*?(?:does not exist|cannot be found)"
    rf"|(?:^|[\s:(])(?:the )?(?:config(?:uration)?|settings?|options|properties|environment|env|data|rules?|policy|schema|key|certificate|input|script|license|credentials) file:? [\"'`(\[]*(?P<c>[\w./~-]+?)[\"'`)\]]* {_ABSENT}"
    rf"|(?:^|[\s(:])[\"'`]?(?P<d>(?:/|\./|\.\./)?{_NAMED})[\"'`)]?:? {_ABSENT}"
    rf"|(?:[Cc]ould not|[Cc]annot|[Cc]an't|[Uu]nable to|[Ff]ailed to) (?:find(?: or open)?|locate)(?: the)?(?: (?:config\w*|settings?|properties|data|template|schema|key|certificate|input))?(?: file)?:? [\"'`]?(?P<e>(?:/|\./|\.\./)?{_NAMED})[\"'`]?)",
    source="viper, Spring Boot, gunicorn, Poetry, config-rs and programs' own checks of a path",
)
def said_absent(hit: Hit) -> Hypothesis | None:
    """A program looked for a file of that name and says that there is none."""
    path = next((hit.get(name) for name in "abcde" if hit.get(name)), "")
    line = hit.line.lower()
    if not path or path.startswith(("http", "file:http")) or "module" in line or "404" in line or "errno" in line:
        return None
    if hit.document.role == "step" and hit.scene.step_type in ("quality", "security", "test"):
        return None
    path = path.removeprefix("file:")
    folder = hit.get("dir").split()[0] if hit.get("dir") else ""
    if folder:
        return _in_folder(path, folder, hit)
    return missing(path, hit, 0.83)


def _in_folder(name: str, folder: str, hit: Hit) -> Hypothesis:
    path = f"{folder.rstrip('/')}/{name}"
    fixes = mount_file(path, hit.scene) if is_outside_release(path) else add_file(hit.scene.in_release(path), hit.scene)
    return Hypothesis(
        _FILE,
        f"The configuration file {name} is missing: it was not found in {folder}{hit.at}: {hit.line}",
        0.9,
        fixes,
        names=(path, name),
        facts={"path": path},
    )


@trace_rule("certificate-file-absent", "ssl.SSLContext.load_cert_chain, which names no path", "python")
def certificate_absent(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """The certificate or key that a TLS server is started with is not there; OpenSSL's error has no path."""
    code = root.frames[-1].code if root.frames else ""
    loads = "load_cert_chain" in code or "load_verify_locations" in code
    if root.name != "FileNotFoundError" or "/" in root.message or not loads:
        return None
    called = quoted(code, 120)
    return Hypothesis(
        _FILE,
        f"The TLS certificate or key file that the server is started with is missing (not found): {called}: {root.message}",
        0.95,
        (
            high(
                "Mount the TLS certificate and key, or correct their paths",
                "The files that the options for the certificate and key name (--ssl-certfile and --ssl-keyfile, certfile and keyfile) must be there where the service runs: mount the Secret that holds tls.crt and tls.key at that folder",
                "volumes: [{name: tls, secret: {secretName: tls}}]   # volumeMounts: [{name: tls, mountPath: /etc/tls}]",
            ),
        ),
    )


ROWS = (
    row(
        "asset-manifest-entry-missing",
        "staticfiles manifest entry|asset pipeline|vite manifest|mix file|entrypoints.json|mix manifest|static manifest|entrypoint",
        r"Missing staticfiles manifest entry for '(?P<a>[^']+)'|[Tt]he asset \"(?P<b>[^\"]+)\" is not present in the asset pipeline|Unable to locate file in Vite manifest: (?P<c>\S+?)\.?$|Vite manifest not found at: (?P<d>\S+)|Unable to locate Mix file: (?P<e>[^\s.]+\S*)|[Cc]ould not find the entrypoints? file[^\n]*?\"(?P<f>[^\"]+)\"|Could not find the entry \"(?P<g>[^\"]+)\" in \S*entrypoints\.json|(?:Mix manifest|could not find static manifest at \"(?P<h>[^\"]+)\")[^\n]*",
        _FILE,
        "The built asset {a}{b}{c}{d}{e}{f}{g}{h} is missing from the release: it is not in the manifest (not found), so the assets were not built or collected for this release",
        "Build and collect the assets in the image: collectstatic (Django), assets:precompile (Rails), npm run build (Vite, Mix, Encore)",
        "Run python manage.py collectstatic --noinput (rails assets:precompile, npm run build) in the build, after the sources of {a}{b}{c}{d}{e}{f}{g}{h} are copied, and ship its output and manifest; correct the name where the asset was renamed",
        "RUN python manage.py collectstatic --noinput   # Rails: bin/rails assets:precompile; Vite: npm run build",
        source="Django and whitenoise, Sprockets, Laravel Vite and Mix, Webpack Encore, Phoenix",
        sure=0.97,
        steps="-quality|security",
    ),
    row(
        "java-agent-absent",
        "error opening zip file or jar manifest missing|could not find agent library",
        r"Error opening zip file or JAR manifest missing ?: ?(?P<a>\S+)|Could not find agent library (?P<b>\S+)",
        _FILE,
        "The Java agent {a}{b} is missing: the JVM is started with -javaagent or -agentpath and cannot open (find) it",
        "Add {a}{b} to the image, or remove the -javaagent option",
        "COPY the agent's jar to {a}{b} in the Dockerfile (or mount it), correct its path in JAVA_TOOL_OPTIONS or the start command, or remove the option",
        "COPY agent.jar {a}{b}",
        source="java.instrument's loader",
        sure=0.97,
    ),
)  # fmt: skip
