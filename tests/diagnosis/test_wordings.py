"""What runtimes, databases, package managers and tools say, one sentence each: the type, and the thing that it names.

The sentences are the programs' own formats. Recorded failures are elsewhere (tests/cases): this table holds wordings that no reproduction
here has produced, so that the rules cover siblings of what was seen.
"""

from __future__ import annotations

import pytest

from failback.diagnosis import diagnose
from failback.model.evidence import Evidence, FailedStep, LogPair

STEPS = {"build": 1, "test": 2, "quality": 3, "security": 4, "docker": 5, "verify": 6, "deploy": 7}
# kind of step, type, what the cause must name, what was printed
SAID = [
    ("deploy", "port_conflict", "443", "2026/01/01 00:00:00 listen tcp :443: bind: permission denied"),
    (
        "deploy",
        "port_conflict",
        "80",
        "Error: listen EACCES: permission denied 0.0.0.0:80\n    at Server.setupListenHandle [as _listen2] (node:net:1800:21)\n    at listenInCluster (node:net:1865:12) {\n  code: 'EACCES',\n  errno: -13,\n  syscall: 'listen',\n  address: '0.0.0.0',\n  port: 80\n}",
    ),
    (
        "deploy",
        "port_conflict",
        "80",
        "(13)Permission denied: AH00072: make_sock: could not bind to address [::]:80\nno listening sockets available, shutting down",
    ),
    ("deploy", "port_conflict", "80", "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)"),
    (
        "deploy",
        "port_conflict",
        "",
        'Exception in thread "main" java.net.BindException: Permission denied\n\tat java.base/sun.nio.ch.Net.bind0(Native Method)\n\tat com.acme.App.main(App.java:9)',
    ),
    (
        "deploy",
        "port_conflict",
        "5432",
        'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\nHINT:  Is another postmaster already running on port 5432? If not, wait a few seconds and retry.\nFATAL:  could not create any TCP/IP sockets',
    ),
    (
        "deploy",
        "port_conflict",
        "3306",
        "[ERROR] [MY-010262] [Server] Can't start server: Bind on TCP/IP port: Address already in use\n[ERROR] [MY-010257] [Server] Do you already have another mysqld server running on port: 3306 ?",
    ),
    (
        "deploy",
        "port_conflict",
        "80",
        "[ALERT]    (12) : Starting frontend web: cannot bind socket (Address already in use) [0.0.0.0:80]",
    ),
    (
        "deploy",
        "port_conflict",
        "8080",
        "thread 'main' panicked at src/main.rs:9:10:\ncalled `Result::unwrap()` on an `Err` value: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }\nlistening on 0.0.0.0:8080",
    ),
    (
        "deploy",
        "port_conflict",
        "8000",
        "[2026-01-01 00:00:00 +0000] [7] [ERROR] Connection in use: ('0.0.0.0', 8000)\n[2026-01-01 00:00:00 +0000] [7] [ERROR] Retrying in 1 second.",
    ),
    (
        "deploy",
        "port_conflict",
        "8000",
        "[Thu Jan  1 00:00:00 2026] Failed to listen on localhost:8000 (reason: Address already in use)",
    ),
    (
        "deploy",
        "port_conflict",
        "5000",
        "Unhandled exception. System.IO.IOException: Failed to bind to address http://127.0.0.1:5000: address already in use.\n ---> Microsoft.AspNetCore.Connections.AddressInUseException: Address already in use\n   at Program.<Main>$(String[] args) in /src/Program.cs:line 12",
    ),
    (
        "deploy",
        "port_conflict",
        "4000",
        "** (Mix) Could not start application shop: exited in: Shop.Application.start(:normal, [])\n    ** (EXIT) an exception was raised: listen error: :eaddrinuse port 4000",
    ),
    (
        "deploy",
        "port_conflict",
        "8080",
        "***************************\nAPPLICATION FAILED TO START\n***************************\n\nDescription:\n\nWeb server failed to start. Port 8080 was already in use.",
    ),
    # db refused
    (
        "deploy",
        "dependency_unreachable",
        "5432",
        'psycopg2.OperationalError: could not connect to server: Connection refused\n\tIs the server running on host "db" (10.0.0.3) and accepting\n\tTCP/IP connections on port 5432?',
    ),
    (
        "deploy",
        "dependency_unreachable",
        "3306",
        "django.db.utils.OperationalError: (2003, \"Can't connect to MySQL server on 'mysql:3306' (111)\")",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "redis",
        "redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "mongo",
        "pymongo.errors.ServerSelectionTimeoutError: mongo:27017: [Errno 111] Connection refused (configured timeouts: socketTimeoutMS: 20000.0ms), Timeout: 30s",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "kafka",
        "kafka.errors.NoBrokersAvailable: NoBrokersAvailable\nbootstrap_servers=['kafka:9092']",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "elasticsearch",
        "elastic_transport.ConnectionError: Connection error caused by: ConnectionError(Connection error caused by: NewConnectionError(<urllib3.connection.HTTPConnection object at 0x7>: Failed to establish a new connection: [Errno 111] Connection refused))\nhttp://elasticsearch:9200",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "db",
        "Error: Can't reach database server at `db:5432`\n\nPlease make sure your database server is running at `db:5432`.",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "10.0.0.9",
        "panic: failed to connect to `host=10.0.0.9 user=app database=shop`: dial error (dial tcp 10.0.0.9:5432: connect: no route to host)",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "mysql",
        "SequelizeConnectionRefusedError: connect ECONNREFUSED 10.1.1.4:3306\n    at Client._callback (/app/node_modules/sequelize/lib/dialects/mysql/connection-manager.js:92:17)",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "rabbit",
        "[error] amqp connection failed: dial tcp 10.0.0.4:5672: connect: connection refused rabbitmq",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "db.internal",
        "SQLSTATE[HY000] [2002] php_network_getaddresses: getaddrinfo for db.internal failed: Name or service not known",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "cache",
        "Error: getaddrinfo ENOTFOUND cache.shop.svc\n    at GetAddrInfoReqWrap.onlookup [as oncomplete] (node:dns:107:26) {\n  errno: -3008,\n  code: 'ENOTFOUND',\n  syscall: 'getaddrinfo',\n  hostname: 'cache.shop.svc'\n}",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "db",
        "com.zaxxer.hikari.pool.HikariPool$PoolInitializationException: Failed to initialize pool: The connection attempt failed.\nCaused by: java.net.UnknownHostException: db\n\tat java.base/java.net.Socket.connect(Socket.java:1)",
    ),
    (
        "deploy",
        "dependency_unreachable",
        "5433",
        'PG::ConnectionBad: connection to server at "127.0.0.1", port 5433 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?',
    ),
    (
        "deploy",
        "dependency_unreachable",
        "50051",
        'grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.5:50051: Failed to connect to remote host: Connection refused"',
    ),
    (
        "deploy",
        "dependency_unreachable",
        "etcd",
        '{"level":"fatal","msg":"cannot reach etcd","error":"context deadline exceeded","endpoint":"etcd-0:2379"}',
    ),
    # auth
    ("deploy", "dependency_auth", "shop", 'FATAL:  password authentication failed for user "shop"'),
    (
        "deploy",
        "dependency_auth",
        "app",
        "ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.2' (using password: YES)",
    ),
    (
        "deploy",
        "dependency_auth",
        "",
        "redis.exceptions.AuthenticationError: invalid username-password pair or user is disabled.",
    ),
    (
        "deploy",
        "dependency_auth",
        "",
        "pymongo.errors.OperationFailure: Authentication failed., full error: {'ok': 0.0, 'errmsg': 'Authentication failed.', 'code': 18}",
    ),
    (
        "deploy",
        "dependency_auth",
        "guest",
        "amqp.exceptions.AccessRefused: (0, 0): (403) ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile. user guest",
    ),
    (
        "deploy",
        "dependency_auth",
        "sa",
        "Microsoft.Data.SqlClient.SqlException (0x80131904): Login failed for user 'sa'.",
    ),
    (
        "deploy",
        "dependency_auth",
        "",
        "org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed: Invalid username or password",
    ),
    ("deploy", "dependency_auth", "", "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Error: authentication failed')"),
    (
        "deploy",
        "dependency_auth",
        "",
        "elasticsearch.AuthenticationException: AuthenticationException(401, 'security_exception', 'unable to authenticate user [elastic] for REST request [/]')",
    ),
    # env
    ("deploy", "missing_configuration", "STRIPE_KEY", "KeyError: 'STRIPE_KEY'"),
    (
        "deploy",
        "missing_configuration",
        "SECRET_KEY_BASE",
        "** (RuntimeError) environment variable SECRET_KEY_BASE is missing.\nYou can generate one by calling: mix phx.gen.secret",
    ),
    ("deploy", "missing_configuration", "DB_HOST", "panic: required key DB_HOST missing value"),
    ("deploy", "missing_configuration", "API_TOKEN", 'Error: required environment variable "API_TOKEN" is not set'),
    (
        "deploy",
        "missing_configuration",
        "DATABASE_URL",
        "error: Environment variable not found: DATABASE_URL.\n  -->  schema.prisma:3",
    ),
    (
        "deploy",
        "missing_configuration",
        "connectionString",
        "Unhandled exception. System.ArgumentNullException: Value cannot be null. (Parameter 'connectionString')\n   at Program.<Main>$(String[] args) in /src/Program.cs:line 8\nConnectionStrings",
    ),
    (
        "deploy",
        "missing_configuration",
        "payment.api.url",
        "Caused by: java.lang.IllegalArgumentException: Could not resolve placeholder 'payment.api.url' in value \"${payment.api.url}\"",
    ),
    (
        "deploy",
        "missing_configuration",
        "APP_KEY",
        "Illuminate\\Encryption\\MissingAppKeyException: No application encryption key has been specified.",
    ),
    ("deploy", "missing_configuration", "MAIL_FROM", "Missing required env vars: MAIL_FROM, MAIL_HOST"),
    # files
    ("deploy", "missing_file", "config.toml", "Error: open config.toml: no such file or directory"),
    (
        "deploy",
        "missing_file",
        "settings.json",
        "Error: ENOENT: no such file or directory, open '/app/settings.json'\n    at Object.openSync (node:fs:601:3)\n    at Object.<anonymous> (/app/server.js:3:1)",
    ),
    ("deploy", "missing_file", "app.jar", "Error: Unable to access jarfile app.jar"),
    (
        "deploy",
        "missing_file",
        "server.js",
        "node:internal/modules/cjs/loader:1143\n  throw err;\n  ^\n\nError: Cannot find module '/app/dist/server.js'\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1140:15) {\n  code: 'MODULE_NOT_FOUND',\n  requireStack: []\n}",
    ),
    (
        "deploy",
        "missing_file",
        "appsettings.Production.json",
        "Unhandled exception. System.IO.FileNotFoundException: The configuration file 'appsettings.Production.json' was not found and is not optional. The expected physical path was '/app/appsettings.Production.json'.",
    ),
    ("deploy", "missing_file", "templates/index.html", "jinja2.exceptions.TemplateNotFound: templates/index.html"),
    (
        "deploy",
        "missing_file",
        "model.pkl",
        "FileNotFoundError: [Errno 2] No such file or directory: 'models/model.pkl'",
    ),
    # permissions
    (
        "deploy",
        "filesystem_permission",
        "/var/log/app",
        "PermissionError: [Errno 13] Permission denied: '/var/log/app/app.log'",
    ),
    (
        "deploy",
        "filesystem_permission",
        "/data",
        "java.nio.file.AccessDeniedException: /data/index\n\tat com.acme.Store.open(Store.java:10)",
    ),
    ("deploy", "filesystem_permission", "/var/lib", "mkdir: cannot create directory '/var/lib/app': Permission denied"),
    ("deploy", "filesystem_permission", "/cache", "open /cache/x.db: read-only file system"),
    (
        "deploy",
        "filesystem_permission",
        "storage/logs",
        'The stream or file "/var/www/storage/logs/laravel.log" could not be opened in append mode: Failed to open stream: Permission denied',
    ),
    # deps
    ("deploy", "bad_command", "gunicorn", "sh: 1: gunicorn: not found"),
    ("deploy", "missing_dependency", "psycopg2", "ModuleNotFoundError: No module named 'psycopg2'"),
    (
        "deploy",
        "missing_dependency",
        "express",
        "Error: Cannot find module 'express'\nRequire stack:\n- /app/server.js",
    ),
    (
        "deploy",
        "missing_dependency",
        "libpq",
        "ImportError: libpq.so.5: cannot open shared object file: No such file or directory",
    ),
    ("deploy", "missing_dependency", "pg", "LoadError: cannot load such file -- pg"),
    (
        "deploy",
        "missing_dependency",
        "Npgsql",
        "Unhandled exception. System.IO.FileNotFoundException: Could not load file or assembly 'Npgsql, Version=8.0.0.0, Culture=neutral'. The system cannot find the file specified.",
    ),
    ("deploy", "missing_dependency", "ffmpeg", "FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'"),
    (
        "deploy",
        "missing_dependency",
        "com.mysql",
        "Caused by: java.lang.ClassNotFoundException: com.mysql.cj.jdbc.Driver",
    ),
    (
        "deploy",
        "missing_dependency",
        "mb_strlen",
        "PHP Fatal error:  Uncaught Error: Call to undefined function mb_strlen() in /app/src/a.php:3",
    ),
    # platform / version
    ("deploy", "platform_mismatch", "exec format", "exec /usr/local/bin/docker-entrypoint.sh: exec format error"),
    ("deploy", "platform_mismatch", "", "/app/server: cannot execute binary file: Exec format error"),
    (
        "deploy",
        "version_incompatibility",
        "GLIBC_2.34",
        "/app/server: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /app/server)",
    ),
    (
        "deploy",
        "version_incompatibility",
        "class file",
        "Error: LinkageError occurred while loading main class App\n\tjava.lang.UnsupportedClassVersionError: App has been compiled by a more recent version of the Java Runtime (class file version 65.0), this version of the Java Runtime only recognizes class file versions up to 61.0",
    ),
    (
        "deploy",
        "version_incompatibility",
        "8.0",
        "You must install or update .NET to run this application.\n\nApp: /app/Shop.dll\nFramework: 'Microsoft.AspNetCore.App', version '8.0.0' (x64)",
    ),
    (
        "deploy",
        "version_incompatibility",
        "NODE_MODULE_VERSION",
        "Error: The module '/app/node_modules/bcrypt/lib/binding/napi-v3/bcrypt_lib.node'\nwas compiled against a different Node.js version using\nNODE_MODULE_VERSION 93. This version of Node.js requires\nNODE_MODULE_VERSION 115.",
    ),
    (
        "deploy",
        "version_incompatibility",
        "14",
        "FATAL:  database files are incompatible with server\nDETAIL:  The data directory was initialized by PostgreSQL version 14, which is not compatible with this version 16.1.",
    ),
    # tls
    (
        "deploy",
        "tls_certificate",
        "api.example.com",
        "requests.exceptions.SSLError: HTTPSConnectionPool(host='api.example.com', port=443): Max retries exceeded with url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)')))",
    ),
    (
        "deploy",
        "tls_certificate",
        "",
        'Post "https://vault:8200/v1/auth": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    ),
    (
        "deploy",
        "tls_certificate",
        "",
        "javax.net.ssl.SSLHandshakeException: PKIX path building failed: sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target\n\tat com.acme.A.b(A.java:1)",
    ),
    (
        "deploy",
        "tls_certificate",
        "",
        "Error [ERR_TLS_CERT_ALTNAME_INVALID]: Hostname/IP does not match certificate's altnames: Host: db.internal. is not in the cert's altnames: DNS:db.shop.local",
    ),
    (
        "deploy",
        "tls_certificate",
        "",
        'nginx: [emerg] SSL_CTX_use_PrivateKey("/etc/tls/tls.key") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)',
    ),
    # migrations
    (
        "deploy",
        "migration_failed",
        "",
        'django.db.utils.ProgrammingError: column shop_order.currency does not exist\nLINE 1: SELECT "shop_order"."id"',
    ),
    (
        "deploy",
        "migration_failed",
        "",
        'sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedTable) relation "invoices" does not exist',
    ),
    (
        "deploy",
        "migration_failed",
        "20260101",
        'StandardError: An error has occurred, this and all later migrations canceled:\n\nPG::DuplicateColumn: ERROR:  column "sku" of relation "items" already exists\n/app/db/migrate/20260101_add_sku.rb:3:in `change\'',
    ),
    (
        "deploy",
        "migration_failed",
        "",
        "org.flywaydb.core.api.exception.FlywayValidateException: Validate failed: Migrations have failed validation\nMigration checksum mismatch for migration version 7\n-> Applied to database : 1\nV7",
    ),
    ("deploy", "migration_failed", "", "error: Dirty database version 12. Fix and force version."),
    (
        "deploy",
        "migration_failed",
        "P3009",
        "Error: P3009\n\nmigrate found failed migrations in the target database, new migrations will not be applied.",
    ),
    (
        "deploy",
        "migration_failed",
        "orders",
        "Error: ER_CANT_DROP_FIELD_OR_KEY: Can't DROP 'idx_orders'; check that column/key exists\nmigration 003_drop_idx.sql failed orders",
    ),
    (
        "deploy",
        "migration_failed",
        "null",
        'psycopg2.errors.NotNullViolation: column "tax" of relation "orders" contains null values\n[SQL: ALTER TABLE orders ALTER COLUMN tax SET NOT NULL]\nalembic upgrade head',
    ),
    (
        "deploy",
        "migration_failed",
        "liquibase",
        'Unexpected error running Liquibase: Migration failed for changeset db/changelog.xml::4::bob:\n     Reason: liquibase.exception.DatabaseException: ERROR: relation "orders" already exists [Failed SQL: CREATE TABLE orders]',
    ),
    (
        "deploy",
        "migration_failed",
        "",
        'goose run: ERROR 20260102_x.sql: failed to run SQL migration: failed to execute SQL query "ALTER TABLE a": ERROR: relation "a" does not exist (SQLSTATE 42P01)',
    ),
    # config
    (
        "deploy",
        "invalid_configuration",
        "",
        'yaml.scanner.ScannerError: mapping values are not allowed here\n  in "config.yaml", line 3, column 9',
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        "SyntaxError: /app/config.json: Unexpected token } in JSON at position 42\n    at JSON.parse (<anonymous>)\n    at Object.<anonymous> (/app/a.js:3:1)",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        'level=error ts=2026 caller=main.go:1 msg="Error loading config (--config.file=/etc/prometheus/prometheus.yml)" err="parsing YAML file /etc/prometheus/prometheus.yml: yaml: unmarshal errors:\\n  line 5: field scrape_configz not found in type config.plain"',
    ),
    ("deploy", "bad_command", "--listn", "Error: unknown flag: --listn\nUsage:\n  app serve [flags]"),
    (
        "deploy",
        "invalid_configuration",
        "server.port",
        "Description:\n\nFailed to bind properties under 'server.port' to java.lang.Integer:\n\n    Property: server.port\n    Value: \"abc\"\n    Reason: failed to convert java.lang.String to java.lang.Integer",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        "django.core.exceptions.ImproperlyConfigured: 'django.db.backends.postgres' isn't an available database backend or couldn't be imported.",
    ),
    ("deploy", "invalid_configuration", "", "mysqld: [ERROR] unknown variable 'inodb_buffer_pool_size=1G'."),
    (
        "deploy",
        "invalid_configuration",
        "",
        "Error: Invalid value for 'LOG_LEVEL': 'verbos' is not one of 'debug', 'info'.",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        "AH00526: Syntax error on line 12 of /etc/apache2/sites-enabled/shop.conf:\nInvalid command 'ProxyPas', perhaps misspelled or defined by a module not included in the server configuration",
    ),
    # disk, limits
    ("deploy", "disk_full", "", "OSError: [Errno 28] No space left on device: '/data/out.bin'"),
    (
        "deploy",
        "disk_full",
        "",
        'ERROR:  could not extend file "base/1/2": No space left on device\nHINT:  Check free disk space.',
    ),
    (
        "deploy",
        "memory_limit",
        "",
        "<--- Last few GCs --->\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    ),
    ("deploy", "memory_limit", "", "java.lang.OutOfMemoryError: Java heap space\n\tat com.acme.A.b(A.java:3)"),
    ("deploy", "memory_limit", "", "fatal error: runtime: out of memory"),
    # test
    ("test", "test_failure", "cart", "FAIL src/cart.test.ts > cart > adds vat\nAssertionError: expected 116 to be 119"),
    ("test", "test_failure", "test_vat", "FAILED tests/test_vat.py::test_vat - assert 116 == 119"),
    (
        "test",
        "test_failure",
        "CartTest",
        "[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.05 s <<< FAILURE! -- in com.acme.CartTest\n[ERROR] com.acme.CartTest.addsVat -- Time elapsed: 0.01 s <<< FAILURE!\norg.opentest4j.AssertionFailedError: expected: <119> but was: <116>\n\tat com.acme.CartTest.addsVat(CartTest.java:12)",
    ),
    (
        "test",
        "test_failure",
        "CartTest",
        "CartTest > addsVat() FAILED\n    org.opentest4j.AssertionFailedError: expected: <119> but was: <116>\n        at CartTest.addsVat(CartTest.java:12)\n\n3 tests completed, 1 failed",
    ),
    (
        "test",
        "test_failure",
        "vat",
        "Failures:\n\n  1) Cart adds vat\n     Failure/Error: expect(cart.total).to eq(119)\n\n       expected: 119\n            got: 116\n     # ./spec/cart_spec.rb:5\n\nrspec ./spec/cart_spec.rb:4 # Cart adds vat",
    ),
    (
        "test",
        "test_failure",
        "CartTest::testVat",
        "There was 1 failure:\n\n1) Tests\\CartTest::testVat\nFailed asserting that 116 matches expected 119.\n\n/app/tests/CartTest.php:14\n\nFAILURES!",
    ),
    (
        "test",
        "test_failure",
        "vat",
        "The following tests FAILED:\n\t  2 - vat_test (Failed)\nErrors while running CTest",
    ),
    (
        "test",
        "test_failure",
        "vat",
        "[  FAILED  ] Cart.AddsVat (0 ms)\ncart_test.cc:12: Failure\nExpected equality of these values:\n  vat(100)\n    Which is: 116\n  119",
    ),
    (
        "test",
        "test_failure",
        "adds vat",
        "  1) test adds vat (CartTest)\n     test/cart_test.exs:5\n     Assertion with == failed\n     code:  assert Cart.vat(100) == 119\n     left:  116\n     right: 119",
    ),
    (
        "test",
        "test_failure",
        "login",
        "  1) [chromium] › login.spec.ts:5:1 › user can log in\n\n    Error: expect(locator).toBeVisible() failed\n\n    Expected: visible\n    Received: <element(s) not found>",
    ),
    # quality
    (
        "quality",
        "quality_violation",
        "Cart.java",
        "[ERROR] src/main/java/Cart.java:[12,5] (naming) MethodName: Name 'Vat' must match pattern",
    ),
    (
        "quality",
        "quality_violation",
        "cart.rb",
        "app/cart.rb:3:1: C: Layout/IndentationWidth: Use 2 (not 4) spaces for indentation.",
    ),
    ("quality", "quality_violation", "a.go", "a.go:3:2: should not use dot imports (ST1001)"),
    (
        "quality",
        "quality_violation",
        "Cart.php",
        " ------ --------------------\n  Line   src/Cart.php\n ------ --------------------\n  12     Method Cart::vat() has no return type specified.\n ------ --------------------\n\n [ERROR] Found 1 error",
    ),
    (
        "quality",
        "quality_violation",
        "deploy.yml",
        "deploy.yml\n  3:1       error    trailing spaces  (trailing-spaces)",
    ),
    (
        "quality",
        "quality_violation",
        "subject",
        "⧗   input: fixed stuff\n✖   subject may not be empty [subject-empty]\n✖   type may not be empty [type-empty]\n\n✖   found 2 problems, 0 warnings",
    ),
    # security
    (
        "security",
        "vulnerability_found",
        "lodash",
        "# npm audit report\n\nlodash  <4.17.21\nSeverity: high\nCommand Injection in lodash - https://github.com/advisories/GHSA-35jh-r3h4-6jhm",
    ),
    (
        "security",
        "vulnerability_found",
        "openssl",
        "Total: 1 (CRITICAL: 1)\n┌─────────┬───────────────┬──────────┬────────┬───────────────────┬───────────────┬──────┐\n│ openssl │ CVE-2026-0001 │ CRITICAL │ fixed  │ 3.0.1             │ 3.0.2         │ x    │",
    ),
    (
        "security",
        "vulnerability_found",
        "aws",
        "Finding:     AWS_KEY=REDACTED\nSecret:      REDACTED\nRuleID:      aws-access-token\nEntropy:     3.5\nFile:        config/prod.env\nLine:        3",
    ),
    (
        "security",
        "vulnerability_found",
        "S3",
        'Check: CKV_AWS_20: "S3 Bucket has an ACL defined which allows public READ access."\n\tFAILED for resource: aws_s3_bucket.assets\n\tFile: /main.tf:1-5',
    ),
    # build
    ("build", "build_failure", "App.kt", "e: file:///app/src/App.kt:3:5 Unresolved reference: foo"),
    (
        "build",
        "build_failure",
        "Program.cs",
        "/src/Program.cs(3,5): error CS0103: The name 'foo' does not exist in the current context [/src/Shop.csproj]",
    ),
    ("build", "build_failure", "main.swift", "/app/Sources/main.swift:3:5: error: cannot find 'foo' in scope"),
    ("build", "build_failure", "a.ts", "src/a.ts(3,5): error TS2304: Cannot find name 'foo'."),
    (
        "build",
        "build_failure",
        "index",
        "Error: Can't resolve './comp' in '/app/src'\nERROR in ./src/index.js 1:0-20\nModule not found: Error: Can't resolve './comp' in '/app/src'",
    ),
    (
        "build",
        "build_failure",
        "cart.ex",
        "== Compilation error in file lib/cart.ex ==\n** (CompileError) lib/cart.ex:3: undefined function foo/0",
    ),
    (
        "build",
        "missing_dependency",
        "openssl",
        "error: failed to run custom build command for `openssl-sys v0.9.99`\n  Could not find directory of OpenSSL installation, and this `-sys` crate cannot proceed without this knowledge.",
    ),
    (
        "build",
        "missing_dependency",
        "gcc",
        '# runtime/cgo\ncgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH',
    ),
    (
        "build",
        "missing_dependency",
        "python",
        "gyp ERR! find Python You need to install the latest version of Python.\ngyp ERR! configure error",
    ),
    (
        "build",
        "missing_dependency",
        "cc",
        "error: linker `cc` not found\n  |\n  = note: No such file or directory (os error 2)",
    ),
    (
        "build",
        "dependency_resolution",
        "left-pad",
        "npm ERR! code E404\nnpm ERR! 404 Not Found - GET https://registry.npmjs.org/left-pad-x - Not found\nnpm ERR! 404  'left-pad-x@1.0.0' is not in this registry.",
    ),
    (
        "build",
        "dependency_resolution",
        "Foo",
        "/src/Shop.csproj : error NU1101: Unable to find package Foo.Bar. No packages exist with this id in source(s): nuget.org",
    ),
    (
        "build",
        "dependency_resolution",
        "phoenix",
        "** (Mix) Hex dependency resolution failed\nBecause your app depends on phoenix ~> 9.0 which doesn't match any versions, version solving failed.",
    ),
    (
        "build",
        "dependency_resolution",
        "nokogiri",
        "Could not find gem 'nokogiri (= 9.9)' in rubygems repository https://rubygems.org/ or installed locally.",
    ),
    ("build", "dependency_resolution", "curl", "E: Version '1.2.3' for 'curl' was not found"),
    (
        "build",
        "dependency_resolution",
        "foo",
        "ERROR: unable to select packages:\n  foo (no such package):\n    required by: world[foo]",
    ),
    (
        "docker",
        "image_not_found",
        "node:99",
        "ERROR: failed to solve: node:99: failed to resolve source metadata for docker.io/library/node:99: docker.io/library/node:99: not found",
    ),
    (
        "docker",
        "image_access_denied",
        "private",
        "ERROR: failed to solve: acme/private: failed to resolve source metadata for docker.io/acme/private:latest: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
    ),
    (
        "docker",
        "image_registry_unavailable",
        "",
        "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
    ),
    ("docker", "build_failure", "RUNN", "dockerfile parse error on line 3: unknown instruction: RUNN"),
    (
        "docker",
        "missing_file",
        "app.conf",
        'ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref abc::def: "/app.conf": not found',
    ),
    (
        "docker",
        "image_access_denied",
        "",
        "denied: requested access to the resource is denied\nThe push refers to repository [docker.io/acme/app]",
    ),
    ("verify", "dependency_unreachable", "shop.example", "curl: (6) Could not resolve host: shop.example"),
    (
        "verify",
        "rbac_forbidden",
        "s3:GetObject",
        'botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation: User: arn:aws:iam::1:user/ci is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::b/k"',
    ),
    (
        "verify",
        "rbac_forbidden",
        "storage.objects.get",
        "google.api_core.exceptions.Forbidden: 403 GET https://storage.googleapis.com/b: ci@p.iam.gserviceaccount.com does not have storage.objects.get access to the Google Cloud Storage object.",
    ),
    (
        "verify",
        "rbac_forbidden",
        "Microsoft.Storage",
        "(AuthorizationFailed) The client 'abc' with object id 'def' does not have authorization to perform action 'Microsoft.Storage/storageAccounts/read' over scope '/subscriptions/1' or the scope is invalid.",
    ),
    (
        "deploy",
        "rbac_forbidden",
        "secrets",
        'Error from server (Forbidden): secrets is forbidden: User "ci" cannot create resource "secrets" in API group "" in the namespace "shop"',
    ),
    (
        "deploy",
        "cpu_starvation",
        "cpu",
        "cpu.stat: nr_periods 400 nr_throttled 390 throttled_usec 38000000\nHikariPool-1 - Thread starvation or clock leap detected (housekeeper delta=1m3s)\nreadiness probe timed out",
    ),
    ("deploy", "bad_command", "", "/bin/sh: /app/start.sh: Permission denied"),
    ("deploy", "bad_command", "", "/usr/bin/env: 'bash\\r': No such file or directory"),
    (
        "deploy",
        "code_error",
        "",
        "TypeError: Cannot read properties of undefined (reading 'id')\n    at getOrder (/app/src/orders.js:12:20)\n    at Object.<anonymous> (/app/src/server.js:3:1)",
    ),
    (
        "deploy",
        "code_error",
        "",
        "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV]\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:12 +0x1d",
    ),
    (
        "deploy",
        "code_error",
        "",
        "app.rb:3:in `total': undefined method `price' for nil:NilClass (NoMethodError)\n\tfrom app.rb:9:in `<main>'",
    ),
    ("deploy", "code_error", "", "Segmentation fault (core dumped)"),
    # invalid configuration
    (
        "deploy",
        "invalid_configuration",
        "MAX_CONN",
        'Traceback (most recent call last):\n  File "/app/settings.py", line 7, in <module>\n    MAX_CONN = int(os.environ["MAX_CONN"])\nValueError: invalid literal for int() with base 10: \'ten\'',
    ),
    (
        "deploy",
        "invalid_configuration",
        "config/app.yml",
        "Error: /app/config/app.yml: yaml: line 12: did not find expected key",
    ),
    (
        "deploy",
        "invalid_configuration",
        "logback.xml",
        "ERROR in ch.qos.logback.core.joran.spi.Interpreter@24:60 - no applicable action for [appender-reff]\njava.lang.IllegalStateException: Logback configuration error detected: logback.xml",
    ),
    (
        "deploy",
        "invalid_configuration",
        "server.xml",
        'org.xml.sax.SAXParseException; systemId: file:/app/conf/server.xml; lineNumber: 12; columnNumber: 5; The element type "Connector" must be terminated by the matching end-tag "</Connector>".',
    ),
    (
        "deploy",
        "invalid_configuration",
        "application.yml",
        "Caused by: org.yaml.snakeyaml.scanner.ScannerException: while scanning for the next token\nfound character '\\t(TAB)' that cannot start any token. (Do not use \\t(TAB) for indentation)\n in 'reader', line 4, column 1:\nin application.yml",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        'Invalid configuration for environment variable PORT: expected number, got "abc"',
    ),
    (
        "deploy",
        "invalid_configuration",
        "cron",
        "ValueError: Wrong number of fields; got 4, expected 5 in cron expression '* * * *'",
    ),
    (
        "deploy",
        "invalid_configuration",
        "regex",
        "error: invalid regex in config routes[2].match: error parsing regexp: missing closing ): `^/api/(v1`",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        'Error: Cannot parse DATABASE_URL: invalid port number in "postgres://u:p@db:54x2/a"',
    ),
    ("deploy", "invalid_configuration", "", "config.ru:3: Rack::Builder error: RACK_ENV has invalid value 'prod'"),
    (
        "deploy",
        "invalid_configuration",
        "SMTP",
        "nodemailer: Error: Invalid configuration: secure must be a boolean, got 'yes' (SMTP_SECURE)",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        'docker-entrypoint: error: LOG_FORMAT must be one of: json, text (got "jsonn")',
    ),
    (
        "deploy",
        "invalid_configuration",
        "envoy",
        "[critical][main] error initializing configuration '/etc/envoy/envoy.yaml': Protobuf message (type envoy.config.bootstrap.v3.Bootstrap reason INVALID_ARGUMENT: could not find @type 'type.googleapis.com/x') has unknown fields",
    ),
    ("deploy", "invalid_configuration", "", 'Error: Bad key "timeot" in config file: did you mean "timeout"?'),
    (
        "deploy",
        "invalid_configuration",
        "gunicorn",
        "Error: class uri 'uvicorn.workers.UvicornWorkr' invalid or not found: gunicorn",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        "Kafka: org.apache.kafka.common.config.ConfigException: Invalid value abc for configuration session.timeout.ms: Not a number of type INT",
    ),
    (
        "deploy",
        "invalid_configuration",
        "",
        "java.lang.IllegalArgumentException: No enum constant com.acme.LogLevel.VERBOSE\n\tat java.base/java.lang.Enum.valueOf(Enum.java:273)\n\tat com.acme.Config.load(Config.java:14)",
    ),
    # leak
    (
        "deploy",
        "memory_leak",
        "",
        "\n".join(f"after {i * 100} requests: {60 + i * 15} MB" for i in range(12))
        + "\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    ),
    (
        "deploy",
        "memory_leak",
        "",
        "\n".join(f"[stats] goroutines={10 + i * 40} heap_alloc={12 + i * 9}MiB" for i in range(12))
        + "\nsignal: killed",
    ),
    (
        "deploy",
        "memory_leak",
        "",
        "\n".join(f"2026-01-01 INFO Memory usage: {100 + i * 20} MB, objects: {1000 + i * 300}" for i in range(10))
        + "\nMemoryError",
    ),
    # migration
    (
        "deploy",
        "migration_failed",
        "0007",
        '  Applying shop.0007_add_currency...Traceback (most recent call last):\n  File "/app/.venv/lib/python3.11/site-packages/django/db/backends/utils.py", line 89, in _execute\n    return self.cursor.execute(sql, params)\npsycopg2.errors.DuplicateColumn: column "currency" of relation "shop_order" already exists\n',
    ),
    (
        "deploy",
        "migration_failed",
        "users",
        'Migration failed: 20260105_add_index\nerror: could not create unique index "users_email_key"\nDETAIL:  Key (email)=(a@b.c) is duplicated.',
    ),
    (
        "deploy",
        "migration_failed",
        "",
        "sequelize-cli: == 20260101-add-x: migrating =======\nERROR: Cannot add foreign key constraint",
    ),
    (
        "deploy",
        "migration_failed",
        "",
        'FlywayException: Found non-empty schema(s) "public" but no schema history table. Use baseline() or set baselineOnMigrate to true to initialize the schema history table.',
    ),
    (
        "deploy",
        "migration_failed",
        "",
        "Error: Migration failed to apply cleanly to the shadow database.\nError code: P3006 Migration `20260101_init` failed",
    ),
    (
        "deploy",
        "migration_failed",
        "",
        "MigrationError: Migrations have failed: [knex] The migration directory is corrupt, the following files are missing: 003_add.js",
    ),
    (
        "deploy",
        "migration_failed",
        "orders",
        "org.hibernate.tool.schema.spi.SchemaManagementException: Schema-validation: missing column [currency] in table [orders]\n\tat com.acme.App.main(App.java:3)",
    ),
    (
        "deploy",
        "migration_failed",
        "",
        "ActiveRecord::PendingMigrationError: \n\nMigrations are pending. To resolve this issue, run:\n\n        bin/rails db:migrate\n",
    ),
    # platform / dlopen
    (
        "deploy",
        "platform_mismatch",
        "",
        "Error: /app/node_modules/better-sqlite3/build/Release/better_sqlite3.node: invalid ELF header",
    ),
    (
        "deploy",
        "platform_mismatch",
        "arm64",
        "The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64/v3) and no specific platform was requested\nexec /app/server: exec format error",
    ),
    (
        "deploy",
        "platform_mismatch",
        "",
        "ImportError: /app/lib/_speed.cpython-311-aarch64-linux-gnu.so: cannot open shared object file: wrong ELF class: ELFCLASS64",
    ),
    (
        "deploy",
        "platform_mismatch",
        "rollup",
        "Error: Cannot find module @rollup/rollup-linux-x64-musl. npm has a bug related to optional dependencies",
    ),
    # disk
    ("deploy", "disk_full", "", 'pq: could not write to file "pg_wal/xlogtemp.1": No space left on device'),
    (
        "deploy",
        "disk_full",
        "",
        "java.io.IOException: No space left on device\n\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)\n\tat com.acme.Store.put(Store.java:9)",
    ),
    (
        "deploy",
        "disk_full",
        "",
        "kafka: ERROR Error while appending records to orders-0 in dir /data (kafka.server.LogDirFailureChannel) java.io.IOException: No space left on device",
    ),
    (
        "build",
        "disk_full",
        "",
        "npm ERR! code ENOSPC\nnpm ERR! syscall write\nnpm ERR! errno -28\nnpm ERR! nospc ENOSPC: no space left on device, write",
    ),
    (
        "docker",
        "disk_full",
        "",
        "ERROR: failed to solve: failed to copy files: copy file range failed: no space left on device",
    ),
    (
        "deploy",
        "disk_full",
        "",
        "redis: MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. No space left on device",
    ),
    # version
    (
        "deploy",
        "version_incompatibility",
        "werkzeug",
        'Traceback (most recent call last):\n  File "/app/app.py", line 1, in <module>\n    from flask import Flask\n  File "/app/.venv/lib/python3.11/site-packages/flask/__init__.py", line 7, in <module>\n    from .app import Flask as Flask\n  File "/app/.venv/lib/python3.11/site-packages/flask/app.py", line 28, in <module>\n    from werkzeug.urls import url_quote\nImportError: cannot import name \'url_quote\' from \'werkzeug.urls\' (/app/.venv/lib/python3.11/site-packages/werkzeug/urls.py)',
    ),
    (
        "deploy",
        "version_incompatibility",
        "NoSuchMethodError",
        "Exception in thread \"main\" java.lang.NoSuchMethodError: 'com.google.common.collect.ImmutableList com.google.common.collect.ImmutableList.toImmutableList()'\n\tat com.acme.A.main(A.java:4)",
    ),
    (
        "deploy",
        "version_incompatibility",
        "18",
        'error node@16.20.0: The engine "node" is incompatible with this module. Expected version ">=18". Got "16.20.0"',
    ),
    (
        "deploy",
        "version_incompatibility",
        "",
        'Error: PHP version 7.4 detected. Your Composer dependencies require a PHP version ">= 8.1.0". You are running 7.4.33.',
    ),
    ("build", "version_incompatibility", "21", "error: invalid source release: 21"),
    (
        "build",
        "version_incompatibility",
        "1.23",
        "go: go.mod requires go >= 1.23 (running go 1.21.5; GOTOOLCHAIN=local)",
    ),
    # tests
    (
        "test",
        "test_failure",
        "checkout",
        "  1 failing\n\n  1) Cart\n       checkout total:\n\n      AssertionError: expected 11 to equal 12\n      + expected - actual\n      at Context.<anonymous> (test/cart.test.js:9:20)",
    ),
    (
        "test",
        "test_failure",
        "Cart",
        "  Failed Shop.Tests.CartTests.AddsVat [12 ms]\n  Error Message:\n   Assert.Equal() Failure\n          Expected: 119\n          Actual:   116\n  Stack Trace:\n     at Shop.Tests.CartTests.AddsVat() in /app/CartTests.cs:line 12",
    ),
    (
        "test",
        "test_failure",
        "login",
        "  ✗ login (2 ms)\n    Cypress: AssertionError: Timed out retrying after 4000ms: expected '<div>' to be 'visible'\n\n  1 failing",
    ),
    (
        "test",
        "timeout",
        "",
        "Error: The operation was canceled.\n##[error]The job running on runner GitHub Actions 3 has exceeded the maximum execution time of 360 minutes.",
    ),
    # dep resolution
    (
        "build",
        "dependency_resolution",
        "",
        'pnpm: ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with package.json',
    ),
    (
        "build",
        "dependency_resolution",
        "acme",
        "ERROR: Could not find a version that satisfies the requirement acme-core==2.1 (from versions: 1.0, 1.1)\nERROR: No matching distribution found for acme-core==2.1",
    ),
    (
        "build",
        "dependency_resolution",
        "guava",
        "> Could not resolve all files for configuration ':runtimeClasspath'.\n   > Could not find com.google.guava:guava:99.0.\n     Searched in the following locations:",
    ),
    (
        "build",
        "dependency_resolution",
        "serde",
        'error: failed to select a version for the requirement `serde = "^9"`\ncandidate versions found which didn\'t match: 1.0.200',
    ),
    (
        "build",
        "dependency_resolution",
        "",
        "error: Your lock file does not contain a compatible set of packages. Please run composer update.",
    ),
    ("build", "dependency_resolution", "", "hex: ** (Mix) The lock is outdated: plug"),
    # code
    (
        "deploy",
        "code_error",
        "orders.py",
        'Traceback (most recent call last):\n  File "/app/orders.py", line 3, in <module>\n    def f(:\n          ^\nSyntaxError: invalid syntax',
    ),
    (
        "deploy",
        "code_error",
        "",
        "thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds: the len is 2 but the index is 5",
    ),
    (
        "deploy",
        "code_error",
        "Cart",
        "PHP Fatal error:  Uncaught TypeError: Cart::add(): Argument #1 ($n) must be of type int, string given, called in /app/index.php on line 3 and defined in /app/Cart.php:5\nStack trace:\n#0 /app/index.php(3): Cart->add('a')\n#1 {main}\n  thrown in /app/Cart.php on line 5",
    ),
    (
        "deploy",
        "code_error",
        "Program.cs",
        "Unhandled exception. System.NullReferenceException: Object reference not set to an instance of an object.\n   at Shop.Program.Main(String[] args) in /src/Program.cs:line 12",
    ),
    (
        "deploy",
        "code_error",
        "",
        "** (MatchError) no match of right hand side value: {:error, :nope}\n    (shop 0.1.0) lib/shop.ex:12: Shop.start/2",
    ),
    (
        "deploy",
        "code_error",
        "circular",
        "ImportError: cannot import name 'a' from partially initialized module 'shop.b' (most likely due to a circular import) (/app/shop/b.py)",
    ),
]


def evidence(step: str, text: str) -> Evidence:
    """The text as the service's log for a deployment, else as the step's output; a start that ended with an error."""
    in_log = step == "deploy" and not text.startswith("Error from server")
    return Evidence(
        target="local" if in_log else "none",
        failed_step=FailedStep(STEPS[step], step.capitalize(), step),
        exit_code=1,
        step_output="" if in_log else text,
        logs={"web-1/app": LogPair(text)} if in_log else {},
    )


@pytest.mark.parametrize(
    ("step", "kind", "named", "text"), SAID, ids=lambda value: value[:34] if len(value) > 20 else ""
)
def test_a_wording_is_understood(step, kind, named, text):
    found = diagnose(evidence(step, text))

    assert found.type == kind, found.cause
    assert named.lower() in found.cause.lower()
    assert any(fix.priority == "HIGH" for fix in found.recommendations)


@pytest.mark.parametrize(
    "text",
    [
        "INFO cache warmed, 0 errors, 0 failed",
        "2026-01-01 INFO connection refused is a test of the alarm text, ignored",
        '10.0.0.1 - - [01/Jan/2026] "GET /?q=FATAL:%20password%20authentication%20failed HTTP/1.1" 200 12',
        "DeprecationWarning: pkg_resources is deprecated as an API",
    ],
)
def test_a_look_alike_is_not_taken_for_a_cause(text):
    """Given a service that answers, a line that looks like an error, is handled or was written by a caller is no failure."""
    answered = Evidence(
        target="local",
        failed_step=FailedStep(7, "Deploy", "deploy"),
        step_output="GET / -> 200",
        logs={"web-1/app": LogPair(text)},
    )

    assert diagnose(answered).type == "none"
