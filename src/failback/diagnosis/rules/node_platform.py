"""What only a newer Node.js has: globals and methods of the language, with the version that brought them."""

from __future__ import annotations

import re

from failback.diagnosis.recommend.packages import align
from failback.diagnosis.rule import Hypothesis, quoted, trace_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.traces import Raised, Trace
from failback.model.diagnosis import FailureType

# node.green and the change log of Node.js: the first release line without a flag.
_GLOBALS = {
    **dict.fromkeys(("fetch", "Headers", "Request", "Response", "FormData", "Blob", "BroadcastChannel"), "18"),
    **dict.fromkeys(("structuredClone", "ReadableStream", "WritableStream", "TransformStream", "CompressionStream"), "18"),
    **dict.fromkeys(("crypto", "CustomEvent", "File"), "20"),
    **dict.fromkeys(("navigator", "WebSocket", "Iterator"), "22"),
    **dict.fromkeys(("AggregateError", "AbortController", "WeakRef", "FinalizationRegistry"), "16"),
}  # fmt: skip
_METHODS = {
    **dict.fromkeys(("replaceAll", "any"), "16"),
    **dict.fromkeys(("findLast", "findLastIndex", "hasOwn"), "18"),
    **dict.fromkeys(("toSorted", "toReversed", "toSpliced", "isWellFormed", "toWellFormed"), "20"),
    **dict.fromkeys(("groupBy", "withResolvers", "fromAsync", "isSubsetOf", "isSupersetOf", "symmetricDifference"), "22"),
}  # fmt: skip
_UNDEFINED = re.compile(r"^(?P<name>\w+) is not (?:defined|a constructor)$")
_NO_METHOD = re.compile(r"(?:^|\.)(?P<name>\w+) is not a function")
_RUNS = re.compile(r"Node\.js v(\d+)")


@trace_rule("node-platform", "node.green and the change log of Node.js", "node")
def platform(scene: Scene, document: Document, trace: Trace, root: Raised) -> Hypothesis | None:
    """The code uses a global or method that this Node.js does not have yet."""
    undefined, method = _UNDEFINED.search(root.message), _NO_METHOD.search(root.message)
    since = ""
    if undefined and root.name == "ReferenceError":
        since = _GLOBALS.get(undefined.group("name"), "")
    elif method:
        since = _METHODS.get(method.group("name"), "")
    runs = _RUNS.search(document.text[-4_000:])
    if not since or (runs and int(runs.group(1)) >= int(since)):
        return None
    name = (undefined or method).group("name")  # type: ignore[union-attr]
    place = scene.place_of(trace)
    return Hypothesis(
        FailureType.VERSION_INCOMPATIBILITY,
        f"This version of Node.js does not have {name} (it came with Node.js {since}){f', used at {place}' if place else ''}: {root.name}: {quoted(root.message, 160)}",
        0.9,
        align("node", "node", scene.change.runtime(), "", f"Upgrade to Node.js {since} or newer (FROM node:{since}-alpine), or use a package that provides {name} (node-fetch or undici for fetch, core-js) or an older way{f' at {place}' if place else ''}"),
        names=("node", name),
    )  # fmt: skip
