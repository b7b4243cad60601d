"""What a runner of tasks does not know, what an archive lacks, and folders that a script enters in vain."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_T = r"[\w:./@-]+"

ROWS = (
    row(
        "task-unknown",
        "not found in root project|not found in project|no plugin found for prefix|unknown lifecycle phase|could not find goal|don't know how to build task|task \"|task never defined|no idea what|sessions not found|unknown environment|unknown tox environment|does not exist in the project|not a valid command|could not find task|could not be found|is not defined|is not a task|cannot find configuration for task|justfile does not contain|no such task|task not found|missing task|cannot locate tasks|no pom in this directory|no such command|unrecognized task|not contain recipe|command \"|target \"",
        rf"Task '(?P<a>{_T})' not found in (?:root )?project|No plugin found for prefix '(?P<b>{_T})'|Unknown lifecycle phase \"(?P<c>[^\"]+)\"|Could not find goal '(?P<d>{_T})' in plugin|Don't know how to build task '(?P<e>[^']+)'|Task \"(?P<f>[^\"]+)\" (?:not found|is not defined|does not exist)|Task never defined: (?P<g>{_T})|No idea what '(?P<h>[^']+)' is|Sessions not found: (?P<i>{_T})|unknown (?:tox )?environment '?(?P<j>{_T})|[Tt]arget \"(?P<k>[^\"]+)\" does not exist in the project|Not a valid command: (?P<l>{_T})|Could not find task [`'\"]?(?P<m>{_T})|The task \"(?P<n>[^\"]+)\" could not be found|Command \"(?P<o>[^\"]+)\" is not defined|'(?P<p>{_T})' is not a task|Cannot find configuration for task (?P<q>{_T})|[Jj]ustfile does not contain recipe [`'](?P<r>[^`']+)|there is no POM in this directory|error: no such command: `(?P<s>[^`]+)`|Cannot locate tasks that match '(?P<t>[^']+)'",
        FailureType.BUILD_FAILURE,
        "The build tool does not know the task (goal, target, plugin) {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}{o}{p}{q}{r}{s}{t}: it is not found (no such task) in the build file",
        "Correct the name of the task {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}{o}{p}{q}{r}{s}{t} in the step, or add the plugin that brings it",
        "Look at the tasks that the build has (gradle tasks, mvn help:describe, rake -T, just --list) and name one of them in the step; a task of a plugin needs the plugin in the build file (build.gradle, pom.xml): {line}",
        source="Gradle, Maven, Rake, Grunt, Gulp, Invoke, Nox, tox, Ant, MSBuild, sbt, Turborepo, Mix, Composer, Leiningen, Nx, just, Cargo",
        sure=0.94,
        steps="build|test|quality|security|docker|",
    ),
    row(
        "archive-broken",
        "unexpected end of file|not in gzip format|unexpected eof in archive|does not look like a tar|end-of-central-directory|badzipfile|zipexception|not a zip file|file format not recognized|file is not in|unexpected end of archive|truncated|unexpected end of input|invalid or corrupt|unexpected end of zlib|corrupted",
        r"(?:gzip|xz|bzip2|zstd|unzip|tar|gunzip|bsdtar): ?(?:(?P<a>[\w./-]+): ?)?(?:\(?stdin\)?: )?(?P<why>unexpected end of (?:file|input)|not in gzip format|Unexpected EOF in archive|This does not look like a tar archive|File format not recognized|(?:Compressed data|data) (?:is corrupt|integrity error)|Skipping to next header|Truncated input file)|End-of-central-directory signature not found|BadZipFile: (?P<b>[^\n]+)|ZipException: (?P<c>(?:zip END header not found|error in opening zip file|invalid [^\n]+|invalid CEN header[^\n]*)[^\n]*)|tarfile\.ReadError: (?P<d>[^\n]+)|EOFError: (?P<e>Compressed file ended before the end-of-stream marker[^\n]*)",
        FailureType.MISSING_FILE,
        "The archive {a} is broken: it is incomplete (unexpected end) or no archive of this kind: {why}{b}{c}{d}{e}",
        "Build or download the archive again",
        "The archive (artifact) was cut off on its way, or an error page was saved in its place: look at its size and first bytes (file, ls -l), compare its checksum with the one of the build, and upload or download it again",
        "sha256sum release.tar.gz; file release.tar.gz",
        source="GNU tar, gzip, xz, unzip, Python's and Java's archive classes",
        sure=0.9,
    ),
    row(
        "folder-entered-in-vain",
        "cd: ",
        r"cd: (?:can't cd to (?P<a>[^\s:]+)|(?P<b>[^\n:]+): No such file or directory|(?P<c>[^\n:]+): Not a directory|no such file or directory: (?P<d>\S+))",
        FailureType.MISSING_FILE,
        "The folder {a}{b}{c}{d} does not exist (missing): the script cannot enter it",
        "Create {a}{b}{c}{d} in the image, or correct the path in the script",
        "COPY the folder {a}{b}{c}{d} into the image or mount it, correct the path, or set WORKDIR to where the release lies",
        "COPY . {a}{b}{c}{d}",
        source="POSIX shells' cd",
        sure=0.93,
        unless=r"\\r",  # a carriage return in the script, not a folder
    ),
    row(
        "base-image-argument-empty",
        "no from statement found|should not be blank|empty base name|no build stage in current context|build argument|base name (",
        r"missing \\?\"(?P<a>\w+)\\?\" build argument|base name \((?P<b>[^)]*)\) should not be blank|no FROM statement found|[Nn]o build stage in current context|empty base name",
        FailureType.BUILD_FAILURE,
        "The Dockerfile's FROM has no base image: the build argument {a}{b} is empty (not passed, without a default)",
        "Pass the build argument {a}{b} or give the ARG a default in the Dockerfile",
        "Call the build with --build-arg {a}{b}=VALUE, or write ARG {a}{b}=VALUE before FROM in the Dockerfile",
        "ARG BASE=debian:12-slim\nFROM ${{BASE}}",
        source="BuildKit, buildah, kaniko: FROM with a variable",
        sure=0.93,
        steps="docker|build|deploy|",
    ),
    row(
        "no-tests-ran",
        "no tests ran|deselected in|no tests found|no test files found|no tests executed|no examples found|no tests were executed|no tests to run|collected 0 items|found no tests|0 examples",
        r"(?P<a>\d+) deselected(?:, \d+ warnings?)? in [\d.]+s|no tests ran in|No tests found, exiting with code 1|No test files found|No tests executed!|No examples found|No tests were executed|No tests matching pattern|No tests found in|Error: No test files found",
        FailureType.TEST_FAILURE,
        "No tests ran: the runner collected none, or the selection leaves none ({a} deselected)",
        "Correct the selection of the tests (-k, -m, path or pattern)",
        "Run the step's command with --collect-only (or list) and correct the expression, the folder or the file names (test_*.py, *.test.js) so that tests are found; a runner that finds none exits with an error on purpose",
        "pytest --collect-only -q",
        source="pytest (exit 5), Jest, Vitest, Mocha, PHPUnit, RSpec, Surefire",
        sure=0.86,
        steps="test|build|",
        unless=r"\d+ (?:passed|failed)",
    ),
    row(
        "lock-of-python-tools",
        "pipfile.lock|lock file hash|doesn't match pyproject|pdm.lock|poetry.lock|lockfile",
        r"Your Pipfile\.lock \([^)]*\) is out of date|(?P<b>Lock file hash doesn't match pyproject\.toml)|(?P<a>pdm\.lock|poetry\.lock|uv\.lock)[^\n]*(?:is not up to date|is out of date|out-of-date|doesn't match|not compatible)|Pipfile\.lock not found",
        FailureType.DEPENDENCY_RESOLUTION,
        "The lock file (Pipfile.lock or the like) {a} does not fit the project file: it is out of date {b}",
        "Make the lock file anew (pipenv lock, poetry lock, pdm lock, uv lock) and commit it",
        "Run pipenv lock (poetry lock, pdm lock, uv lock) after each change of Pipfile or pyproject.toml, and commit both files together",
        "pipenv lock && git add Pipfile Pipfile.lock",
        source="Pipenv --deploy, PDM --frozen-lockfile, Poetry, uv",
        sure=0.95,
    ),
)  # fmt: skip
