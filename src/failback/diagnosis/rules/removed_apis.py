"""A library that says itself that what was called is gone, and calls of well-known classes with arguments that a major version dropped."""

from __future__ import annotations

import re

from failback.diagnosis.recommend.packages import align, changed
from failback.diagnosis.rule import Hypothesis, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.packages import distribution_of
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

_GONE = re.compile(
    r"(?:[Vv]ersion \d[\w.]* (?:added|removed|dropped|changed|renamed)|no such method exists|(?:has|have|had) been (?:removed|renamed|replaced|dropped)|(?:was|were) (?:removed|renamed|replaced|dropped) (?:in|from|by|with)"
    r"|(?:is|are) no longer (?:supported|available|accepted|part of|allowed)|no longer (?:supports|accepts|exists)|(?:is )?deprecated and (?:should|must|has) |not supported (?:since|as of|in version)|since (?:version |v)\d[\d.]*|migration guide|removed in (?:version |v)?\d)",
)
# (class, argument) -> (package, first version without it, what replaces it): their changelogs.
_DROPPED = {
    ("Retry", "method_whitelist"): ("urllib3", "2", "allowed_methods"),
    ("Elasticsearch", "use_ssl"): ("elasticsearch", "8", "an https:// address"),
    ("Elasticsearch", "http_auth"): ("elasticsearch", "9", "basic_auth"),
    ("Field", "missing"): ("marshmallow", "4", "load_default"),
    ("Field", "default"): ("marshmallow", "4", "dump_default"),
    ("Client", "proxies"): ("httpx", "0.28", "proxy"),
    ("AsyncClient", "app"): ("httpx", "0.28", "transport=ASGITransport(app)"),
    ("OneHotEncoder", "sparse"): ("scikit-learn", "1.4", "sparse_output"),
}


@trace_rule(
    "api-removed-said", "libraries that explain what a new major version took away", "python|node|ruby|java|php"
)
def said_gone(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A library raises on purpose: what the code calls was removed or changed in the installed version."""
    last = root.frames[-1] if root.frames else None
    package = last.package if last else None
    gone = _GONE.search(root.message)
    if package is None or gone is None:
        return None
    place = scene.place_of(trace)
    language = {"python": "python", "node": "node", "ruby": "ruby", "java": "java", "php": "php"}[trace.kind]
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"The installed version of {package} no longer has what the code calls{f' at {place}' if place else ''}: {root.name}: {quoted(root.message, 260)}",
        0.88,
        align(
            package,
            language,
            changed(scene, package),
            "",
            f"Pin {package} to the last major version that has it (downgrade), or change the call{f' at {place}' if place else ''} as the message says: {quoted(root.message, 200)}",
        ),
        names=(package,),
        loud=True,
    )


@trace_rule("argument-dropped", "changelogs of the libraries: arguments that a major version dropped", "python")
def argument_dropped(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """A constructor of a well-known library is called with an argument that its new version dropped."""
    call = re.search(r"(?P<cls>\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(?P<arg>\w+)'", root.message)
    if call is None:
        return None
    cls, argument = call.group("cls"), call.group("arg")
    known = _DROPPED.get((cls, argument))
    change = next(
        (dep for dep in scene.change.dependencies if distribution_of(cls.lower()).lower() == dep.name.lower()), None
    )
    if known is None and change is None:
        return None
    package, version, instead = known or (change.name if change else "", change.new if change else "", "")
    place = scene.place_of(trace)
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"Incompatible version: {cls} of {package} no longer accepts {argument}{f' (dropped in {package} {version})' if version else ''}{f', called at {place}' if place else ''}: {root.name}: {quoted(root.message)}",
        0.9,
        align(
            package,
            "python",
            change or changed(scene, package),
            "",
            f"Pin {package} below {version or 'the new version'} (downgrade), or pass {instead or 'what replaces it'} instead of {argument}{f' at {place}' if place else ''}",
        ),
        names=(package,),
    )
