"""Java and the JVM: classes, class file versions, Spring's start, and uncaught exceptions."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import commit, high, medium
from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.packages import is_own_java
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

JAVA_OF = {"52": "8", "53": "9", "54": "10", "55": "11", "56": "12", "57": "13", "58": "14", "59": "15", "60": "16", "61": "17", "62": "18", "63": "19", "64": "20", "65": "21", "66": "22", "67": "23", "68": "24", "69": "25"}  # fmt: skip


@line_rule(
    "java-main-class",
    "could not find or load main class|no main manifest attribute|main method not found|invalid or corrupt jarfile",
    r"Could not find or load main class (?P<cls>\S+)|no main manifest attribute, in (?P<jar>\S+)|Main method not found in class (?P<meth>[\w.$]+)|Invalid or corrupt jarfile (?P<bad>\S+)",
    source="the java launcher",
)
def main_class(hit: Hit) -> Hypothesis | None:
    """The launcher finds no class to start."""
    jar = hit.get("jar") or hit.get("bad")
    if jar:
        return Hypothesis(
            FailureType.INVALID_CONFIGURATION if hit.get("jar") else FailureType.MISSING_FILE,
            f"{jar} cannot be started: {hit.line}",
            0.9,
            (
                high(
                    f"Build {jar} as an executable jar",
                    "Set Main-Class in the manifest (Spring Boot: repackage; Gradle: bootJar, shadowJar), ship the right jar, or start with -cp and the class name",
                    f"java -cp {jar} com.example.Main",
                ),
            ),
            names=(jar,),
        )
    name = hit.get("cls") or hit.get("meth")
    return Hypothesis(
        FailureType.MISSING_FILE,
        f"The main class {name} is not on the classpath (could not be found or loaded): {hit.line}",
        0.92,
        (
            high(
                f"Put {name} on the classpath or correct its name",
                f"The start command's main class {name} must be in the jar or folder that -cp names (check package and spelling, and that the jar is in the image)",
                f"java -cp app.jar {name}",
            ),
            commit(".", "Correct the main class"),
        ),
        names=(name,),
    )


@line_rule(
    "java-class-missing",
    "noclassdeffounderror|classnotfoundexception",
    r"(?:NoClassDefFoundError|ClassNotFoundException): (?P<init>Could not initialize class )?(?P<cls>[\w.$/]+)",
    source="the JVM's class loaders",
)
def class_missing(hit: Hit) -> Hypothesis | None:
    """A class of a library, or of the application, is not on the classpath."""
    name = hit.get("cls").replace("/", ".")
    if hit.get("init") or ("." not in name and name[:1].islower()):
        return None
    if "main class" in hit.document.window(hit.index, 1, 0):
        return None
    removed = re.match(r"javax\.(xml\.bind|annotation|activation|jws|xml\.ws)|sun\.misc\.BASE64", name)
    jakarta = re.match(r"javax\.(servlet|persistence|validation|inject|ws|mail|transaction)", name)
    if removed or jakarta:
        why = "was removed from the JDK (Java 11)" if removed else "moved from javax to jakarta in newer frameworks"
        fix = high(
            f"Add the dependency that has {name}, or migrate",
            f"{name} {why}: add it as a dependency (for example jakarta.xml.bind:jakarta.xml.bind-api), upgrade the library that needs it, or keep the framework and Java version it was built for",
            "<dependency>...</dependency>",
        )
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"The class {name} {why}, and a library still needs it{hit.at}: {hit.line}",
            0.86,
            (fix,),
            names=(name,),
        )
    own = is_own_java(name) and any(
        is_own_java(f.function) and f.function.split(".")[:2] == name.split(".")[:2]
        for f in (hit.trace.root.frames if hit.trace else ())
    )
    shown = hit.get("cls")
    driver = "driver" in name.lower() or "Driver" in hit.document.window(hit.index, 2, 0)
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY if not own else FailureType.MISSING_FILE,
        f"The class {shown} ({name}) is missing at run time: the library jar that holds it is not on the classpath{hit.at}: {hit.line}",
        0.93,
        (high(f"Put the library that holds {name} on the classpath", f"Add the dependency with {name.rsplit('.', 1)[0]} ({'the database driver; ' if driver else ''}scope runtime, not provided or test) and include its jar in the image or package (fat jar, lib folder)", "mvn dependency:tree && java -cp 'app.jar:lib/*' Main"), commit("pom.xml", "Package the missing library")),
        names=(name,),
    )  # fmt: skip


@line_rule(
    "java-class-version",
    "unsupportedclassversionerror|class file version|class file has wrong version|invalid source release|invalid target release|release version|source option|source release|wrong version",
    r"class file versions? (?P<have>\d+)\.\d[^\n]*up to (?P<want>\d+)|wrong version (?P<have2>\d+)\.\d+, should be (?P<want2>\d+)|UnsupportedClassVersionError|(?:invalid (?:source|target) release|release version|Source option|source release):? (?P<rel>[\d.]+)",
    source="JVM class file versions",
)
def class_version(hit: Hit) -> Hypothesis | None:
    """Compiled for a newer Java than the one that runs."""
    around = hit.document.window(hit.index, 1, 1)
    preview = re.search(r"Preview features are not enabled for (\S+)", around)
    if preview:
        return Hypothesis(
            FailureType.VERSION_INCOMPATIBILITY,
            f"{preview.group(1)} was compiled with preview features, which this Java does not enable: {hit.line}",
            0.95,
            (high("Start Java with --enable-preview, or compile without preview features", f"Add --enable-preview to the java command (JAVA_TOOL_OPTIONS) with the same Java version that compiled {preview.group(1)}, or build it without --enable-preview", "JAVA_TOOL_OPTIONS=--enable-preview"),),
            names=(preview.group(1),),
        )  # fmt: skip
    have, want = hit.get("have") or hit.get("have2"), hit.get("want") or hit.get("want2")
    if not have:
        numbers = re.findall(r"(?:version|to) (\d\d)\.0", around)
        have, want = ([*numbers, "", ""])[:2]
    release = hit.get("rel")
    text = (
        f"compiled for Java {JAVA_OF.get(have, have)} (class file version {have}), but Java {JAVA_OF.get(want, want)} runs it"
        if have
        else f"it wants Java {release}, which this JDK does not support"
    )
    cls = re.search(r"([\w/.$]+) has been compiled", around)
    target = JAVA_OF.get(have, release) or "17"
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"The Java versions do not fit: {cls.group(1) if cls else 'the code'} is {text}: {hit.line}",
        0.95,
        (
            high(
                f"Run with Java {target} or compile for the older one",
                f"Use a base image with Java {target} or newer (upgrade the JRE), or set the compiler's release to the version that runs (maven.compiler.release, options.release)",
                f"FROM eclipse-temurin:{target}-jre",
            ),
            commit("Dockerfile pom.xml", "Use one Java version"),
        ),
        names=("java", "java.version"),
    )


@line_rule(
    "java-method-missing",
    "nosuchmethoderror|nosuchfielderror|abstractmethoderror|incompatibleclasschange|nosuchmethodexception",
    r"(?P<kind>NoSuchMethodError|NoSuchFieldError|AbstractMethodError|IncompatibleClassChangeError): ?'?(?P<what>.+)",
    source="the JVM's linkage errors",
)
def linkage(hit: Hit) -> Hypothesis | None:
    """Two libraries were compiled against different versions of a third."""
    what = quoted(hit.get("what"), 160)
    named = re.search(r"((?:[a-z][\w]*\.){2,}[A-Z]\w*)", what)
    library = ".".join(named.group(1).split(".")[:3]) if named else "a library"
    change = changed(hit.scene, *(dep.name for dep in hit.scene.change.dependencies[:1]))
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible library versions: {what} does not exist in the version of {library} on the classpath{hit.at}: {hit.line}",
        0.93,
        (
            *align(
                change.name if change else library,
                "java",
                change,
                "",
                f"Align the versions of {library} and of the libraries that use it (dependencyManagement or a BOM); see which one brings the old one",
            ),
        ),
        names=(library, *(d.name for d in hit.scene.change.dependencies[:2])),
    )


@line_rule(
    "spring-start",
    "application failed to start|required a bean|no qualifying bean|nosuchbeandefinition|unsatisfieddependency|beancreationexception|beandefinition|no active profile|circular references|form a cycle|failed to configure a datasource|required a single bean, but",
    r"required a bean (?:of type|named) '(?P<bean>[^']+)'|No qualifying bean of type '(?P<q>[^']+)'|dependencies of some of the beans .* form a cycle|required a single bean, but (?P<n>\d+) were found|Failed to configure a DataSource",
    source="Spring Boot's failure analyzers",
)
def spring(hit: Hit) -> Hypothesis | None:
    """Spring Boot's own analysis of a failed start."""
    bean = hit.get("bean") or hit.get("q")
    if "DataSource" in hit.line:
        return Hypothesis(
            FailureType.MISSING_CONFIGURATION,
            f"The database address is not configured (spring.datasource.url): {hit.line}",
            0.92,
            (
                high(
                    "Set spring.datasource.url",
                    "Define SPRING_DATASOURCE_URL (and user and password) in the environment, or add the database's driver to the dependencies",
                    "SPRING_DATASOURCE_URL=jdbc:postgresql://db:5432/app",
                ),
            ),
            names=("spring.datasource.url",),
        )
    if not bean:
        return Hypothesis(
            FailureType.CODE_ERROR,
            f"Spring cannot wire the beans: {hit.line} {quoted(hit.document.window(hit.index + 1, 0, 6))}",
            0.85,
            (
                high(
                    "Break the cycle or choose one bean",
                    "Inject one of them lazily (@Lazy), or mark one with @Primary / @Qualifier",
                    "@Lazy",
                ),
            ),
        )
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Spring cannot start the application: no bean of type {bean} is defined: {hit.line}",
        0.85,
        (
            high(
                f"Define a bean of type {bean}",
                f"Annotate an implementation of {bean} (@Component, @Service, @Bean) within the component scan, add the starter that brings it, or activate the profile or property that enables it",
                "@Service",
            ),
        ),
        names=(bean,),
    )


