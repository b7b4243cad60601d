"""Databases, queues and services that cannot be reached, refuse the credentials, or show a wrong certificate."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule
from failback.diagnosis.rules.addresses import NOT_HOSTS, address_in
from failback.diagnosis.scene import Scene
from failback.model.diagnosis import FailureType, Recommendation

PORTS = {"5432": "PostgreSQL", "3306": "MySQL", "6379": "Redis", "27017": "MongoDB", "5672": "RabbitMQ", "9092": "Kafka", "9200": "Elasticsearch",
         "1433": "SQL Server", "1521": "Oracle", "11211": "Memcached", "2181": "ZooKeeper", "4222": "NATS", "9042": "Cassandra", "8500": "Consul", "2379": "etcd",
         "8200": "Vault", "25": "the mail server", "587": "the mail server", "1025": "the mail server", "389": "LDAP", "26257": "CockroachDB"}  # fmt: skip
_KINDS = (
    ("PostgreSQL", r"postgres|psycopg|pg[_.-]|asyncpg|npgsql|pgx|\bpq:|node_modules/pg/|PG::|SQLSTATE\[08006\]"),
    ("MySQL", r"mysql|mariadb|pymysql|SQLSTATE\[HY000\] \[2002\]"),
    ("Redis", r"redis|lettuce|jedis|sidekiq"),
    ("MongoDB", r"mongo"),
    ("RabbitMQ", r"rabbit|amqp|pika|kombu|celery"),
    ("Kafka", r"kafka|bootstrap broker|bootstrap server"),
    ("Elasticsearch", r"elasticsearch|opensearch"),
    ("SQL Server", r"sqlclient|sql server|mssql|tedious|pyodbc"),
    ("Memcached", r"memcache"),
    ("Vault", r"\bvault\b|hvac"),
    ("ClickHouse", r"clickhouse"),
    ("Cassandra", r"cassandra|scylla"),
    ("Oracle", r"oracledb|cx_oracle|ora-\d{5}"),
    ("NATS", r"\bnats\b"),
    ("LDAP", r"\bldap"),
    ("MQTT", r"mqtt"),
    ("Neo4j", r"neo4j"),
)


def target_of(hit: Hit, reach: int = 6) -> tuple[str, str, str]:
    """(what it is, host, port) of the thing that was called, from the line, the lines near it, and the trace's packages."""
    line = hit.document.lines[hit.index]
    host, port = address_in(line)
    if (not host or not port) and (
        asked := re.search(r"on host \"([^\"]+)\"[\s\S]{0,80}?port (\d+)", hit.document.window(hit.index, 0, 3))
    ):
        host, port = asked.groups()
    if (not host or not port) and hit.trace:  # the messages of the chain say it better than lines of code
        for raised in reversed(hit.trace.chain):
            found = address_in(raised.message)
            if found[1] and host in ("", found[0]):
                host, port = found
                break
    if not host or not port:
        near = hit.document.window(hit.index, 3, reach)
        near_host, near_port = address_in(near)
        if not host:
            host, port = near_host, port or near_port
        elif near_host == host:
            port = port or near_port
    trace = hit.trace
    if not host or host in ("localhost", "127.0.0.1"):
        named, named_port = _called(hit)
        if named and (not host or named_port == port):
            host, port = named, named_port or port
    around = " ".join((line, *(trace.packages() if trace else ()), *(r.type for r in (trace.chain if trace else ()))))
    kind = next((name for name, pattern in _KINDS if re.search(pattern, around, re.IGNORECASE)), "") or PORTS.get(
        port, ""
    )
    if not kind:
        kind = next((name for name, pattern in _KINDS if re.search(pattern, host, re.IGNORECASE)), "")
    return kind, host, port


_URL = re.compile(r"\b[a-z][a-z0-9+.]*://(?:[^@/\s\"']*@)?(?P<host>[\w.-]+)(?::(?P<port>\d{2,5}))?")


def _called(hit: Hit) -> tuple[str, str]:
    """(host, port) of an address that the trace's own line or outer message, or the lines just before it, name."""
    trace = hit.trace
    texts: list[str] = []
    if trace:
        frame = trace.own_frame()
        texts += [raised.message for raised in reversed(trace.chain)]
        texts += [frame.code] if frame else []
    start = trace.start if trace else hit.index
    texts += [hit.document.lines[i] for i in range(start - 1, max(start - 7, -1), -1)]
    for text in texts:
        match = _URL.search(text)
        if match and match.group("host") not in NOT_HOSTS and "." in match.group("host") + ".":
            return match.group("host"), match.group("port") or ""
        host, port = address_in(text) if text and ("refused" in text or "connect" in text.lower()) else ("", "")
        if host and port:
            return host, port
    return "", ""


