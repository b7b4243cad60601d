"""Names that a library does not know: time zones, the version of a host, parts of its own configuration."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hit, Hypothesis, line_rule, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_ZONE = re.compile(r"(?:[Uu]nknown|[Bb]ad|[Ii]nvalid|[Uu]nrecogni[sz]ed)(?: or bad)? time-?zone(?: ID| name| identifier)?:? ?\(?[`'\"]?(?P<zone>[\w/+-]+)")  # fmt: skip


@trace_rule("time-zone-unknown", "java.time, PHP's DateTimeZone, TZInfo, Intl", "java|php|ruby|node")
def zone(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A time zone's name is not in the time zone database."""
    found = _ZONE.search(root.message)
    return _zone(found.group("zone"), f"{root.name}: {root.message}", scene.place_of(trace)) if found else None


@line_rule("time-zone-unknown-php", "bad timezone", r"Unknown or bad timezone \((?P<zone>[^)]*)\)[^\n]*? in (?P<file>\S+\.php)(?: on line |:)(?P<no>\d+)", source="PHP's DateTimeZone")  # fmt: skip
def zone_php(hit: Hit) -> Hypothesis | None:
    """The same in PHP, whose fatal errors are no trace."""
    return _zone(hit.get("zone"), hit.line, f"{hit.scene.in_release(hit.get('file'))}:{hit.get('no')}")


def _zone(name: str, said: str, place: str) -> Hypothesis:
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The time zone {name or '(empty)'} is not known (invalid name){f', used at {place}' if place else ''}: {quoted(said, 200)}",
        0.93,
        (high(f"Correct the time zone {name}", f"Set the variable or key that holds it to a valid name of the time zone database (Area/City, such as Europe/Berlin or UTC); check the spelling{f', read at {place}' if place else ''}", "TZ=Europe/Berlin"),),
        names=(name,),
    )  # fmt: skip


@trace_rule("plugin-expects-host", "fastify-plugin and other plug-ins that check the version of their host", "node|python|ruby")  # fmt: skip
def plugin_expects(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A plug-in says which version of its host it expects, and which one is there."""
    found = re.search(
        r"(?P<who>@?[\w./-]+) ?[-:]? expected ['\"]?(?P<want>[\^~<>=]*[\dx][\w.x-]*)['\"]? (?P<host>[\w@/.-]+) version, ['\"]?(?P<have>\d[\w.-]*)['\"]? is installed",
        root.message,
    )
    if found is None:
        return None
    who, want, host, have = found.group("who", "want", "host", "have")
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"{who} does not fit the installed {host}: it expects version {want}, and {have} is installed: {root.name}: {quoted(root.message, 200)}",
        0.93,
        (high(f"Align the versions of {who} and {host}", f"Upgrade {host} to {want}, or pin {who} to the major version that was made for {host} {have.split('.')[0]} (downgrade), and commit the lock file", f"npm install {host}@{want}   # or: npm install {who}@<version for {host} {have.split('.')[0]}>"),),
        names=(who, host),
    )  # fmt: skip


@line_rule("library-configuration-problem", "problem with", r"[Pp]roblem with (?:the )?(?:(?P<lib>[\w.-]+) )?config(?:uration)?: (?P<why>[\s\S]{0,1200}?)(?=\n\s+at |\Z)", source="log4js", lines=14)  # fmt: skip
def configuration_problem(hit: Hit) -> Hypothesis | None:
    """A library shows the configuration that it was given, and what is wrong in it below."""
    said = [line.strip() for line in hit.get("why").split("\n") if line.strip()]
    if not said:
        return None
    last = said[-1]
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The configuration of {hit.get('lib') or 'a library'} is invalid{hit.at}: {quoted(last, 240)}",
        0.9,
        (
            high(
                f"Correct the configuration of {hit.get('lib') or 'the library'}{hit.at}",
                f"Define or rename what it names: {quoted(last, 200)}",
                "",
            ),
        ),
        names=(hit.get("lib"),) if hit.get("lib") else (),
    )
