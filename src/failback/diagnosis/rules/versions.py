"""Versions that do not fit: what a library removed or moved, what a runtime lacks, what was generated or compiled for another one."""

from __future__ import annotations

from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hit, Hypothesis, line_rule
from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_VERSION = FailureType.VERSION_INCOMPATIBILITY


@line_rule(
    "removed-or-moved",
    "removed|moved|renamed|no longer|dropped|discontinued|deprecated and",
    r"[`'\"]?(?P<what>[\w.:/@()<>-]+)[`'\"]? (?:was|has been|have been|is|are|were) (?:now )?(?:permanently |completely )?(?P<how>removed|moved|renamed|dropped|discontinued)\b(?: (?:in|from|to|since|as of|into|with)(?: the)? [`'\"]?(?P<where>[\w.@/ -]{1,60}))?|(?P<what2>[\w.:/@()-]+) (?:is|are) no longer (?:supported|available|exported|part of|provided|accepted|included|valid|a valid)[^\n]{0,80}|no longer supports? (?P<what3>[\w.@ -]{2,60})",
    source="the sentence with which libraries tell that a version took something away",
)
def removed(hit: Hit) -> Hypothesis | None:
    """A library that says itself what its version took away. Warnings only announce it."""
    low = hit.line.lower()
    if hit.scene.is_deprecation(hit.document, hit.index) or "will be removed" in low or "file has been removed" in low:
        return None
    if hit.document.role == "step" and hit.scene.step_type in ("quality", "security"):
        return None
    if (
        hit.trace is None
        and hit.document.level(hit.index) not in ("ERROR", "FATAL")
        and not low.lstrip().startswith(("error", "fatal", "exception", "typeerror", "caused"))
    ):
        return None
    what = hit.get("what") or hit.get("what2") or hit.get("what3")
    packages = hit.trace.packages() if hit.trace else ()
    package = packages[0] if packages else ""
    change = changed(hit.scene, package, what) if package or hit.scene.change.dependencies else None
    name = (change.name if change else package) or what
    return Hypothesis(
        _VERSION,
        f"Incompatible versions: {what} is no longer there in the installed {name} ({hit.get('how') or 'no longer supported'}{' in ' + hit.get('where') if hit.get('where') else ''}){hit.at}: {hit.line}",
        0.9 if hit.trace else 0.72,
        align(name, "node" if hit.trace and hit.trace.kind == "node" else "python", change, "", f"Pin {name} to the version that still has {what} (downgrade), or replace {what} in the code by what the message names{' (install ' + hit.get('where') + ')' if hit.get('how') == 'moved' else ''}: {hit.line}"),
        names=(name, what, package),
    )  # fmt: skip