def place_named(kind: str, host: str, port: str) -> str:
    where = f"{host}:{port}" if host and port else host or (f"port {port}" if port else "")
    return " at ".join(part for part in (kind, where) if part) or "a service it needs"


def _reach_fixes(scene: Scene, kind: str, host: str, port: str) -> tuple[Recommendation, ...]:
    name = kind or host or "the service"
    where = f"{host}:{port}" if host and port else host or port or name
    variable = {
        "PostgreSQL": "DATABASE_URL",
        "MySQL": "DATABASE_URL",
        "Redis": "REDIS_URL",
        "MongoDB": "MONGODB_URI",
        "RabbitMQ": "AMQP_URL",
        "Kafka": "KAFKA_BROKERS",
    }.get(kind, "the configured address")
    what = "database" if kind in ("PostgreSQL", "MySQL", "MongoDB", "SQL Server") else "service"
    local = host in ("localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0")
    here = " In a container localhost is the container itself: use the name of the service instead." if local else ""
    probe = (
        f"kubectl run --rm -it reach --image=busybox --restart=Never -- nc -zv {host or '<host>'} {port or '<port>'}"
        if scene.on_kubernetes
        else f"nc -zv {host or '<host>'} {port or '<port>'}"
    )
    return (
        high(
            f"Start {name} or correct its address ({where})",
            f"Nothing answers at {where}: make sure that the {what} {kind} runs and listens there, or set {variable} (host and port) to where it is.{here}",
            probe,
        ),
        high(
            "Check the network between the two",
            f"A firewall, security group, NetworkPolicy or wrong network may block {where}",
            "kubectl get svc,endpoints,networkpolicy" if scene.on_kubernetes else f"ss -ltn | grep {port or host}",
        ),
        medium(
            f"Let the service wait for {name}",
            f"Retry the connection with a time limit at start, so that a short outage of {name} does not fail a release",
            "",
        ),
    )


@line_rule(
    "connection-refused",
    "refused|econnrefused|could not connect|can't connect|unable to connect|cannot connect|failed to connect|couldn't connect|actively refused|no route to host|ehostunreach|network is unreachable|enetunreach|connectexception|connection error|nobrokersavailable|no brokers|server selection|serverselection|unreachable|not reachable|cannot reach|can't reach|lost connection|connection closed|connection lost|connection is closed|gone away|not available at|unavailable|(?:un|not )reachable|(?:cannot|can't|could not|unable to) reach|lost connection|[Cc]onnection (?:is |was |has been )?(?:closed|lost|terminated|dropped)|server has gone away|(?:database|server|broker|service|host) (?:is )?(?:unavailable|not available|down)|communications link failure|socket hang up|econnreset|connection reset|connection has been dropped|connection has been closed|connection is dropped|unable to reach|host is down|os error 111|errno 111",
    r"connection refused|ECONNREFUSED|could not connect|can'?t connect|unable to connect|cannot connect|failed to connect|couldn't connect|actively refused|no route to host|EHOSTUNREACH|network is unreachable|ENETUNREACH|ConnectException|NoBrokersAvailable|no brokers?\b.*available|server ?selection ?(?:timeout|error)|(?:un|not )reachable|(?:cannot|can't|could not|unable to) reach|lost connection|[Cc]onnection (?:is |was |has been )?(?:closed|lost|terminated|dropped)|server has gone away|(?:database|server|broker|service|host) (?:is )?(?:unavailable|not available|down)\b|communications link failure|socket hang up|ECONNRESET|connection reset by peer|Errno 111|os error 111",
    source="errno ECONNREFUSED, EHOSTUNREACH, ENETUNREACH; texts of the database clients",
)
def refused(hit: Hit) -> Hypothesis | None:
    """Nobody listens there, or no way leads there."""
    line, low = hit.line, hit.line.lower()
    if hit.scene.is_probe_line(hit.document, hit.index):
        return None
    if (
        "unreachable=0" in low or "not be null" in low
    ):  # Ansible's recap of a host that was reached; no address was given
        return None
    if any(
        word in low
        for word in (
            "refused: not authori",
            "refused: bad user",
            "docker daemon",
            "docker.sock",
            "pg_hba",
            "server error: fatal",
            "password",
            "x509",
            "certificate",
            "ssl routines",
            "no such host",
            "name or service",
            "registry",
            "tls handshake",
        )
    ):
        return None
    if "ENOTFOUND " in line or "getaddrinfo" in low or "name resolution" in low or "translate host name" in low:
        return None
    kind, host, port = target_of(hit)
    if hit.document.role == "step" and hit.scene.step_type in ("build", "docker") and not kind:
        return _download(hit, host, "cannot be reached (no network, proxy or DNS)")
    weak = not re.search(
        r"refused|111|actively|could not connect|can.?t connect|unable to connect|failed to connect|no route|unreachable|reachable|ECONN|EHOST|ENET|Connect|server ?selection|brokers|link failure",
        line,
        re.IGNORECASE,
    )
    if weak and not (host or kind):
        return None
    listening = (
        "the connection was refused (nothing listens there)"
        if re.search(r"refused|111|actively", low + hit.document.window(hit.index, 0, 3).lower())
        else "it cannot be reached"
    )
    return Hypothesis(
        FailureType.DEPENDENCY_UNREACHABLE,
        f"{place_named(kind, host, port)} is not reachable: {listening}{hit.at}: {line}",
        0.8 if weak else 0.93 if host or port else 0.78 if kind else 0.66,
        _reach_fixes(hit.scene, kind, host, port),
        affected=tuple(part for part in (kind or host,) if part),
        names=tuple(part for part in (host, port) if len(part) > 3),
        facts={"host": host, "port": port},
    )


