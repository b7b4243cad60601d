"""Start commands that name the wrong thing: a folder, a module that does not exist, an option or a subcommand nobody knows."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_COMMAND = FailureType.BAD_COMMAND
_RUNS = "deploy|verify|"

ROWS = (
    row(
        "start-is-a-directory",
        "is a directory|eisdir|__main__",
        r"^(?:(?:/\S*/)?\w*sh: )?(?:line )?(?:\d+: )?(?:exec: )?(?P<a>[\w./@-]+): Is a directory$|exec: \\?\"(?P<b>[^\"\\]+)\\?\": is a directory|can't find '__main__' module in '?(?P<c>[^'\n]+)|(?:python\S*: )?can't open file '(?P<d>[^']+)': \[Errno 21\]|cannot execute: Is a directory",
        _COMMAND,
        "The start command names a directory and no program: {a}{b}{c}{d} is a directory",
        "Name the program (binary) in the start command instead of the directory {a}{b}{c}{d}",
        "Correct the command or entrypoint: the path of the binary inside {a}{b}{c}{d}, or build the binary so that it lies at that path",
        "ls -l {a}{b}{c}{d}",
        source="execve(2) of a directory: EACCES, which shells print as EISDIR; exit 126",
        sure=0.93,
        steps=_RUNS,
    ),
    row(
        "start-source-not-compiled",
        "err_unknown_file_extension|unknown file extension",
        r"Unknown file extension \"(?P<ext>\.(?:[cm]?tsx?|jsx|vue|svelte))\" for (?P<file>\S+)",
        _COMMAND,
        "Node.js is started with a source file that it cannot run: unknown extension {ext} of {file}; it was not compiled",
        "Start the compiled .js file (dist) instead of {file}",
        "Compile in the build (tsc, a bundler) and name the output, such as dist/main.js, in the start command; or start with a loader that is in the dependencies (tsx)",
        "node dist/main.js",
        source="Node.js' module loader",
        sure=0.95,
    ),
    row(
        "start-module-unknown",
        "unable to load celery application|could not import module|error loading asgi|failed to find application object|failed to find attribute|could not import '|no such command|while importing '|could not locate a flask|failed to parse '|attribute \\\"|not found in module|couldn't import|import string|not formatted",
        r"Unable to load celery application\.?[\s\S]{0,80}?(?:The )?module (?P<a>\S+) was not found|Could not import module \"(?P<b>[^\"]+)\"|Attribute \"(?P<c>[^\"]+)\" not found in module \"(?P<c2>[^\"]+)\"|Failed to find (?:application object|attribute) '(?P<d>[^']+)' in '(?P<d2>[^']+)'|(?:Error: )?Could not import '(?P<e>[^']+)'|(?:Error: )?Failed to find (?:Flask|FastAPI) (?:application|app)[^\n]*in module '(?P<f>[^']+)'|Could not locate a Flask application[^\n]*|Import string \"(?P<g>[^\"]+)\" must be in format",
        _COMMAND,
        "The start command names an application that does not exist: {a}{b}{c} {c2}{d} {d2}{e}{f}{g} cannot be loaded (no such module or attribute; not found)",
        "Correct the application's name in the start command: {a}{b}{c}{d}{e}{f}{g}",
        "Name the module and object that the release has (module:app; -A or --app for Celery and Flask), start in the folder that holds the package, or ship the missing module",
        "gunicorn PACKAGE.MODULE:app   # celery -A PACKAGE worker",
        source="Celery, uvicorn, gunicorn, Flask, hypercorn",
        sure=0.91,
        steps=_RUNS,
        lines=2,
    ),
    row(
        "start-option-unknown",
        "unknown flag|unknown shorthand|unrecognized option|unrecognised option|unrecognized arguments|invalid option|unknown option|no such option|bad option|unrecognized vm option|flag provided but not defined|unexpected argument|unknown command|unknown subcommand|invalid choice|illegal option|could not find or load main class|unable to access jarfile|no main manifest|missing script|no such command|unrecognized subcommand|invalid maximum heap|does not accept|invalid argument",
        r"[Uu]nknown (?:shorthand )?(?:flag|option|switch|argument|command|subcommand):? ?[\"'`]?(?P<a>[\w=./:-]*)|[Uu]nrecogni[sz]ed (?:VM )?(?:option|arguments?|subcommand):? ?[\"'`]?(?P<b>[\w=./:-]*)|[Ii]nvalid option:? ?(?:-- )?[\"'`]?(?P<c>[\w=./:-]*)|illegal option:? ?(?:-- )?[\"'`]?(?P<d>[\w=./:-]*)|No such (?:option|command):? ?[\"'`]?(?P<e>[\w=./:-]*)|bad option:? ?(?P<f>\S+)|flag provided but not defined: (?P<g>\S+)|unexpected argument '(?P<h>[^']+)'|argument \S+: invalid choice: '(?P<i>[^']+)'|Could not find or load main class (?P<j>\S+)|Unable to access jarfile (?P<k>\S+)|no main manifest attribute, in (?P<l>\S+)|Missing script:? ?[\"']?(?P<m>[\w:.-]+)|Invalid maximum heap size: (?P<n>\S+)",
        _COMMAND,
        "The start command is wrong: the program does not know {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n} (unknown option, argument, subcommand, class or script)",
        "Correct the start command: {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}",
        "Remove or correct it in the command, args or entrypoint; look at what this version of the program knows (--help), since options are renamed between versions",
        "PROGRAM --help",
        source="getopt, argparse, click, cobra, clap, Go's flag, the JVM's and Node.js' launchers, npm",
        sure=0.76,  # the words are common, and tools called by the program say them as well
        steps=_RUNS,
        unless=r"SQLSTATE|psql|redis|ERR unknown command|nginx|haproxy|config|property|setting",
    ),
)  # fmt: skip
