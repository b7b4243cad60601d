"""Scripts of other languages, and errors without a trace."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted
from failback.diagnosis.rules.languages import fix_at
from failback.model.diagnosis import FailureType


@line_rule(
    "bare-exception",
    "error: |exception: |unhandled exception|uncaught|panic: |fatal: |fatal error",
    r"^(?:\S+ )?(?:Unhandled exception\.?|Uncaught|Fatal:?|FATAL:?|panic:)?[ :]*(?P<type>[\w.]*(?:Error|Exception))\b: (?P<message>.+)",
    source="an exception printed without its trace",
)
def bare(hit: Hit) -> Hypothesis | None:
    """An exception without a trace: weak, but better than nothing."""
    if hit.trace or (
        hit.document.role == "step" and hit.scene.step_type not in ("deploy", "verify", "docker", "build")
    ):
        return None
    building = hit.document.role == "step" and hit.scene.step_type in ("build", "docker")
    return Hypothesis(
        FailureType.BUILD_FAILURE if building else FailureType.CODE_ERROR,
        f"{hit.get('type')}: {quoted(hit.get('message'))}",
        0.45,
        (
            high(f"Fix what raises {hit.get('type')}", quoted(hit.get("message"))),
            medium("Print the stack trace", "The log shows the error without the place where it was raised"),
        ),
    )


@line_rule(
    "tcl-error",
    '(file "',
    r"(?P<what>[^\n]+)\n\s+while executing\n(?:[^\n]*\n){0,12}?\s*\(file \"(?P<file>[^\"]+)\" line (?P<line>\d+)\)",
    source="Tcl's errorInfo",
    before=9,
    most=1,
)
def tcl_error(hit: Hit) -> Hypothesis | None:
    """Tcl: the message, what was executed, and the file with its line."""
    file, line, what = hit.scene.in_release(hit.get("file")), int(hit.get("line")), hit.get("what")
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"Uncaught error in {file} line {line}: {quoted(what)}",
        0.84,
        fix_at(hit.scene, file, line, what, ""),
        names=(file,),
    )


@line_rule(
    "shell-arithmetic",
    "value too great for base|operand expected|arithmetic operator|division by 0|integer expression expected|unary operator expected|too many arguments|bad substitution|arithmetic expression",
    r"^(?P<file>[\w./-]+\.(?:ba|da|z)?sh|[\w./-]+(?=: line )): (?:line )?(?P<line>\d+): (?P<what>(?:\[+: )?[^\n]*?(?:value too great for base|operand expected|invalid arithmetic operator|division by 0|integer (?:expression )?expected|unary operator expected|\[: too many arguments|[Bb]ad substitution|arithmetic expression: )[^\n]*)",
    source="bash, dash and busybox: arithmetic, tests and expansions",
    most=1,
)
def shell_arithmetic(hit: Hit) -> Hypothesis | None:
    """A shell script calculates or compares with something that is no number, or is empty."""
    file, line, what = hit.scene.in_release(hit.get("file")), int(hit.get("line")), hit.get("what")
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"{file} line {line} fails, it computes or compares with a value that is not what it expects: {quoted(what)}",
        0.92,
        fix_at(hit.scene, file, line, what, "Quote the variable, give it a default (${NAME:-0}), and check that it is a number without leading zeros (10#$NAME)"),
        names=(file,),
    )  # fmt: skip


@line_rule(
    "stack-overflow",
    "overflowed its stack|stack exceeds|stack overflow|stack level too deep|maximum function nesting|maximum call stack",
    r"has overflowed its stack|goroutine stack exceeds (?P<limit>\d+)-byte limit|stack level too deep|[Mm]aximum function nesting level|(?:fatal runtime error: )?stack overflow\b",
    source="Rust's, Go's, Ruby's and PHP's runtimes when recursion does not end",
    most=1,
)
def stack_overflow(hit: Hit) -> Hypothesis | None:
    """The stack is full: a function calls itself without an end."""
    if hit.document.role == "step" and hit.scene.step_type in ("quality", "security"):
        return None
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"The stack overflowed: a function calls itself without an end (infinite recursion){hit.at}: {hit.line}",
        0.94,
        (
            high(
                f"End the recursion{hit.at}",
                "Find the function that repeats in the trace and correct the condition that ends it, or use a loop; a larger stack only delays it",
            ),
        ),
    )


@line_rule(
    "interpreter-error",
    ".lua:|.pl line|.pm line|.exs:|.ex:|.sh: |.rb:|.jl:|.r:|.erl:|.dart:|.swift:|.tcl:|.awk:|syntax error|** (",
    r"^(?:lua[\d.]*: |Error in |\*+ )?(?P<file>[\w./-]+\.(?:lua|sh|bash|exs?|jl|R|erl|dart|swift|tcl|awk|nim|cr|groovy|clj)):(?: line)? ?(?P<line>\d+):? (?P<what>(?!.*(?:not found|No such file|Permission denied|unbound variable|parameter (?:null|not set)|must be set|required)).+)$|^(?P<die>.{3,300}?) at (?P<pl>[\w./-]+\.(?:pl|pm|t)) line (?P<pline>\d+)\.?$",
    source="interpreters that print file, line and message (Lua, shells, Perl, Elixir, Julia, Dart)",
    flags=0,
    most=3,
)
def interpreter_error(hit: Hit) -> Hypothesis | None:
    """A script of a language without a parser of its own here."""
    if hit.document.role == "step" and hit.scene.step_type in ("quality", "security", "test"):
        return None
    file, line = hit.scene.in_release(hit.get("file") or hit.get("pl")), hit.get("line") or hit.get("pline")
    what = hit.get("what") or hit.get("die")
    if re.match(r"[A-Z][A-Z0-9_]{2,}: ", what) or "Can't locate" in what or "BEGIN failed" in what:
        return None
    syntax = re.search(r"syntax error|unexpected (?:end|token|EOF)|end of file unexpected|<eof>", what, re.IGNORECASE)
    return Hypothesis(
        FailureType.CODE_ERROR,
        f"{'Syntax error' if syntax else 'Uncaught error'} in {file} line {line}: {quoted(what)}",
        0.88 if syntax else 0.74,
        fix_at(
            hit.scene,
            file,
            int(line),
            what,
            "Correct the syntax: close what is open (fi, done, quotes, brackets)" if syntax else "",
        ),
        names=(file,),
    )


@line_rule(
    "elixir",
    "** (",
    r"^\s*(?:\d\d:\d\d:\d\d\.\d+ \[error\] )?\*\* \((?P<type>[A-Z][\w.]*|exit|throw|EXIT from [^)]*)\) (?P<what>.+)",
    source="the BEAM's exceptions as Elixir prints them",
    most=2,
)
def elixir(hit: Hit) -> Hypothesis | None:
    """** (Type) message, then file:line: function."""
    place = re.search(
        r"^\s+(?:\([^)]*\) )?((?!lib/elixir|\(elixir)[\w./-]+\.exs?):(\d+):",
        hit.document.window(hit.index + 1, 0, 14),
        re.MULTILINE,
    )
    spot = f"{place.group(1)}:{place.group(2)}" if place else ""
    kind = (
        FailureType.BUILD_FAILURE
        if "CompileError" in hit.get("type") or "SyntaxError" in hit.get("type") or "TokenMissing" in hit.get("type")
        else FailureType.CODE_ERROR
    )
    return Hypothesis(
        kind,
        f"Uncaught {hit.get('type')}: {quoted(hit.get('what'))}{f' at {spot}' if spot else ''}",
        0.84,
        fix_at(
            hit.scene,
            place.group(1) if place else "",
            int(place.group(2)) if place else 0,
            f"{hit.get('type')}: {hit.get('what')}",
        ),
        names=(place.group(1),) if place else (),
    )