def _download(hit: Hit, host: str, why: str) -> Hypothesis:
    """In a build the thing that cannot be reached is where packages come from."""
    what = next(
        (
            m.group(1)
            for text in reversed(hit.document.lines[max(hit.index - 6, 0) : hit.index + 4])
            if (
                m := re.search(
                    r"(?:versions for provider|latest version of|provider|package|module|gem|crate|fetching|downloading|resolving)\W{1,4}([@\w][\w./@-]{2,80})",
                    text,
                    re.IGNORECASE,
                )
            )
        ),
        "",
    )
    name = f" for {what}" if what else ""
    place = ":".join(part for part in address_in(hit.line) if part) or host
    return Hypothesis(
        FailureType.DEPENDENCY_RESOLUTION,
        f"Packages cannot be downloaded{name}: {host or 'the package index'} {why}: {hit.line}",
        0.85 if host else 0.72,
        (
            high(f"Restore the way to {place or 'the package index'}", f"Check network, proxy, DNS and the address of the host (registry, Git remote or mirror) where the step runs{name}, then run the build again; a mirror or vendored packages make it independent", f"curl -v https://{host or 'HOST'}/"),
        ),
        names=(host, what),
    )  # fmt: skip


@line_rule(
    "name-not-resolved",
    " enotfound|\"enotfound|'enotfound|(enotfound|eai_again|name or service not known|temporary failure in name resolution|could not translate host|no such host|nodename nor servname|unknown host|unknownhost|name resolution|could not resolve host|getaddrinfo|failed to resolve|nxdomain|cannot resolve host|no address associated|name does not resolve|host not found|failed to lookup address",
    r"\b(?-i:ENOTFOUND)\b|\bEAI_AGAIN\b|Name or service not known|Temporary failure in name resolution|could not translate host name|no such host|nodename nor servname|unknown ?host|name resolution|could not resolve host|getaddrinfo (?:failed|for)|NXDOMAIN|Failed to resolve|No address associated|Name does not resolve|host not found in upstream|failed to lookup address",
    source="getaddrinfo errors EAI_NONAME and EAI_AGAIN in each language's words",
)
def unresolved(hit: Hit) -> Hypothesis | None:
    """The name has no address."""
    low = hit.line.lower()
    if "docker" in low or "pull" in low or "manifest" in low or "container registry" in low:
        return None
    named = re.search(
        r"(?:ENOTFOUND|EAI_AGAIN|lookup|host name|host:|UnknownHostException:?|Unknown host|upstream|resolve|getaddrinfo for|unknown host|Name or service not known:?|host) [\"'(]?(?P<a>[\w-]+(?:\.[\w-]+)*)|hostname: '(?P<b>[^']+)'|host='(?P<c>[^']+)'|//(?:[^@/\s]*@)?(?P<d>[\w.-]+)[:/]|\('(?P<e>[\w.-]+)', \d+\)|\((?P<f>[\w.-]+):\d+\)|(?P<g>[\w-]+(?:\.[\w-]+)+) on [\d.]+:53",
        hit.document.window(hit.index, 1, 1) if hit.document.role == "step" else hit.document.window(hit.index, 0, 1), re.IGNORECASE)  # fmt: skip
    host = (
        next(
            (
                v
                for v in named.groups()
                if v
                and not v.endswith(("Error", "Exception"))
                and v.lower() not in NOT_HOSTS
                and v.lower() not in ("name", "on", "in", "from", "by")
            ),
            "",
        )
        if named
        else ""
    )
    kind, near_host, _port = target_of(hit)
    host = host or near_host
    if hit.document.role == "step" and hit.scene.step_type in ("build", "docker"):
        return _download(hit, host, "has no address (DNS, host name not resolved)")
    return Hypothesis(
        FailureType.DEPENDENCY_UNREACHABLE,
        f"The host name {host or 'of a service it needs'} cannot be resolved by DNS{f' ({kind})' if kind else ''}{hit.at}: {hit.line}",
        0.94 if host else 0.8,
        (
            high(f"Correct the host name {host}", f"DNS does not know {host or 'the name'}: check its spelling and the namespace or domain in the setting that names it, and that the service with this name exists",
                 f"kubectl get svc -A | grep {host.split('.')[0]}" if hit.scene.on_kubernetes else f"getent hosts {host}"),
            medium("Check DNS where the service runs", "If the name is right, the resolver or network of the host is at fault", f"nslookup {host}"),
        ),
        affected=(host,) if host else (),
        names=(host,) if len(host) > 3 else (),
        facts={"host": host},
    )  # fmt: skip


