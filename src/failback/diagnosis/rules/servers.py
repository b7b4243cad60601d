"""Web servers: nginx, Apache, HAProxy, gunicorn, uvicorn and what frameworks say of their own configuration."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.settings import correct_file
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.model.diagnosis import FailureType

DIRECTIVES = ("proxy_pass", "server_name", "listen", "location", "root", "index", "upstream", "include", "worker_processes", "worker_connections", "access_log", "error_log", "ssl_certificate", "ssl_certificate_key", "proxy_set_header", "try_files", "return", "rewrite", "add_header", "client_max_body_size", "keepalive_timeout", "sendfile", "gzip", "resolver", "default_type", "proxy_http_version", "proxy_read_timeout", "limit_req", "auth_basic", "expires", "ServerName", "DocumentRoot", "ProxyPass", "LoadModule", "Listen", "AllowOverride", "Require", "RewriteEngine", "ErrorLog", "CustomLog", "DirectoryIndex", "backend", "frontend", "server", "bind", "mode", "timeout", "option", "default_backend", "balance")  # fmt: skip


def nearest(word: str, known: tuple[str, ...] = DIRECTIVES) -> str:
    """The known word that differs least from a misspelled one; "" where none is near."""

    def distance(a: str, b: str) -> int:
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            previous, row[0] = row[0], i
            for j, y in enumerate(b, 1):
                previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
        return row[-1]

    if len(word) > 60:
        return ""
    best = min(known, key=lambda candidate: distance(word.lower(), candidate.lower()))
    return best if distance(word.lower(), best.lower()) <= max(2, len(word) // 4) else ""


@line_rule(
    "nginx-emerg",
    "[emerg]",
    r"\[emerg\] \d+#\d+: (?P<what>.*?)(?: in (?P<file>\S+?):(?P<line>\d+))?$|\[emerg\] (?P<bare>.*)$",
    source="nginx's [emerg] messages",
)
def nginx(hit: Hit) -> Hypothesis | None:
    """nginx will not start with this configuration."""
    what, file, line = hit.get("what") or hit.get("bare"), hit.get("file"), hit.get("line")
    if (
        re.search(r"bind\(\)|host not found|cannot load certificate|SSL_CTX|PEM|Permission denied|No such file", what)
        and "host not found" not in what
    ):
        return None
    word = re.search(r"\"([^\"]+)\"", what)
    name = word.group(1) if word else ""
    if "host not found" in what:
        return None
    right = nearest(name) if "unknown directive" in what else ""
    hint = f": write {right} instead of {name}" if right and right != name else ""
    shown = hit.scene.in_release(file) if file else "nginx.conf"
    first, *rest = correct_file(shown, line, f"{quoted(what)}{hint}", hit.scene, "nginx -t")
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"nginx refuses its configuration{f' {shown} line {line}' if file else ''}: {quoted(what)}{hint}",
        0.95,
        (first, *rest),
        names=(shown,),
    )


@line_rule(
    "apache-config",
    "ah00526|ah00534|perhaps misspelled|ah00112|ah00489|syntax error on line|invalid command '",
    r"Syntax error on line (?P<line>\d+) of (?P<file>\S+?):|Invalid command '(?P<cmd>[^']+)'|AH00534: .*",
    source="Apache httpd's AH messages",
)
def apache(hit: Hit) -> Hypothesis | None:
    """Apache httpd will not start with this configuration."""
    around = hit.document.window(hit.index, 1, 2)
    cmd = re.search(r"Invalid command '([^']+)'", around)
    file = re.search(r"Syntax error on line (\d+) of (\S+?):", around)
    name = cmd.group(1) if cmd else ""
    right = nearest(name) if name else ""
    module = " (a module that defines it may not be loaded)" if name and not right else ""
    hint = f"; {name} is not known{module}{f', write {right}' if right and right != name else ''}" if name else ""
    shown = hit.scene.in_release(file.group(2)) if file else "httpd.conf"
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"Apache refuses its configuration {shown}{f' line {file.group(1)}' if file else ''}{hint}: {quoted(around)}",
        0.94,
        correct_file(
            shown,
            file.group(1) if file else "",
            f"{name or 'see the message'}{hint}",
            hit.scene,
            "apachectl configtest",
        ),
        names=(shown,),
    )


@line_rule(
    "haproxy-config",
    "[alert]",
    r"\[ALERT\].*(?:parsing|config)[^\[\n]*\[(?P<file>[^:\]]+):(?P<line>\d+)\]\s*:?\s*(?P<what>.*)|\[ALERT\][^\n]*config : (?P<other>(?:Proxy|proxy|backend|frontend|parsing)[^\n]*)",
    source="HAProxy's [ALERT] messages",
)
def haproxy(hit: Hit) -> Hypothesis | None:
    """HAProxy will not start with this configuration."""
    if not hit.get("file"):  # what it finds after it has read all files has no line
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"HAProxy refuses its configuration: {quoted(hit.get('other'))}",
            0.93,
            correct_file("haproxy.cfg", "", quoted(hit.get("other")), hit.scene, "haproxy -c -f haproxy.cfg"),
            names=("haproxy.cfg",),
        )
    shown = hit.scene.in_release(hit.get("file"))
    word = re.search(r"'([^']+)'", hit.get("what"))
    right = nearest(word.group(1)) if word else ""
    hint = f"; write {right} instead of {word.group(1)}" if word and right and right != word.group(1) else ""
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"HAProxy refuses {shown} line {hit.get('line')}: {quoted(hit.get('what'))}{hint}",
        0.95,
        correct_file(shown, hit.get("line"), f"{quoted(hit.get('what'))}{hint}", hit.scene, f"haproxy -c -f {shown}"),
        names=(shown,),
    )


@line_rule(
    "app-not-found-in-module",
    "failed to find attribute|error loading asgi app|failed to parse|failed to find application object|could not import|no module named|import string|couldn't find a|not found in module",
    r"Failed to find attribute '(?P<attr>\w+)' in '(?P<mod>[\w.]+)'|Attribute \"(?P<attr2>\w+)\" not found in module \"(?P<mod2>[\w.]+)\"|Could not import module \"(?P<mod3>[\w.]+)\"|Failed to find application object '(?P<attr4>\w+)' in '(?P<mod4>[\w.]+)'|Import string \"(?P<str>[^\"]+)\" must be in format|Failed to parse '(?P<str2>[^']+)' as an attribute name",
    source="gunicorn, uvicorn, hypercorn, flask run",
)
def application(hit: Hit) -> Hypothesis | None:
    """The start command names an application object that the module does not have."""
    attr = hit.get("attr") or hit.get("attr2") or hit.get("attr4")
    module = hit.get("mod") or hit.get("mod2") or hit.get("mod3") or hit.get("mod4")
    if not module:
        given = hit.get("str") or hit.get("str2")
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"The application {given} in the start command is not in the form module:attribute: {hit.line}",
            0.9,
            (
                high(
                    f"Name the application as module:attribute instead of {given}",
                    "Correct the start command",
                    "uvicorn main:app",
                ),
            ),
        )
    if not attr:
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"The module {module} in the start command cannot be imported: {hit.line}",
            0.9,
            (
                high(
                    f"Correct the module {module} in the start command",
                    f"The server looks for {module.replace('.', '/')}.py from its working directory: correct the name, the working directory (--chdir, --app-dir), or ship the file",
                    f"ls {module.replace('.', '/')}.py",
                ),
            ),
            names=(module,),
        )
    other = "app" if attr != "app" else "application"
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The start command asks for {module}:{attr}, but the module {module} has no attribute {attr}: {hit.line}",
        0.95,
        (
            high(
                f"Correct the application name in the start command: {module}:{other}",
                f"Name the attribute that {module.replace('.', '/')}.py defines (for example {module}:{other}), or define or rename it to {attr} there",
                f"{module}:{other}   # or in {module.replace('.', '/')}.py: {attr} = {other}",
            ),
            commit(".", "Correct the start command"),
        ),
        names=(module, attr),
    )


@line_rule(
    "worker-timeout",
    "worker timeout|worker was sent sigabrt",
    r"WORKER TIMEOUT \(pid:\s?(?P<pid>\d+)\)",
    source="gunicorn's arbiter",
)
def worker_timeout(hit: Hit) -> Hypothesis | None:
    """gunicorn kills a worker that does not answer in time."""
    return Hypothesis(
        FailureType.TIMEOUT,
        f"A gunicorn worker did not answer within its time limit and was killed (a slow start, a slow request or a blocked dependency): {hit.line}",
        0.6,
        (
            high(
                "Find what blocks the worker, or give it more time",
                "Raise --timeout, load less at import, and put time limits on calls to other services",
                "gunicorn --timeout 120 ...",
            ),
        ),
    )


@line_rule(
    "host-not-allowed",
    "disallowedhost|allowed_hosts|invalid http_host|invalid host header|blocked host|trustedhost",
    r"Invalid HTTP_HOST header: '?(?P<host>[^'.\s][^'\s]*)'?|DisallowedHost|Invalid host header|Blocked hosts?:? ?(?P<rails>\S*)",
    source="Django's ALLOWED_HOSTS, Rails' config.hosts, Starlette's TrustedHost",
)
def host_not_allowed(hit: Hit) -> Hypothesis | None:
    """The framework answers only to listed host names."""
    host = hit.get("host") or hit.get("rails")
    setting = "config.hosts" if "Blocked host" in hit.line else "ALLOWED_HOSTS"
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"Requests are answered with 400 because the Host header {host} is not in {setting}: {hit.line}",
        0.93,
        (
            high(
                f"Add {host or 'the host name'} to {setting}",
                f"{setting} must hold every Host header that users and probes send ({host})",
                f'{setting} = ["{host}", "localhost"]',
            ),
            medium(
                "Or let the probe send an allowed Host header",
                "httpHeaders in the probe",
                "httpGet: {path: /, port: 8080, httpHeaders: [{name: Host, value: shop.example.com}]}",
            ),
        ),
        names=(setting, host),
    )


@line_rule(
    "framework-configuration",
    "improperlyconfigured|systemcheckerror|configurationerror|invalid configuration|bad configuration|invalidconfiguration|configuration error|configuration property|failed to bind properties|secret_key|missing `secret_key_base`|configerror",
    r"ImproperlyConfigured: (?P<django>.+)|SystemCheckError|(?:Configuration|Config)Error: (?P<conf>.+)|Failed to bind properties under '(?P<spring>[^']+)'|[Ii]nvalid configuration:? (?P<inv>.+)|Missing `(?P<rails>secret_key_base)`",
    source="Django, Spring, Rails",
)
def framework(hit: Hit) -> Hypothesis | None:
    """A framework that says what it dislikes in its settings."""
    what = next((v for v in hit.match.groupdict().values() if v), "").strip() or hit.line
    if hit.document.role == "step" and hit.scene.step_type in ("quality", "security"):
        return None
    below = hit.document.window(hit.index, 0, 8)
    value = re.search(r"(?:Value|Reason|Property): .*", below)
    reasons = "; ".join(m.strip() for m in re.findall(r"(?:Property|Value|Reason): .*", below))
    missing = re.search(
        r"must not be empty|is not set|missing|required|not configured|must be set", what, re.IGNORECASE
    )
    name = re.search(r"\b([A-Z][A-Z0-9_]{3,}|[a-z]+(?:[.-][a-z-]+)+)\b", what)
    shown = name.group(1) if name else "the setting"
    kind = FailureType.MISSING_CONFIGURATION if missing else FailureType.INVALID_CONFIGURATION
    return Hypothesis(
        kind,
        f"The configuration of {shown} is {'missing' if missing else 'invalid'}{hit.at}: {quoted(what)}{f' ({quoted(reasons, 200)})' if reasons else ''}: {hit.line}",
        0.84,
        (
            high(
                f"{'Set' if missing else 'Correct'} {shown}",
                f"{'Define' if missing else 'Change'} {shown} in the settings or environment: {quoted(what, 160)}{' ' + quoted(value.group(0)) if value else ''}",
                f"{shown}=<value>",
            ),
        ),
        names=(shown,),
    )


@line_rule(
    "django-check",
    ".e0|.e1|.e2|.e3|.e4|.e9",
    r"^(?P<obj>\S+): \((?P<code>\w+\.E\d+)\) (?P<what>.+)$",
    source="Django's system checks",
    most=1,
)
def django_check(hit: Hit) -> Hypothesis | None:
    """One error of manage.py check: models and URLs are code, the rest is settings."""
    code, obj = hit.get("code"), hit.get("obj")
    hint = re.search(r"HINT: (.+)", hit.document.window(hit.index + 1, 0, 2))
    own = code.split(".")[0] in ("fields", "models", "urls", "admin", "auth", "contenttypes", "templates")
    file = (
        "models.py"
        if code.split(".")[0] in ("fields", "models")
        else "urls.py"
        if code.startswith("urls")
        else "admin.py"
        if code.startswith("admin")
        else "settings.py"
    )
    return Hypothesis(
        FailureType.CODE_ERROR if own else FailureType.INVALID_CONFIGURATION,
        f"Django's system check fails for {obj} ({code}): {quoted(hit.get('what'))}",
        0.94,
        (high(f"Correct {obj} in {file}", f"{quoted(hit.get('what'))}{'. ' + hint.group(1) if hint else ''}", "python manage.py check"), commit(file, f"Fix {code}")),
        names=(obj, file),
    )  # fmt: skip
