"""Siblings of failures that were recorded: the same mechanism in other libraries' words, and texts that only look like it.

A row of SAID must be understood; a row of ALIKE names a rule that must not speak there.
"""

from __future__ import annotations

import pytest

from failback.diagnosis import diagnose
from failback.diagnosis.engine import hypotheses
from failback.diagnosis.scene import Scene
from failback.model.evidence import Evidence, LogPair, MemorySample, ReplicaEvidence
from tests.diagnosis.test_wordings import evidence

# kind of step, type, what the cause must name, what was printed
SAID = [
    ("deploy", "missing_configuration", "payments.url", "Failed to start application\njava.util.NoSuchElementException: SRCFG00014: The config property payments.url is required but it could not be found in any config source"),
    ("deploy", "missing_configuration", "db:host", "Error: Missing required keys: db:host, db:port\n    at Provider.required (/app/node_modules/nconf/lib/nconf/provider.js:261:11)\n    at Object.<anonymous> (/app/index.js:4:6)"),
    ("deploy", "missing_configuration", "billing.key", 'Error: Configuration property "billing.key" is not defined\n    at Config.get (/app/node_modules/config/lib/config.js:179:11)\n    at Object.<anonymous> (/app/index.js:3:14)'),
    ("deploy", "invalid_configuration", "port", "voluptuous.error.MultipleInvalid: expected int for dictionary value @ data['port']"),
    ("deploy", "invalid_configuration", "advertise", "error verifying flags, --initial-advertise-peer-urls must be specified"),
    ("deploy", "invalid_configuration", "password", "Error: Could not load store from 'keystore.p12'\nCaused by: java.io.IOException: keystore password was incorrect"),
    ("deploy", "invalid_configuration", "WORKER_COUNT", "thread 'main' panicked at src/main.rs:9:40:\nWORKER_COUNT: ParseIntError { kind: InvalidDigit }"),
    ("deploy", "code_error", "Clock", "/app/node_modules/inversify/lib/cjs/index.js:12\n        throw new Error(msg);\n\nError: No matching bindings found for serviceIdentifier: Clock\n    at Object.<anonymous> (/app/main.js:9:5)"),
    ("deploy", "code_error", "Mailer", "PHP Fatal error:  Uncaught Illuminate\\Contracts\\Container\\BindingResolutionException: Target [App\\Mailer] is not instantiable. in /app/vendor/laravel/framework/src/Container.php:1194"),
    ("deploy", "missing_dependency", "mysql2", "Error: Please install mysql2 package manually\n    at ConnectionManager._loadDialectModule (/app/node_modules/sequelize/lib/abstract.js:81:15)\n    at Object.<anonymous> (/app/db.js:2:9)"),
    ("deploy", "missing_dependency", "openpyxl", "Traceback (most recent call last):\n  File \"/app/report.py\", line 4, in <module>\n    pd.read_excel('a.xlsx')\nImportError: Missing optional dependency 'openpyxl'.  Use pip or conda to install openpyxl."),
    ("deploy", "missing_dependency", "mysql", '2026/01/01 10:00:00 sql: unknown driver "mysql" (forgotten import?)'),
    ("build", "build_failure", "packge", 'error: no such command: `packge`\n\nhelp: a command with a similar name exists: `package`'),
    ("build", "build_failure", "assets", "rake aborted!\nDon't know how to build task 'assets:precompil' (See the list of available tasks with `rake --tasks`)"),
    ("build", "build_failure", "pakage", '[ERROR] Unknown lifecycle phase "pakage". You must specify a valid lifecycle phase'),
    ("build", "build_failure", "BASE_IMAGE", "ERROR: failed to solve: base name (${BASE_IMAGE}) should not be blank"),
    ("deploy", "missing_file", "incomplete", "Traceback (most recent call last):\n  File \"/app/deploy.py\", line 3, in <module>\n    zipfile.ZipFile('release.zip')\nzipfile.BadZipFile: File is not a zip file"),
    ("deploy", "missing_file", "/srv/shop", "start.sh: line 3: cd: /srv/shop: No such file or directory"),
    ("test", "test_failure", "no tests", "No tests found, exiting with code 1\nRun with `--passWithNoTests` to exit with code 0"),
    ("build", "dependency_resolution", "lock file", "[PdmUsageError]: Lock file hash doesn't match pyproject.toml, packages may be outdated\nSee pdm.lock"),
    ("build", "dependency_resolution", "react", "ERR_PNPM_PEER_DEP_ISSUES  Unmet peer dependencies\n\n.\n└─┬ react-dom 17.0.2\n  └── ✕ unmet peer react@17.0.2: found 18.2.0"),
    ("verify", "dependency_unreachable", "db:5432", "wait-for-it.sh: timeout occurred after waiting 15 seconds for db:5432"),
    ("quality", "quality_violation", "license", 'Package "left-pad@1.3.0" is licensed under "WTFPL" which is not permitted by the --onlyAllow flag. Exiting.'),
    ("quality", "quality_violation", "subject-case", "✖   subject must not be sentence-case, start-case [subject-case]\n\n✖   found 1 problems, 0 warnings"),
    ("deploy", "migration_failed", "db/changelog.xml", "     db/changelog.xml::7::ann was: 8:1b2c but is now: 8:9f00"),
    ("build", "build_failure", "numpy", "  error: subprocess-exited-with-error\n      File \"/tmp/pip-install-a/fastlib/setup.py\", line 3, in <module>\n        import numpy\n      ModuleNotFoundError: No module named 'numpy'\nerror: metadata-generation-failed"),
    # an option that the program does not know
    ("deploy", "bad_command", "--prot", "Error: unknown flag: --prot\nUsage:\n  relay serve [flags]"),
    ("deploy", "bad_command", "prot", "error: unexpected argument '--prot' found\n\nUsage: relay [OPTIONS]"),
    # a secret that the client needs
    ("deploy", "missing_configuration", "password", "Error: SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string\n    at Client._handleAuthSASLContinue (/app/node_modules/pg/lib/client.js:276:18)"),
    ("deploy", "missing_configuration", "secret", "Error: secret option required for sessions\n    at session (/app/node_modules/express-session/index.js:200:12)\n    at Object.<anonymous> (/app/app.js:9:9)"),
    # a statement that the database refuses while migrations run
    ("deploy", "migration_failed", "0007", 'psql:db/migrations/0007_add_total.sql:3: ERROR:  column "total" of relation "orders" already exists'),
    # a library says itself that what was called is gone
    ("deploy", "version_incompatibility", "openai", "Traceback (most recent call last):\n  File \"/app/ask.py\", line 4, in <module>\n    openai.ChatCompletion.create()\n  File \"/app/.venv/lib/python3.11/site-packages/openai/lib/_old_api.py\", line 39, in __call__\n    raise APIRemovedInV1(symbol=self._symbol)\nopenai.lib._old_api.APIRemovedInV1: You tried to access openai.ChatCompletion, but this is no longer supported in openai>=1.0.0 - see the migration guide"),
    ("deploy", "version_incompatibility", "scikit-learn", "Traceback (most recent call last):\n  File \"/app/model.py\", line 3, in <module>\n    e = OneHotEncoder(sparse=False)\nTypeError: OneHotEncoder.__init__() got an unexpected keyword argument 'sparse'"),
    ("build", "missing_dependency", "nextest", "error: no such command: `nextest`\n\nhelp: view all installed commands with `cargo --list`"),
    ("docker", "missing_dependency", "compose", "docker: 'compose' is not a docker command.\nSee 'docker --help'"),
    ("test", "missing_dependency", "pytest-xdist", "ERROR: usage: pytest [options] [file_or_dir] [file_or_dir] [...]\npytest: error: unrecognized arguments: -n 4"),
    ("deploy", "bad_command", ".tsx", 'TypeError [ERR_UNKNOWN_FILE_EXTENSION]: Unknown file extension ".tsx" for /app/src/server.tsx\n    at Object.getFileProtocolModuleFormat [as file:] (node:internal/modules/esm/get_format:189:9)'),
    ("deploy", "code_error", "recursion", "runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow"),
    ("deploy", "missing_file", "/run/app/web.sock", "ERROR: could not create Unix socket \"/run/app/web.sock\": No such file or directory"),
    ("build", "invalid_configuration", "ClusterNotFoundException", "An error occurred (ClusterNotFoundException) when calling the UpdateService operation: Cluster not found."),
    ("deploy", "quota_exceeded", "LimitExceeded", "An error occurred (LimitExceededException) when calling the CreateFunction operation: Rate exceeded"),
    ("test", "test_failure", "rounds", "Failures:\n1) price rounds half up\n  Message:\n    Expected 2 to be 3.\n  Stack:\n        at UserContext.<anonymous> (spec/price.spec.js:7:20)\n\n4 specs, 1 failure"),
    ("deploy", "dependency_unreachable", "/run/mysqld/mysqld.sock", "ERROR 2002 (HY000): Can't connect to local MySQL server through socket '/run/mysqld/mysqld.sock' (2)"),
    ("deploy", "dependency_unreachable", ".s.PGSQL.5432", 'psycopg.OperationalError: connection failed: connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: No such file or directory'),
    ("deploy", "code_error", "start.sh", "start.sh: line 3: [: : integer expression expected"),
    ("verify", "test_failure", "v8", "release is v7, expected v8"),
    ("verify", "tls_certificate", "another host", "curl: (60) SSL: no alternative certificate subject name matches target host name 'shop.internal'"),
    ("deploy", "dependency_auth", "credentials", "Error: Connection Refused: bad user name or password. (code 4)"),
    ("deploy", "missing_configuration", "SHOP_TOKEN", "java.lang.IllegalStateException: SHOP_TOKEN is required in the environment\n\tat App.main(App.java:3)"),
    # steps whose tool nobody here knows: what kind of step it is says the type
    ("build", "build_failure", "guide.md", "WARNING -  Doc file 'index.md' contains a link 'guide.md', but the target is not found\n\nAborted with 1 warnings in strict mode!"),
    ("quality", "quality_violation", "total", "frobcheck 1.2\nerror: the name total is used for two things\n1 error"),
    ("security", "vulnerability_found", "keys.py", '{"results": [{"path": "keys.py", "line": 3, "message": "Possible hardcoded password"}]}'),
]  # fmt: skip

