"""Which package a file or module belongs to, and whether it is the application's own."""

from __future__ import annotations

import re
import sys

# Import name -> name to install, where they differ (from the packages' own metadata).
PYTHON_DISTRIBUTIONS = {
    "yaml": "PyYAML", "cv2": "opencv-python-headless", "PIL": "Pillow", "sklearn": "scikit-learn", "bs4": "beautifulsoup4",
    "dotenv": "python-dotenv", "jwt": "PyJWT", "dateutil": "python-dateutil", "MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary",
    "google.protobuf": "protobuf", "grpc": "grpcio", "serial": "pyserial", "usb": "pyusb", "git": "GitPython", "magic": "python-magic",
    "OpenSSL": "pyOpenSSL", "Crypto": "pycryptodome", "nacl": "PyNaCl", "attr": "attrs", "pkg_resources": "setuptools",
    "jose": "python-jose", "multipart": "python-multipart", "ldap": "python-ldap", "docx": "python-docx", "pptx": "python-pptx",
    "flask_sqlalchemy": "Flask-SQLAlchemy", "flask_cors": "Flask-Cors", "rest_framework": "djangorestframework",
    "corsheaders": "django-cors-headers", "environ": "django-environ", "zmq": "pyzmq", "skimage": "scikit-image", "Levenshtein": "python-Levenshtein",
    "kafka": "kafka-python", "pymongo": "pymongo", "bson": "pymongo", "fitz": "PyMuPDF", "slugify": "python-slugify", "telegram": "python-telegram-bot",
    "mpl_toolkits": "matplotlib", "win32api": "pywin32", "memcache": "python-memcached", "markdown": "Markdown", "jinja2": "Jinja2",
    "werkzeug": "Werkzeug", "flask": "Flask", "django": "Django", "sqlalchemy": "SQLAlchemy", "markupsafe": "MarkupSafe",
    "distutils": "setuptools", "socks": "PySocks", "ruamel": "ruamel.yaml", "azure": "azure-core", "pythonjsonlogger": "python-json-logger",
}  # fmt: skip
NODE_BUILTINS = frozenset(
    [
        "assert",
        "async_hooks",
        "buffer",
        "child_process",
        "cluster",
        "console",
        "constants",
        "crypto",
        "dgram",
        "diagnostics_channel",
        "dns",
        "domain",
        "events",
        "fs",
        "http",
        "http2",
        "https",
        "inspector",
        "module",
        "net",
        "os",
        "path",
        "perf_hooks",
        "process",
        "punycode",
        "querystring",
        "readline",
        "repl",
        "stream",
        "string_decoder",
        "sys",
        "timers",
        "tls",
        "trace_events",
        "tty",
        "url",
        "util",
        "v8",
        "vm",
        "wasi",
        "worker_threads",
        "zlib",
    ]
)
_SITE = re.compile(r"(?:site-packages|dist-packages)/([^/\s]+)")
_NODE = re.compile(r"node_modules/(?:\.pnpm/[^/]+/node_modules/)?((?:@[^/\s]+/)?[^/\s:]+)")
_GEM = re.compile(r"/gems/([A-Za-z0-9_-]+?)-\d[\w.]*/")
_VENDOR_RUBY = re.compile(r"/vendor_ruby/(?!rubygems|bundler)([A-Za-z0-9_-]+)")
_CARGO = re.compile(r"/registry/src/[^/]+/([A-Za-z0-9_-]+?)-\d[\w.+-]*/")
_GO = re.compile(r"/pkg/mod/([^@\s]+)@([^/\s]+)")
_COMPOSER = re.compile(r"/vendor/([\w.-]+/[\w.-]+)/")
_FOREIGN = re.compile(
    r"site-packages|dist-packages|node_modules|<frozen|<string>|^node:|^internal/|/rustc/|/usr/(?:local/)?go/src/|/pkg/mod/|/gems/"
    r"|/registry/src/|/vendor/|/usr/lib/|/usr/local/lib/(?:python|ruby|node)|/lib/python\d|/opt/python|\.venv/bin/|/usr/(?:local/)?bin/"
    r"|/pip-(?:install|build-env|req-build|wheel)-|GOROOT|runtime/(?:panic|proc)\.go|<anonymous>|<internal:"
)
_JAVA_FOREIGN = re.compile(
    r"^(?:java|javax|jdk|sun|com\.sun|kotlin|scala|groovy|org\.(?:springframework|apache|hibernate|eclipse|junit|jboss|flywaydb|gradle|"
    r"codehaus|postgresql|mockito|opentest4j|slf4j|mariadb|h2|hsqldb|sqlite|jooq|yaml|quartz|bouncycastle|elasticsearch|opensearch|neo4j|keycloak|glassfish|thymeleaf|mybatis|ehcache|infinispan|jetbrains)|com\.(?:mysql|zaxxer|fasterxml|google|mongodb|microsoft|rabbitmq|amazonaws|datastax|typesafe|auth0|nimbusds|squareup|hazelcast|oracle|ibm|clickhouse|stripe|twilio|sendgrid|github\.(?:benmanes|dockerjava))|io\.(?:netty|lettuce|"
    r"micronaut|quarkus|grpc|undertow|vertx|confluent|kubernetes|fabric8|minio|nats|opentelemetry|micrometer|github\.resilience4j|dropwizard|sentry|jsonwebtoken|smallrye|swagger)|software\.amazon|okhttp3|retrofit2|picocli|jakarta|redis\.clients|reactor|liquibase|ch\.qos|Microsoft|System|Npgsql|Newtonsoft|MySql|"
    r"StackExchange|Grpc|RabbitMQ|Serilog|NUnit|Xunit)\."
)


def package_of(path: str) -> str | None:
    """The installed package that a file belongs to ("urllib3", "@nestjs/core", "rack"); None for the application's own."""
    site = _SITE.search(path)
    if site:
        name = site.group(1).removesuffix(".py")
        if name == "google" and "google/protobuf" in path:
            return "protobuf"
        return PYTHON_DISTRIBUTIONS.get(name, name)
    for pattern in (_NODE, _GEM, _VENDOR_RUBY, _CARGO, _GO, _COMPOSER):
        matches = pattern.findall(path)
        if matches:
            last = matches[-1]
            return last if isinstance(last, str) else last[0]
    return None


def is_own_file(path: str) -> bool:
    """True for a file that is neither of a package nor of the language's own library."""
    return bool(path) and _FOREIGN.search(path) is None and not path.startswith("node:")


def is_own_java(symbol: str) -> bool:
    """True for a class outside the well-known frameworks and the runtime."""
    return _JAVA_FOREIGN.match(symbol) is None


def distribution_of(module: str) -> str:
    """What to install for an import name: `google.protobuf.x` -> `protobuf`, `yaml` -> `PyYAML`, `httpx_sse` as it is."""
    for length in (3, 2, 1):
        name = ".".join(module.split(".")[:length])
        if name in PYTHON_DISTRIBUTIONS:
            return PYTHON_DISTRIBUTIONS[name]
    return module.split(".")[0]


def is_python_stdlib(module: str) -> bool:
    """True for a module that comes with Python itself."""
    return module.split(".")[0] in sys.stdlib_module_names


def is_node_builtin(module: str) -> bool:
    """True for a module that comes with Node.js itself."""
    return module.startswith("node:") or module.split("/")[0] in NODE_BUILTINS