@line_rule(
    "connection-timeout",
    "timed out|etimedout|timeout|deadline exceeded|queuepool limit",
    r"connect(?:ion|ing)?\b[^\n]{0,80}(?:timed? ?out|timeout)|ETIMEDOUT|timeout of \d+ ?ms exceeded[^\n]{0,60}(?:ECONNABORTED|https?:)|AxiosError: timeout of \d+ ?ms exceeded|(?:read|connect|socket|pool|query|request|command)\w* ?time(?:d )?out|ConnectTimeout|SocketTimeoutException|dial tcp [^\n]*(?:i/o timeout|deadline exceeded)|context deadline exceeded|Timeout(?:Error)?: .*(?:connect|server|pool|host)|QueuePool limit|connection is not available, request timed out|Operation timed out",
    source="errno ETIMEDOUT and the clients' own limits",
)
def timed_out(hit: Hit) -> Hypothesis | None:
    """It does not answer in time."""
    low = hit.line.lower()
    if hit.scene.is_probe_line(hit.document, hit.index):
        return None
    if any(
        word in low
        for word in (
            "worker timeout",
            "ssl",
            "tls handshake",
            "registry",
            "probe",
            "jest",
            "test timeout",
            "exceeded timeout of",
            "duplicate base class",
        )
    ):
        return None
    if hit.document.role == "step" and hit.scene.step_type in ("build", "docker", "test"):
        return None
    if re.search(r"\b\w*timeout\w*\s*[=:]\s*\d", hit.line, re.IGNORECASE):  # a setting is shown, nothing timed out
        return None
    kind, host, port = target_of(hit)
    if not (host or kind):
        return Hypothesis(
            FailureType.DEPENDENCY_UNREACHABLE,
            f"Something it needs does not answer in time{hit.at}: {hit.line}",
            0.5,
            _reach_fixes(hit.scene, "", "", ""),
        )
    pool = "the pool of connections is exhausted or " if "pool" in low or "is not available" in low else ""
    return Hypothesis(
        FailureType.DEPENDENCY_UNREACHABLE,
        f"{place_named(kind, host, port)} does not answer: {pool}the connection timed out{hit.at}: {hit.line}",
        0.87 if host else 0.74,
        _reach_fixes(hit.scene, kind, host, port),
        affected=(kind or host,),
        names=tuple(part for part in (host, port) if len(part) > 3),
        facts={"host": host, "port": port},
    )