ALIKE = [
    ("setting-not-found", "deploy", "Error: Invalid value for config key 'mode' is required to be one of: a, b; must be one of a, b"),
    ("setting-schema", "deploy", "WARN request payload refused: ValidationError: 'x' is not of type 'integer'"),
    ("install-asked", "deploy", "npm notice New major version of npm available! Run npm install -g npm@11 to update!"),
    ("install-asked", "build", "[notice] To update, run: pip install --upgrade pip"),
    ("task-unknown", "deploy", 'ERROR worker: Task "orders.sync" not found in the queue'),
    ("archive-broken", "deploy", "unexpected end of file while reading the client's request"),
    ("folder-entered-in-vain", "deploy", "run.sh: line 2: cd: $'/app\\r': No such file or directory"),
    ("no-tests-ran", "test", "1 passed, 3 deselected in 0.11s"),
    ("injection-unresolved", "quality", "src/a.ts:3:1 comment says: No provider for Clock"),
    ("start-option-unknown", "deploy", "ERR unknown command 'FOO', with args beginning with:"),
    ("start-option-unknown", "deploy", 'nginx: [emerg] unknown directive "prox_pass" in nginx.conf:3, invalid option: x'),
    ("credential-absent", "deploy", "TypeError: argument key must be of type string. Received undefined"),
    ("migration-sql-error", "deploy", 'ERROR:  relation "orders" does not exist at character 15'),
    ("commit-message", "deploy", "the commit message must be signed"),
    ("api-removed-said", "deploy", "Traceback (most recent call last):\n  File \"/app/jobs.py\", line 9, in run\n    raise ValueError('the order was removed in the meantime')\nValueError: the order was removed in the meantime"),
    ("argument-dropped", "deploy", "Traceback (most recent call last):\n  File \"/app/jobs.py\", line 9, in run\n    Job(limit=3)\nTypeError: Job.__init__() got an unexpected keyword argument 'limit'"),
    ("tls", "deploy", "TypeError: boom\n    at Object.getFileProtocolModuleFormat [as file:] (node:internal/modules/esm/get_format:189:9)\n    at tls.unsupported protocol (node:internal/x:1:1)"),
    ("answer-other-than-expected", "deploy", "queue depth is 3, expected 0"),
    ("unix-socket-unreachable", "docker", "error: dial unix /var/run/docker.sock: connect: no such file or directory"),
    ("shell-arithmetic", "deploy", "orders: 3: too many arguments were sent by the caller, ignored"),
    ("step-ends", "build", "bash: line 1: frob: command not found\nerror: the build failed"),
    ("step-ends", "deploy", "error: the name total is used for two things"),
    ("subcommand-not-installed", "build", "error: no such command: `biuld`"),
    ("stack-overflow", "quality", "a.py:3: see stack overflow for an explanation"),
    ("socket-folder-missing", "deploy", "open /etc/app.conf: No such file or directory; the socket is /run/a.sock"),
    ("connection-refused", "deploy", "localhost : ok=3 changed=1 unreachable=0 failed=0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "kind", "named", "text"), SAID, ids=lambda value: value[:34] if len(value) > 20 else ""
)
def test_a_sibling_is_understood(step, kind, named, text):
    found = diagnose(evidence(step, text))

    assert found.type == kind, found.cause
    assert named.lower() in found.cause.lower()
    assert any(fix.priority == "HIGH" for fix in found.recommendations)


@pytest.mark.parametrize(("rule", "step", "text"), ALIKE, ids=lambda value: value[:34])
def test_a_rule_does_not_speak_where_only_the_words_are_alike(rule, step, text):
    found, defects = hypotheses(Scene(evidence(step, text)))

    assert rule not in [hypothesis.rule for hypothesis in found]
    assert not defects


MIB = 1024 * 1024


def killed(lived_s: float) -> Evidence:
    """A replica whose memory rose from its start until the kernel killed it."""
    samples = tuple(MemorySample(lived_s * i / 10, (20 + 8 * i) * MIB) for i in range(11))
    replica = ReplicaEvidence(
        "web-1",
        137,
        oom_killed=True,
        lived_s=lived_s,
        memory_limit_bytes=100 * MIB,
        memory_samples=samples,
    )
    return Evidence(
        target="local", exit_code=137, replicas=(replica,), logs={"web-1/app": LogPair("loading the model")}
    )


def test_memory_that_rises_within_the_first_seconds_is_a_limit_and_no_leak():
    assert diagnose(killed(lived_s=2.0)).type == "memory_limit"


def test_memory_that_rises_over_a_minute_is_a_leak():
    assert diagnose(killed(lived_s=60.0)).type == "memory_leak"
