"""Objects that a container cannot build, and drivers that the code asks for and nobody installed."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_N = r"[\w.$<>@\\/-]+"

ROWS = (
    row(
        "injection-unresolved",
        "resolve dependenc|was bound|no matching bindings|no provider for|cannot inject|could not resolve|unsatisfied dependenc|no bean of type|no definition found|non-existent service|is not instantiable|unresolvable dependency|no bean definition found|unable to resolve service|missing bindings|nullinjectorerror|does not exist in the container",
        rf"can't resolve dependencies of the (?P<a>{_N}) \((?P<a2>[^)]*)\)(?:[^\n]*argument \"?(?P<a3>[\w$.]+)\"? at index)?|No implementation for (?P<b>{_N}) was bound|No matching bindings found for serviceIdentifier: ?(?P<c>[^\n]+)|No provider for (?P<d>{_N})|Cannot inject the dependency (?P<e>[^\n]+)|AwilixResolutionError: Could not resolve '(?P<f>[^']+)'|[Uu]nsatisfied dependenc(?:y|ies) for type \[?(?P<g>{_N})|No bean of type \[(?P<h>{_N})\] exists|No (?:bean )?definition found for (?:class:|type )?'?(?P<i>{_N})|service \"(?P<j>[^\"]+)\" has a dependency on a non-existent service \"(?P<j2>[^\"]+)\"|Target \[(?P<k>{_N})\] is not instantiable|Unresolvable dependency resolving \[(?P<l>[^\]]+)\]|Unable to resolve service for type '(?P<m>[^']+)'",
        FailureType.CODE_ERROR,
        "The dependency injection cannot resolve what the code asks for: {a} {a3}{b}{c}{d}{e}{f}{g}{h}{i}{j} {j2}{k}{l}{m} has no binding (no implementation or provider is bound)",
        "Bind (provide) {a3}{b}{c}{d}{e}{f}{g}{h}{i}{j2}{k}{l}{m}",
        "Register {a3}{b}{c}{d}{e}{f}{g}{h}{i}{j2}{k}{l}{m} in the module that {a}{j} belongs to (providers, exports and imports of the module; bind(...).to(...); an annotation on the implementation), or correct the type that is asked for",
        source="NestJS, Angular, Guice, CDI, Micronaut, Koin, InversifyJS, tsyringe, Awilix, Symfony, Laravel, .NET",
        sure=0.93,
        steps="-quality|security",
        lines=2,
    ),
    row(
        "install-asked",
        "please install|manually|not been found installed|npm install|npm i |yarn add|pnpm add|pip install|pip3 install|gem install|composer require|go get|transport target|missing optional dependency|needs to be installed|need to install|must be installed|not installed|requires the|to be installed|bun add|bun install",
        r"(?:Error|Exception|error|panic|Warning|ERROR|FATAL|fatal)\b[^\n]*?(?:[Pp]lease install (?:the )?[\"'`]?(?P<a>@?[\w./-]+)[\"'`]?(?: package| module| library| gem)?(?: manually)?|(?:run|using|with|via|do|:|try) ?[\"'`]{0,2}(?:npm|yarn|pnpm|bun) (?:install|add|i) (?:-\S+ )*(?P<b>@?[\w./-]+)|[\"'`(]?pip3? install (?:-\S+ )*[\"'`]?(?P<c>[\w.-]+)|[\"'`(]?gem install (?P<d>[\w.-]+)|composer require (?P<e>[\w./-]+)|unable to determine transport target for \"(?P<f>[^\"]+)\"|Missing optional dependency '(?P<g>[^']+)'|(?:requires|needs) (?:the )?[\"'`]?(?P<k>@?[\w./-]+)[\"'`]?(?: package| module| library| gem| extension)? to be installed|(?P<h>@?[\w./-]+) (?:must|needs to) be installed|[Yy]ou need to install (?:the )?[\"'`]?(?P<i>@?[\w./-]+))|\"(?P<j>@?[\w./-]+)\"? (?:is )?not installed[^\n]*(?:[Ii]nstall it|[Rr]un)[^\n]*",
        FailureType.MISSING_DEPENDENCY,
        "A package that the code uses is not installed (missing): {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}",
        "Install {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k} and add it to the dependencies",
        "Add {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k} to the dependencies (not only the development ones) in package.json, requirements or the like, update the lock file and build the image again",
        "npm install {a}{b}{f}   # or: pip install {c}{g}",
        source="libraries that load a driver, a transport or an optional part by name (Sequelize, TypeORM, pino, pandas, Knex)",
        sure=0.9,
        steps="deploy|verify|test|build|quality|security|",
        unless=r"upgrade|--upgrade|newer version|vulnerab|[Dd]eprecat|notice|browsers?\b",
    ),
    row(
        "driver-not-linked",
        "forgotten import|unsatisfiedlinkerror|can't find bundle",
        r"unknown driver \"(?P<a>[^\"]+)\" \(forgotten import\?\)|UnsatisfiedLinkError: no (?P<b>\S+) in (?:java\.library\.path|system library path)|UnsatisfiedLinkError: Unable to load library '(?P<c>[^']+)'",
        FailureType.MISSING_DEPENDENCY,
        "The driver or native library {a}{b}{c} is missing in the program: nothing imports or ships it",
        "Import or install the driver or library {a}{b}{c}",
        "In Go import the driver's package (import _ \"...\") so that it registers itself; in Java install the native library (lib{b}{c}.so) in the image and name its folder with -Djava.library.path",
        "import _ \"github.com/lib/pq\"   # Java: -Djava.library.path=/usr/lib/jni",
        source="Go's database/sql; the JVM's System.loadLibrary and JNA",
        sure=0.95,
    ),
    row(
        "resource-bundle-missing",
        "missingresourceexception",
        r"MissingResourceException: Can't find (?:bundle for base name (?P<a>[\w./$-]+)(?:, locale (?P<loc>\w+))?|resource for bundle (?P<b>[\w.$]+), key (?P<key>[\w.-]+))",
        FailureType.MISSING_FILE,
        "The resource bundle {a}{b} {key} is missing from the release (not found on the classpath)",
        "Add the file {a}{b}.properties (and {a}_{loc}) to the jar",
        "Put {a}{b}.properties with the key {key} into src/main/resources, in the package that its name has, and look that the build copies it into the jar",
        "jar tf app.jar | grep {a}{b}",
        source="java.util.ResourceBundle",
        sure=0.95,
    ),
    row(
        "passlib-bcrypt",
        "error reading bcrypt version|no attribute '__about__'",
        r"\(trapped\) error reading bcrypt version|module 'bcrypt' has no attribute '__about__'",
        FailureType.VERSION_INCOMPATIBILITY,
        "passlib does not work with the installed version of bcrypt: it reads an attribute that newer versions no longer have, and its self-test then fails (72 bytes)",
        "Pin bcrypt below 4.1 (bcrypt<4.1), or replace passlib",
        "passlib 1.7.4 is the last one and does not know bcrypt 4.1 and newer: pin bcrypt==4.0.1, or call bcrypt directly",
        "pip install 'bcrypt==4.0.1'",
        source="passlib 1.7.4 reads bcrypt.__about__, which bcrypt 4.1 removed; bcrypt 5 refuses more than 72 bytes",
        sure=0.93,
        loud=True,
    ),
)  # fmt: skip
