"""Tools and libraries that name the version they want, and features that a program was built without."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_V = r"v?\d[\w.]*"

ROWS = (
    row(
        "version-demanded",
        "is required|or higher|or newer|or later|or greater|required--this is only|is not yet installed|is not installed|no interpreter found|is not supported by the project|no compatible python|to run. your build|but found|is too old|too old for|requires at least|at least version|configured to use jvm|unsupported version|version mismatch|is not in the cache|supported range",
        rf"(?P<a>[A-Z][\w.+-]*(?: version)? {_V}) or (?:higher|newer|later|greater|above) (?:is )?(?:required|needed)[.,;]?(?: +(?:You are running|You have|but|Found|found|current)[^\n]*)?"
        rf"|(?P<b>[\w:]+ (?:version )?{_V}) required--this is only (?:version )?(?P<b2>{_V})"
        rf"|[Nn]o interpreter found for (?P<c>Python [^\s,]+(?:,? ?[<>=~!][^\s]+)*)|[Nn]o compatible Python[^\n]*?(?P<d>{_V})?"
        rf"|(?:currently activated |current )?(?P<e>(?:Python|Node|Ruby|PHP|Java) (?:version )?{_V}) (?:\([^)]*\) )?is not supported by the project \((?P<e2>[^)]+)\)"
        rf"|(?:rbenv|pyenv|asdf|nodenv|goenv|phpenv|jenv): version [`'\"](?P<f>[^`'\"]+)['\"] is not installed|N/A: version \"(?P<g>[^\"]+)\" is not yet installed"
        rf"|(?P<h>[A-Z]\w+(?: {_V})?) requires (?P<h2>(?:JVM|Java|Python|Node|Ruby|PHP) (?:version )?{_V})(?: or \w+)? to run[^\n]*"
        rf"|(?P<i>[\w.+-]+) (?:version )?(?:is too old|too old)[,:;(]? ?[^\n]*?(?:need|requires?|at least|minimum)[^\n]*?(?P<i2>{_V})"
        rf"|[Rr]equires (?:at least )?(?P<k>[\w.+-]+ (?:versions? )?(?:>=? ?)?{_V})[^\n]*?(?:but|[Ff]ound|[Hh]ave|installed)[^\n]*?(?P<k2>{_V})",
        FailureType.VERSION_INCOMPATIBILITY,
        "The installed version does not fit: {a}{b}{c}{d}{e}{f}{g}{h2}{i}{k} is demanded, {b2}{e2}{i2}{k2} is what is there or known (incompatible version)",
        "Install the demanded version ({a}{b}{c}{d}{e2}{f}{g}{h2}{i2}{k}), or lower the demand",
        "Upgrade the tool or runtime in the build image or CI to the version that is demanded, or change the line that demands it (cmake_minimum_required, requires-python, .python-version, .ruby-version, .tool-versions, use VERSION)",
        "FROM image:{c}{f}{g}   # or change the version file",
        source="CMake, Perl, uv, Poetry, rbenv, pyenv, nvm, asdf, Gradle, Meson, autoconf",
        sure=0.94,
        steps="-quality|security",
        unless=r"deprecat|^\s*warning|npm warn|peer |PHP extension|--requires?|pip is available",
    ),
    row(
        "built-without-feature",
        "requires cgo|not compiled in|compiled without|built without|not compiled with|was not built with|support is not enabled|support not enabled|not built with|without support for|is not compiled",
        r"Binary was compiled with '(?P<a>CGO_ENABLED=0)', (?P<b>[\w./-]+) requires cgo|(?P<c>[\w.+/ -]{2,40}) (?:support )?(?:is |was )?not compiled in|(?:compiled|built) without (?P<d>[\w.+/-]+)(?: support)?|(?:was )?not (?:built|compiled) with (?P<e>[\w.+/-]+)(?: support)?",
        FailureType.BUILD_FAILURE,
        "The program was built without a feature that it needs: {a} {b}{c}{d}{e}",
        "Build it with the feature: {a}{b}{c}{d}{e} (Go: CGO_ENABLED=1 and a C compiler in the build image)",
        "Build again with CGO_ENABLED=1 and gcc in the build stage (or use a driver in pure Go such as modernc.org/sqlite); for other programs install the package that has {b}{c}{d}{e} enabled",
        "RUN CGO_ENABLED=1 go build -o app .   # apk add build-base",
        source="go-sqlite3, libpq, nginx, curl, FFmpeg: optional parts chosen when they are compiled",
        sure=0.92,
        steps="-quality|security",
        unless=r"deprecat|warning",
    ),
    row(
        "go-replacement-absent",
        "replacement directory|replaced by",
        r"(?P<mod>[\w./-]+)@[^\s:]+: replacement directory (?P<dir>\S+) does not exist|(?P<mod2>[\w./-]+)@[^\n]*\(replaced by (?P<dir2>[./][^)]*)\): reading [^\n]*go\.mod: (?:open [^\n]*)?no such file",
        FailureType.MISSING_FILE,
        "The folder {dir}{dir2} is missing: go.mod replaces the module {mod}{mod2} by it, and it does not exist here (not found in the build context)",
        "Copy {dir}{dir2} into the image before the build, or remove the replace line from go.mod",
        "COPY the folder into the build context at the place that go.mod names (build from the folder above), use a go.work workspace, or remove the replace directive and require a published version of {mod}{mod2}",
        "COPY common/ ../common/   # or: go mod edit -dropreplace={mod}{mod2}",
        source="the go command's replace directives",
        sure=0.97,
    ),
    row(
        "bash-under-sh",
        "illegal option -o pipefail|bad substitution|[[: not found|source: not found|shopt: not found|declare: not found|function: not found|invalid option name",
        r"(?P<f>[\w./-]+): (?:line )?(?P<n>\d+): (?:(?:set: )?(?P<a>Illegal option -o pipefail)|(?P<b>Bad substitution)$|(?P<c>\[\[|source|shopt|declare|function|let|typeset): not found)|set: pipefail: invalid option name",
        FailureType.CODE_ERROR,
        "The script {f} line {n} uses bash's syntax, but sh (dash, busybox) runs it: {a}{b}{c}",
        "Run {f} with bash, or write it for sh",
        "Start it as bash {f} with #!/usr/bin/env bash in its first line (and install bash in the image), or replace what only bash knows in line {n} ({a}{b}{c})",
        "bash {f}",
        source="dash and busybox sh against bash",
        sure=0.96,
        unless=r": line \d+: \$",
    ),
    row(
        "choice-unknown",
        "no such transport|no such driver|no such backend|no such engine|unknown transport|unknown backend|unknown engine|unknown driver|unknown storage|unknown adapter|unknown codec|unknown compression|unsupported backend|unsupported driver|unsupported engine|unsupported transport|unsupported storage|unsupported broker|nonexistent|unknown provider|unsupported provider|unknown cache|unknown queue|unknown broker|unknown strategy|unknown environment|unsupported compression|invalid backend|invalid driver|no such environment|unknown store|unsupported store|is not a supported",
        r"(?:[Nn]o such|[Uu]nknown|[Uu]nsupported|[Ii]nvalid|[Uu]nrecogni[sz]ed) (?P<kind>transport|backend|driver|engine|storage|store|broker|cache|provider|adapter|codec|compression|queue|strategy|environment)(?: type| name| driver)?:? [\"'`]?(?P<a>[\w+.-]{2,40})(?!.*forgotten import)|specifies nonexistent ['\"]?(?P<b>[\w-]+)['\"]? (?P<kind2>adapter)|[\"'`]?(?P<c>[\w+.-]+)[\"'`]? is not a supported (?P<kind3>[\w ]{3,30}?)(?:[.,;:]|$)",
        FailureType.INVALID_CONFIGURATION,
        "The setting for the {kind}{kind2}{kind3} has an unknown value: {a}{b}{c} is not supported (invalid)",
        "Correct the {kind}{kind2}{kind3} {a}{b}{c} in the configuration (URL scheme or name)",
        "Change the value in the environment or configuration file (for a URL such as BROKER_URL, CACHE_URL or DATABASE_URL its scheme) to one that the library knows, or install the package that brings {a}{b}{c}",
        "BROKER_URL=redis://host:6379/0",
        source="kombu, Laravel, Rails, Sequelize, loggers, caches: components that are chosen by name",
        sure=0.88,
        steps="deploy|verify|",
        unless=r"HTTP|browser|test environment",
    ),
    row(
        "configuration-line",
        "line |.toml:|.yaml:|.yml:|.json:|.json5:|.ini:|.cfg:|.hcl:|.env:|.properties:|.xml:",
        r"(?P<f>[\w./-]+\.(?:toml|ya?ml|json5?|ini|conf|cfg|hcl|env|properties|xml)):? (?:[\w ]{0,20}:? )?(?:at )?line (?P<n>\d+)(?P<why>[^\n]*(?:expected|unexpected|invalid|cannot|could not|syntax|unknown|duplicate|mapping|found|unterminated|missing|mismatch)[^\n]*)|(?P<f2>[\w./-]+\.(?:toml|ya?ml|json5?|ini|cfg|hcl|env|properties|xml)):(?P<n2>\d+)(?::\d+)?:? (?P<why2>[^\n]*(?:expected|unexpected|invalid|cannot|could not|syntax|unknown|duplicate|mapping|unterminated|missing|mismatch)[^\n]*)|(?:toml|yaml|ini|hcl|xml|properties|dotenv|envfile)(?: parser?)?(?: error)?: (?:at )?line (?P<n3>\d+)(?P<why3>[^\n]*)",
        FailureType.INVALID_CONFIGURATION,
        "The configuration file {f}{f2} is invalid in line {n}{n2}{n3}: {why}{why2}{why3} (syntax or value)",
        "Correct line {n}{n2}{n3} of {f}{f2}",
        "Fix the syntax, quoting or value there: {why}{why2}{why3}",
        "sed -n '{n}{n2}{n3}p' {f}{f2}",
        source="parsers of TOML, YAML, INI, HCL, XML, properties: file, line and what was expected",
        sure=0.86,
        steps="deploy|verify|",
        unless=r"warning|deprecat|pom\.xml",
    ),
)  # fmt: skip