@trace_rule("java-exception", "the JVM's exceptions and where the innermost own frame stands", "java")
def exception(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """Any other exception."""
    frame = trace.own_frame()
    said = f"{root.type}: {root.message} {_more(document, root.line)}".rstrip(": ")
    spot = f"{frame.file}:{frame.line}" if frame else ""
    own = root.name in (
        "NullPointerException",
        "IllegalStateException",
        "ClassCastException",
        "ArrayIndexOutOfBoundsException",
        "IndexOutOfBoundsException",
        "ArithmeticException",
        "StackOverflowError",
        "NumberFormatException",
        "UnsupportedOperationException",
        "ConcurrentModificationException",
        "StringIndexOutOfBoundsException",
        "ExceptionInInitializerError",
        "NoSuchElementException",
    )
    where = f" at {spot} ({frame.function})" if frame else ""
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Uncaught {quoted(said)}{where}",
        (0.8 if own else 0.62) if frame else 0.45,
        (high(f"Fix {spot or root.name}", f"{quoted(said)}{where}: check the value before it is used or handle the case", f"$EDITOR {spot.replace(':', ' +')}" if spot else ""), medium("Add a test that starts the application", "A start in a test finds it before the deployment")),
        names=(frame.file,) if frame else (),
    )  # fmt: skip