ROWS = (
    row(
        "protobuf-generated",
        "descriptors cannot be created|incompatible protobuf|gencode|generated code in|descriptor pool",
        r"Descriptors cannot be created directly|Detected (?:incompatible|mismatched) Protobuf Gencode[^\n]*|(?P<grpc>The grpc package installed is at version (?P<have>\S+), but the generated code in (?P<file>\S+) depends on grpcio>=(?P<want>\S+))",
        _VERSION,
        "The generated code (_pb2.py, made by an old protoc) does not fit the installed protobuf or grpcio package {have} {want} {file}",
        "Regenerate the _pb2 files with a current protoc, or pin protobuf",
        "Run protoc (grpc_tools.protoc) of the version that fits the installed protobuf again, or pin protobuf to the version that worked (protobuf<3.21, 3.20.x, for old generated code; downgrade), and lock it",
        "protobuf==3.20.3   # or: python -m grpc_tools.protoc -I. --python_out=. *.proto",
        source="protobuf's runtime checks",
        sure=0.96,
        package="protobuf",
    ),
    row(
        "numpy-abi",
        "numpy|_array_api not found",
        r"compiled using NumPy 1\.x cannot be run in|numpy\.dtype size changed|numpy\.core\.multiarray failed to import|_ARRAY_API not found|numpy\.ndarray size changed|module compiled against API version \S+ but this version of numpy",
        _VERSION,
        "A package was compiled against another version of numpy than the one that is installed (binary incompatibility)",
        "Use a numpy version that fits the compiled packages",
        "Pin numpy (numpy<2, downgrade) to the version that the other packages were built for, or upgrade those packages to versions built for this numpy",
        "numpy<2",
        source="numpy's C API checks",
        sure=0.95,
        package="numpy",
    ),
    row(
        "python-requirement-unmet",
        "distributionnotfound|contextualversionconflict|versionconflict|is required for a normal functioning|distribution was not found|requires a newer version|requires version",
        r"DistributionNotFound: The '(?P<a>[^']+)' distribution was not found and is required by (?P<by>[^\n]+)|VersionConflict: \((?P<have>[^(]+?) \([^)]*\), Requirement\.parse\('(?P<want>[^']+)'\)\)|(?P<req>[\w.-]+[<>=!~]=?[\d.,<>=!~]+) is required for a normal functioning of this module, but found (?P<found>\S+)",
        _VERSION,
        "An installed package does not fit what another one requires: {a}{have}{found} {by} instead of {want}{req}",
        "Install the version that is required: {a}{want}{req}",
        "Pin {a}{want}{req} in the requirements (upgrade or downgrade {have}{found}) and rebuild with one lock file",
        "pip install '{a}{want}{req}'",
        source="pkg_resources, importlib.metadata, transformers",
        sure=0.9,
    ),
    row(
        "python-metadata-absent",
        "packagenotfounderror|no package metadata was found|no metadata for",
        r"PackageNotFoundError: (?:No package metadata was found for )?(?P<a>[\w.-]+)",
        FailureType.MISSING_DEPENDENCY,
        "The Python package {a} is not installed: its metadata is not found, at {place}",
        "Install {a} in the image",
        "Install {a} as a package (pip install {a}; for the application itself pip install ., not only COPY of its sources), or read its version in another way {place}",
        "RUN pip install --no-cache-dir .   # or: pip install {a}",
        source="importlib.metadata",
        sure=0.92,
    ),
    row(
        "python-too-old-typing",
        "unsupported operand type(s) for |:|object is not subscriptable|invalid syntax",
        r"unsupported operand type\(s\) for \|: '(?P<a>type|NoneType|[\w.]*Meta|_?\w*GenericAlias|function)' and '(?P<b>\w+)'|TypeError: '(?P<c>type|ABCMeta|builtin_function_or_method)' object is not subscriptable",
        _VERSION,
        "The code uses type syntax of a newer Python (X | None needs Python 3.10, list[int] needs 3.9) than the one that runs it",
        "Run a newer Python, or write the types for the old one",
        "Upgrade the Python of the image to 3.10 or newer, or use Optional and Union from typing, or add from __future__ import annotations {place}",
        "FROM python:3.12-slim   # or: from __future__ import annotations",
        source="PEP 604 (Python 3.10), PEP 585 (Python 3.9)",
        sure=0.9,
    ),
    row(
        "node-too-old",
        "is not defined|is not a function|is not a constructor|unexpected token|not supported in this",
        r"ReferenceError: (?P<a>fetch|structuredClone|crypto|Headers|Response|FormData|ReadableStream|Blob|AbortController|BroadcastChannel|File|WebSocket|CustomEvent|Iterator) is not defined|\.(?P<b>replaceAll|at|findLast|findLastIndex|toSorted|toReversed|toSpliced|groupBy|hasOwn|flatMap|matchAll|allSettled|any|withResolvers|isSubsetOf|union) is not a function|SyntaxError: Unexpected token '?(?P<c>\?\?=|\|\|=|&&=|\?\.|\?\?|\.|with|#|static|\{)'?$",
        _VERSION,
        "The code uses {a}{b}{c}, which this version of Node.js does not have (it is too old)",
        "Use a newer Node.js that has {a}{b}{c}",
        "Upgrade Node.js in the base image and .nvmrc (fetch and structuredClone need 18, toSorted 20, File and CustomEvent 20, WebSocket 22), or add a polyfill {place}",
        "FROM node:22-alpine",
        source="Node.js' and V8's release notes",
        sure=0.8,
        steps="deploy|verify|build|docker|test|",
    ),
    row(
        "runtime-required",
        "requires node|requires python|requires java|requires ruby|requires php|requires go|requires .net|is not supported by|unsupported engine|does not support this version|not support python|requires at least|minimum supported|requires rustc|requires jdk|unsupported class file major|current .net sdk does not|needs at least|unsupported python|unsupported node|node.js version|incompatible with this version|newer version of|requires a rust|needs a rust|requires a .net|needs a .net|requires a gradle|requires a kotlin|requires a python|requires a maven|requires a xcode|requires a java|requires a pnpm|requires a ruby|needs a gradle|needs a kotlin|\" is required|' is required",
        r"(?P<who>[\w.@/-]+)?:? ?(?:requires|needs) (?:at least |a )?(?P<rt>Node(?:\.js)?|Python|Java|JDK|Ruby|PHP|Go|Rust|rustc|\.NET(?: SDK)?|npm|Gradle|Maven|pnpm|Xcode|Kotlin)(?: version)?:? ?v?(?P<ver>[\d.^~<>=| xX+-]+)|rustc (?P<rhave>[\d.]+) is not supported by the following package|(?:Unsupported class file major version|class file major version) (?P<maj>\d+)|current \.NET SDK does not support targeting (?P<net>\.NET[\w. ]*)|You are using (?P<nrt>Node(?:\.js)?|Python|Ruby|Java|PHP) v?(?P<nver>[\d.]+)[^\n]*|(?:Node\.js|Python) version (?P<vhave>\S+) (?:is )?(?:detected|not supported|too old|unsupported)[^\n]*|For \S+ ?[\"'](?P<nn>[>^~]?=?[\d. |x]+)[\"'] is required|This version of \S+ requires (?:at least )?(?P<this>[^\n]{3,60})",
        _VERSION,
        "The installed runtime or tool is of the wrong version: {who} requires {rt} {ver}{rhave}{maj}{net}{nrt} {nver}{vhave}{nn}{this}",
        "Use {rt}{net} {ver}{nn}{this}",
        "Upgrade (or pin) the runtime in the base image, the toolchain file or CI to the version that is required, or install an older version of {who} that supports the present one (lower rust-version, engines or requires-python)",
        "FROM {rt}:{ver}   # rustup update / nvm install / pyenv install",
        source="engines and minimum versions of the package managers and tools",
        sure=0.88,
        unless=r"Requires-Python|deprecat|ERESOLVE|warning|requires PHP extension|npm warn",
    ),
    row(
        "data-version",
        "not compatible with this version|incompatible with server|wire version|server version mismatch|unsupported version|unsupportedversion|does not support authentication protocol|unsupportedproduct|unable to verify that the server|unknown command 'hello'|protocol version|not a supported distribution of elasticsearch|using unsupported plugin|unknown command hello|unknown command 'hello|unknown command `hello|authentication plugin",
        r"(?:database files are incompatible with server[\s\S]{0,60})?data directory was initialized by PostgreSQL version (?P<a>\S+), which is not compatible with this version (?P<b>\S+)|database files are incompatible with server|(?P<wire>maximum wire version \d+[^\n]*)|aborting because of server version mismatch|UnsupportedVersionException[^\n]*|Client does not support authentication protocol requested by server|Server requests authentication using unsupported plugin[^\n]*|The client noticed that the server is not (?:a supported distribution of )?Elasticsearch[^\n]*|UnsupportedProductError|unknown command ['`\"]?HELLO|Authentication plugin '(?P<plug>[^']+)' cannot be loaded",
        _VERSION,
        "The client and the server (or its data) are of versions that do not fit each other: {a} {b} {wire}{plug}",
        "Use versions of client and server that fit",
        "Upgrade the client library (driver) to one that speaks the server's version, or run the server version that the data and the client were made for (pin it); migrate data with the tool of the database (pg_upgrade)",
        "image: postgres:{a}   # the version that the data was made with",
        source="PostgreSQL, MongoDB, MySQL 8, Kafka, Elasticsearch, Redis: version checks of clients and servers",
        lines=2,
        sure=0.93,
    ),
    row(
        "jvm-metadata",
        'incompatible version of kotlin|inaccessibleobject|does not "opens|security manager|illegalaccesserror|unsupported class file major version',
        r"compiled with an incompatible version of Kotlin[^\n]*|InaccessibleObjectException: (?P<a>[^\n]*)|module (?P<m>\S+) does not \"opens (?P<p>[^\"]+)\"|Unsupported class file major version (?P<maj>\d+)|IllegalAccessError: (?P<b>[^\n]*)",
        _VERSION,
        "A library does not fit the Java or Kotlin version that runs it {m} {p} {maj}",
        "Use versions that fit: upgrade the library, or run the Java version it was made for",
        "Upgrade the library (or Gradle, Kotlin) to a version that supports this Java, run an older JDK (pin the base image), or open the package: --add-opens {m}/{p}=ALL-UNNAMED",
        "JAVA_TOOL_OPTIONS='--add-opens {m}/{p}=ALL-UNNAMED'",
        source="the module system of Java 9 and newer; Kotlin's metadata",
        sure=0.9,
        package="java",
        ecosystem="java",
    ),
    row(
        "psych-alias",
        "disallowedclass|badalias|aliasesnotenabled|unspecified class|unknown alias",
        r"Psych::(?:DisallowedClass|BadAlias|AliasesNotEnabled)[^\n]*|Tried to load unspecified class: (?P<a>\S+)",
        _VERSION,
        "Psych 4 (Ruby 3.1) loads YAML safely by default and refuses aliases and classes that the code relies on {a}",
        "Pass aliases: true and permitted_classes, or pin psych",
        "Use YAML.safe_load(..., aliases: true, permitted_classes: [...]) or unsafe_load for trusted files, upgrade the gem that loads the file, or pin psych below 4 (downgrade)",
        "gem 'psych', '< 4'",
        source="Psych 4's release notes",
        sure=0.92,
        package="psych",
        ecosystem="ruby",
    ),
    row(
        "go-toolchain",
        "invalid go version|unknown directive: toolchain|is not in goroot|is not in std|requires go|go.mod file indicates|unknown block type: toolchain",
        r"invalid go version '(?P<a>[^']+)'[^\n]*|unknown (?:directive|block type): toolchain|package (?P<p>[\w/]+) is not in (?:GOROOT|std)[^\n]*|go\.mod file indicates go (?P<b>[\d.]+), but maximum (?:version )?supported[^\n]*|module requires Go (?P<c>[\d.]+)[^\n]*",
        _VERSION,
        "The Go toolchain is too old for this module: it needs Go {a}{b}{c} {p}",
        "Use Go {a}{b}{c} or newer",
        "Upgrade the Go of the build image, or lower the go line (and remove toolchain) in go.mod",
        "FROM golang:{a}{b}{c}",
        source="the go command",
        sure=0.9,
        unless=r"package (?:github|gitlab|golang|example|acme|gopkg)",
    ),
)


@line_rule(
    "not-executable-object",
    "not an executable object|objectnotexecutable",
    r"Not an executable object: (?P<sql>.+)",
    source="SQLAlchemy 2: text() is needed for raw SQL",
)
def not_executable_object(hit: Hit) -> Hypothesis | None:
    """SQLAlchemy 2 takes no plain string as a statement."""
    change = changed(hit.scene, "sqlalchemy")
    return Hypothesis(
        _VERSION,
        f"SQLAlchemy 2 no longer executes a plain string: Not an executable object: {hit.get('sql')} needs text(){hit.at}",
        0.95,
        align(
            "SQLAlchemy",
            "python",
            change,
            "",
            f"Wrap raw SQL in text() from sqlalchemy{hit.at}, or pin SQLAlchemy<2 (downgrade)",
        ),
        names=("SQLAlchemy",),
    )
