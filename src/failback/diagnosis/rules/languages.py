"""Go, Rust, Ruby and PHP: what ends their programs."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high
from failback.diagnosis.recommend.files import add_file
from failback.diagnosis.recommend.packages import align, changed, install
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType, Recommendation


def fix_at(scene: Scene, file: str, line: int, said: str, advice: str = "") -> tuple[Recommendation, ...]:
    return (
        high(
            f"Fix {file} line {line}" if line else f"Fix {file or 'the error'}",
            f"{quoted(said)}. {advice or 'Check the value before it is used, or handle the case'}",
            f"$EDITOR {file} +{line}" if file else "",
        ),
        commit(file or ".", f"Fix {file}"),
    )


@trace_rule("go-panic", "the Go runtime's panics", "go")
def go_panic(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """panic: and fatal error:."""
    if re.search(
        r"connection refused|no such host|i/o timeout|permission denied|no such file|address already in use|out of memory",
        root.message,
    ):
        return None
    frame = trace.own_frame()
    spot = f"{scene.in_release(frame.file)}:{frame.line}" if frame else ""
    runtime = (
        "runtime error" in root.message
        or "nil map" in root.message
        or "interface conversion" in root.message
        or root.type == "fatal error"
        or "closed channel" in root.message
    )
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Go {root.type}: {quoted(root.message)}{f' at {spot}' if spot else ''}",
        0.88 if runtime else 0.66,
        fix_at(
            scene,
            scene.in_release(frame.file) if frame else "",
            frame.line if frame else 0,
            f"{root.type}: {root.message}",
            _go_advice(root.message),
        ),
        names=(scene.in_release(frame.file),) if frame else (),
    )


_GO_ADVICE = (
    ("concurrent map", "Guard the map with a mutex (sync.Mutex or sync.RWMutex: lock around every access), or use sync.Map: several goroutines use it at the same time"),
    ("deadlock", "Close or send on the channel that is waited for, release the lock, or start the goroutine that answers: every goroutine waits (deadlock)"),
    ("nil map", "Make the map before it is written (make(map[...]...)), or check for nil"),
    ("nil pointer", "Check the pointer or error for nil before it is used: what returned it failed or was never set"),
    ("index out of range", "Check the length (bounds) before the index is used"),
    ("slice bounds", "Check the length (bounds) before the slice is cut"),
    ("interface conversion", "Use the two-value form of the type assertion (v, ok := x.(T)) and handle the other type"),
    ("closed channel", "Close the channel once, by its sender only (sync.Once)"),
    ("divide by zero", "Check the divisor for zero"),
    ("negative WaitGroup", "Call Add before the goroutine starts, and Done once for each"),
)  # fmt: skip


def _go_advice(message: str) -> str:
    return next(
        (advice for words, advice in _GO_ADVICE if words in message),
        "Check for nil, the index or the map before use, or handle the error",
    )


@trace_rule("rust-panic", "Rust's panics", "rust")
def rust_panic(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """thread 'main' panicked at."""
    if re.search(r"ConnectionRefused|os error|NotPresent|failed to lookup address|environment variable", root.message):
        return None
    frame = trace.own_frame() or (root.frames[0] if root.frames else None)
    spot = frame.place if frame else ""
    setting = re.search(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{4,})\b", root.message)
    if setting and re.search(r"Parse(?:Int|Float|Bool|Char)Error|AddrParseError|InvalidDigit|ParseError", root.message):
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION,
            f"The setting {setting.group(1)} has an invalid value, it cannot be parsed (at {spot}): {quoted(root.message)}",
            0.86,
            (high(f"Correct the value of {setting.group(1)}", f"Set {setting.group(1)} to a valid value (a number has no blanks or letters) in the environment: {quoted(root.message)}", f"{setting.group(1)}=<valid value>"),),
            names=(setting.group(1),),
        )  # fmt: skip
    own = re.search(
        r"out of bounds|unwrap\(\)|overflow|divide by zero|None|not a char boundary|RefCell|already borrowed|unreachable|not implemented",
        root.message,
    )
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Rust panic at {spot}: {quoted(root.message)}",
        0.86 if own else 0.68,
        fix_at(
            scene,
            scene.in_release(frame.file) if frame else "",
            frame.line if frame else 0,
            root.message,
            "Check the index or bounds and handle None and Err instead of unwrap() or expect()",
        ),
        names=(scene.in_release(frame.file),) if frame else (),
    )


@line_rule(
    "ruby-load",
    "cannot load such file|could not find |bundler::gemnotfound|gem::missingspec|gem::loaderror|uninitialized constant|your ruby version is|you must use bundler|you have already activated",
    r"cannot load such file -- (?P<file>\S+)|Could not find (?:'(?P<gem4>[\w-]+)' \([^)]*\) among|gem '(?P<gem>[\w-]+)|(?P<gem2>[\w-]+)-(?P<ver>\d[\w.]*)(?:,| in))|Gem::(?:MissingSpecError|LoadError)[^\n]*'(?P<gem3>[\w-]+)'|Your Ruby version is (?P<have>[\d.]+), but your Gemfile specified (?P<want>[\d.~> ]+)|You have already activated (?P<act>\S+) (?P<actv>[\d.]+), but your Gemfile requires \S+ (?P<reqv>[\d.]+)",
    source="Ruby's require, RubyGems, Bundler",
)
def ruby_load(hit: Hit) -> Hypothesis | None:
    """A gem or file that cannot be loaded, a Ruby of another version."""
    scene = hit.scene
    if hit.get("have"):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The Ruby version does not fit: {hit.get('have')} is installed, the Gemfile wants {hit.get('want')}: {hit.line}",
            0.95,
            (
                high(
                    f"Use Ruby {hit.get('want').strip()}",
                    f"Change the base image to Ruby {hit.get('want').strip()}, or the version in the Gemfile to {hit.get('have')}",
                    f"FROM ruby:{hit.get('want').strip(' ~>')}-slim",
                ),
            ),
            names=("ruby",),
        )
    if hit.get("act"):
        gem = hit.get("act")
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"Two versions of the gem {gem}: {hit.get('actv')} is active, the Gemfile requires {hit.get('reqv')}: {hit.line}",
            0.92,
            align(
                gem,
                "ruby",
                changed(scene, gem),
                "",
                f"Start with bundle exec, or align the version of {gem} (bundle update {gem})",
            ),
            names=(gem,),
        )
    file = hit.get("file")
    if file and (file.startswith(("/", ".")) or scene.change.touches(f"{file}.rb")):
        path = scene.in_release(file if file.endswith(".rb") else f"{file}.rb")
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The application's file {path} is missing from the release (cannot be loaded){hit.at}: {hit.line}",
            0.9,
            add_file(path, scene),
            names=(path,),
        )
    gem = (
        hit.get("gem") or hit.get("gem2") or hit.get("gem3") or hit.get("gem4") or (file.split("/")[0] if file else "")
    )
    if not gem:
        return None
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The gem {gem} is not installed{hit.at}: {hit.line}",
        0.92,
        install(gem, "ruby"),
        names=(gem,),
    )


@trace_rule("ruby-exception", "Ruby's exceptions", "ruby")
def ruby_exception(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """Any other Ruby exception."""
    if root.name in ("LoadError", "GemNotFound") or re.search(r"ECONN|ENOENT|EACCES|EADDR", root.type):
        return None
    frame = trace.own_frame()
    said = f"{root.type}: {root.message}"
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Uncaught {quoted(said)}{f' at {scene.in_release(frame.file)}:{frame.line}' if frame else ''}",
        0.8 if frame else 0.55,
        fix_at(scene, scene.in_release(frame.file) if frame else "", frame.line if frame else 0, said),
        names=(scene.in_release(frame.file),) if frame else (),
    )


@line_rule(
    "php-fatal",
    'fatal error:|parse error:|class "|call to undefined|failed opening required|composer dependencies require|require an extension|requires ext-|requires php',
    r"(?P<kind>Fatal|Parse) error: +(?:Uncaught )?(?P<what>.+?) in (?P<file>/?[\w./-]+\.php)(?: on line |:)(?P<line>\d+)|Your Composer dependencies require (?:a PHP version \"(?P<php>[^\"]+)\"|the following PHP extensions to be installed: (?P<ext>.+))",
    source="the Zend engine; Composer's platform check",
)
def php(hit: Hit) -> Hypothesis | None:
    """PHP's fatal errors and Composer's platform check."""
    scene = hit.scene
    if hit.get("php"):
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The PHP version does not fit the dependencies: they require PHP {hit.get('php')}: {hit.line}",
            0.95,
            (
                high(
                    f"Use PHP {hit.get('php')}",
                    "Change the base image to this PHP version (upgrade), or install dependencies for the PHP version that runs (config.platform.php)",
                    f"FROM php:{re.sub(r'[^0-9.]', '', hit.get('php'))}-fpm",
                ),
            ),
            names=("php",),
        )
    if hit.get("ext"):
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"PHP extensions are not installed: {hit.get('ext')}: {hit.line}",
            0.95,
            (
                high(
                    f"Install the PHP extension {hit.get('ext')}",
                    "Add it to the image",
                    f"RUN docker-php-ext-install {hit.get('ext').replace(',', ' ')}",
                ),
            ),
        )
    what, file = hit.get("what"), scene.in_release(hit.get("file"))
    if re.match(r"[\w\\]*(?:InvalidConfiguration|InvalidOption|UndefinedOptions|MissingOptions)\w*Exception", what):
        return None  # its class says more than that it was thrown
    if re.search(r"SQLSTATE\[(?:HY000|08006)\] \[(?:2002|2003|7)\]|Connection refused|getaddrinfo", what):
        return None
    required = re.search(r"Failed opening required '([^']+)'", what)
    if required:
        path = scene.in_release(required.group(1))
        if "vendor/autoload" in path:
            return Hypothesis(
                FailureType.MISSING_DEPENDENCY,
                f"The Composer packages are not installed: {path} is missing ({file}:{hit.get('line')})",
                0.94,
                (
                    high(
                        "Install the Composer packages in the build",
                        "Run composer install --no-dev and include vendor/ in the image or release",
                        "RUN composer install --no-dev --optimize-autoloader",
                    ),
                ),
            )
        return Hypothesis(
            FailureType.MISSING_FILE,
            f"The file {path} is missing from the release, required by {file}:{hit.get('line')}: {quoted(what)}",
            0.94,
            add_file(path, scene),
            names=(path,),
        )
    extension = re.search(
        r"Call to undefined function (?P<fn>(?:mb_|mysqli?_|curl_|gd|image|bc|intl|pg_|simplexml|xml|ldap_|sodium_|apcu_)\w*)\(|Class \"(?P<cls>PDO|Redis|Memcached|Imagick|mysqli|SoapClient|ZipArchive|IntlDateFormatter|NumberFormatter|MongoDB\\\S+)\" not found|could not find driver",
        what,
    )
    if extension:
        name = extension.group("fn") or extension.group("cls") or "the database driver"
        module = next(
            (
                ext
                for prefix, ext in (
                    ("mb_", "mbstring"),
                    ("mysqli", "mysqli"),
                    ("curl_", "curl"),
                    ("image", "gd"),
                    ("gd", "gd"),
                    ("bc", "bcmath"),
                    ("intl", "intl"),
                    ("pg_", "pgsql"),
                    ("simplexml", "simplexml"),
                    ("ldap_", "ldap"),
                    ("sodium_", "sodium"),
                    ("PDO", "pdo_mysql"),
                    ("Redis", "redis"),
                    ("Imagick", "imagick"),
                    ("Soap", "soap"),
                    ("Zip", "zip"),
                )
                if name.startswith(prefix)
            ),
            "pdo_mysql",
        )
        name = f"{name} ({module})"
        return Hypothesis(
            FailureType.MISSING_DEPENDENCY,
            f"A PHP extension is not installed: {name} is unknown ({file}:{hit.get('line')}): {quoted(what)}",
            0.9,
            (
                high(
                    f"Install the PHP extension that has {name}",
                    "Add it to the image (docker-php-ext-install, pecl) and enable it",
                    f"RUN docker-php-ext-install {module}",
                ),
            ),
        )
    missing_class = re.search(r"Class \"([^\"]+)\" not found", what)
    name = missing_class.group(1) if missing_class else ""
    if name and "\\" in name and scene.change.dependencies:
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The class {name} does not exist in the installed packages ({scene.change.dependencies[0].text}): {file}:{hit.get('line')}",
            0.82,
            align(scene.change.dependencies[0].name, "php", scene.change.dependencies[0]),
            names=(scene.change.dependencies[0].name,),
        )
    kind = "Syntax error" if hit.get("kind").lower() == "parse" else "Fatal error"
    checked = hit.document.role == "step" and scene.step_type == "quality"
    return Hypothesis(
        FailureType.QUALITY_VIOLATION if checked else FailureType.CODE_ERROR,
        f"PHP {kind} in {file}:{hit.get('line')}: {quoted(what)}",
        0.88,
        fix_at(scene, file, int(hit.get("line")), what),
        names=(file,),
    )