def _more(document: Document, index: int) -> str:
    """The lines of a message that goes on below its first one (Spring says there what it cannot map, and to what)."""
    taken: list[str] = []
    for line in document.lines[index + 1 : index + 5]:
        if re.match(r"\s*(?:at |\.\.\. \d|Caused by|Suppressed)|\d{4}-\d\d-\d\d", line) or not line.strip():
            break
        taken.append(line.strip())
    return " ".join(taken)


@line_rule(
    "java-module-missing",
    "findexception|resolutionexception|module not found:",
    r"FindException: Module (?P<a>[\w.]+) not found(?:, required by (?P<by>[\w.]+))?|error: module not found: (?P<b>[\w.]+)",
    source="the JVM's module layer at the start; javac",
)
def module_missing(hit: Hit) -> Hypothesis | None:
    """A module that another requires is not on the module path."""
    name, by = hit.get("a") or hit.get("b"), hit.get("by")
    return Hypothesis(
        FailureType.MISSING_DEPENDENCY,
        f"The Java module {name} is missing: it is not found on the module path{f' (required by {by})' if by else ''}: {hit.line}",
        0.95,
        (
            high(
                f"Add the jar of {name} to the module path",
                f"Put the jar that holds module {name} into the folder that --module-path names (the image must COPY it), or add it with --add-modules when the JDK or jlink runtime lacks it",
                f"java --module-path mods:lib --add-modules {name} ...",
            ),
        ),
        names=(name,),
    )
