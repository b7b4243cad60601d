"""The last resort before "unknown": what a program's own last words say, by noun and verb, where no rule knows the sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from failback.diagnosis.recommend import high
from failback.diagnosis.rule import Hypothesis, placed, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.facts.signatures import error_lines
from failback.model.diagnosis import FailureType

SURE = 0.49  # below every rule that knows its mechanism (and no support for one), above a bare "Error:"
LINES_MAX = 12
LAST_LINES = 4
_ABSENT = r"(?:not (?:be )?(?:found|exist|installed|located|available|present|loaded)|n't (?:exist|be found|found|be loaded|be located)|missing|no such|cannot (?:find|load|locate)|could not (?:find|load|locate)|unable to (?:find|load|locate)|failed to (?:find|load|locate))"
_WRONG = r"(?:invalid|malformed|illegal|unallowed|unknown|unrecogni[sz]ed|unsupported|not supported|unexpected|(?:cannot|can't|could not|failed to|unable to|error) pars\w+|not a valid|not valid|must (?:not )?be\b|out of range|should be|conflict\w*|mutually exclusive|cannot be (?:used|combined)|too (?:small|large|short|long|low|high)|mismatch|duplicate)"
_UNSET = r"(?:not set|not (?:been )?(?:configured|provided|specified|defined|given|supplied|initiali[sz]ed)|is (?:required|missing|empty|unset|undefined|blank|mandatory)|missing|required|must (?:be (?:set|provided|specified|configured|given)|not be (?:empty|blank|null)|specify|provide|set)|needs? to be (?:set|provided)|no default|undefined|no value)"
_SETTING = r"(?:env(?:ironment)?(?: variable)?s?|variable|setting|config\w*|option|parameter|propert(?:y|ies)|key|secret|token|api.?key|password|credential|dsn|url|uri|endpoint|flag|argument|field|value|license|level|format|address|port|timeout|interval|duration|size|mode|region|bucket|host(?:name)?|user(?:name)?|section|entry|directive)"
_NAME = r"(?:\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|--[a-z][\w-]+|\b[a-z]\w*(?:\.[a-z]\w+)+\b|[\"'`][\w.-]+[\"'`])"

# (what the line says, its type, what to do): the first that fits. Each needs a noun and a verb.
_SAYINGS: tuple[tuple[re.Pattern[str], FailureType, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, action)
    for pattern, kind, action in (
        (r"(?:out of|not enough|insufficient|exhausted?|(?:cannot|could not|failed to|unable to) allocate)[^\n]{0,30}\bmemory\b", FailureType.MEMORY_LIMIT, "Raise the memory limit, or let it need less"),
        (r"no space|disk (?:is )?full|disk quota", FailureType.DISK_FULL, "Free disk space, or enlarge the volume"),
        (r"(?:address|port|socket)\b[^\n]{0,60}\b(?:in use|already (?:bound|taken|used|listening)|is taken)", FailureType.PORT_CONFLICT, "Free the port, or use another one"),
        (r"\b(?:certificate|tls|ssl|x509)\b[^\n]{0,80}(?:expired|verif|unknown|untrusted|invalid|fail|mismatch|handshake)", FailureType.TLS_CERTIFICATE, "Correct the certificate"),
        (r"(?:not writ(?:e|ea)?able|not readable|permission|read.only file|access (?:is )?denied to (?:file|path|/))[^\n]{0,80}(?:/[\w.-]+|file|director|folder|path)|(?:/[\w.-]+|file|director|folder|path)\S*[^\n]{0,60}(?:not writ(?:e|ea)?able|not readable|no (?:write|read) (?:access|permission))", FailureType.FILESYSTEM_PERMISSION, "Give the user that it runs as access to the path (chown, owner, a writable volume)"),
        (r"\b(?:migrations?|schema|database version)\b[^\n]{0,80}(?:fail|error|pending|not applied|mismatch|behind|out.of.date|missing|unsupported|too (?:old|new))", FailureType.MIGRATION_FAILED, "Run or correct the migration"),
        (r"(?:authenticat\w+|login|log in|sign.in|credentials?|unauthori[sz]ed|access token)[^\n]{0,60}(?:fail|denied|invalid|incorrect|wrong|rejected|refused|expired|bad)|(?:invalid|wrong|incorrect|bad|rejected) (?:user(?:name)?|password|credentials?|access token|login)", FailureType.DEPENDENCY_AUTH, "Correct the credentials (user, password or token)"),
        (r"(?:connect(?:ion|ing)?|dial|reach|contact|ping|resolve|handshake)\b[^\n]{0,80}(?:fail|refused|time[d ]?.?out|unable|could ?n[o']t|cannot|lost|closed|reset|unreachable|error|gave up|giving up)|(?:fail\w*|unable|could ?n[o']t|cannot|can't|error)[^\n]{0,25}(?:connect|dial|reach|contact|ping)\w*\b", FailureType.DEPENDENCY_UNREACHABLE, "Start what it connects to, or correct the address"),
        (r"\b(?:requires?|needs?|expects?|supports?|built for|compiled (?:for|with|against)|incompatible|unsupported|mismatch\w*)\b[^\n]{0,60}\bversions?\b|\bversions?\b[^\n]{0,60}(?:incompatible|unsupported|not supported|mismatch|too (?:old|new|low)|required|does not match|no longer)|(?:no longer|not) supported (?:since|in|by|as of)|(?:was|has been|were) removed (?:in|since|from)", FailureType.VERSION_INCOMPATIBILITY, "Pin or upgrade to a version that fits"),
        (rf"\b(?:sub)?(?:command|task|executable|binary|program)\b[^\n]{{0,60}}(?:{_ABSENT}|unknown|not defined|not recogni[sz]ed|does not exist)|(?:unknown|no such|unrecogni[sz]ed|invalid) (?:sub)?(?:command|task|executable)\b", FailureType.BAD_COMMAND, "Correct the command that is started"),
        (rf"\b(?:module|package|library|plug-?in|extension|driver|gem|crate|assembly|dependenc(?:y|ies)|codec|adapter|provider|shared object|addon|add-on)s?\b[^\n]{{0,80}}{_ABSENT}|{_ABSENT}[^\n]{{0,40}}\b(?:module|package|library|plug-?in|extension|driver|gem|crate|assembly|dependency|addon|add-on)\b", FailureType.MISSING_DEPENDENCY, "Install it (add it to the dependencies or the image)"),
        (rf"\b(?:file|folder|director(?:y|ies)|template|asset|path|archive|fixture|script|keystore|bundle|dataset|model)\b[^\n]{{0,100}}{_ABSENT}|{_ABSENT}[^\n]{{0,60}}\b(?:file|folder|directory|template|asset|path|keystore|archive)\b|{_ABSENT}[^\n]{{0,40}}/[\w.-]+/[\w./-]+", FailureType.MISSING_FILE, "Add the file to the release (COPY it into the image), or correct its path"),
        (rf"{_NAME}[^\n]{{0,60}}\b{_UNSET}|\b{_SETTING}s?\b[^\n]{{0,60}}\b{_UNSET}|\b(?:missing|no|without|undefined|unset)\b (?:\w+ ){{0,3}}{_SETTING}\b|\b(?:must|needs? to|has to) be (?:set|configured|provided)\b|\b(?:needs?|requires?) (?:an? |the )?(?:valid )?(?:[\w.]+ ){{0,2}}{_SETTING}\b", FailureType.MISSING_CONFIGURATION, "Set it in the environment or configuration"),
        (r"did not (?:finish|complete|start|respond|answer|become (?:ready|healthy|available))[^\n]{0,60}\b(?:within|in time|after)|\b(?:gave up|giving up|timed out|deadline exceeded)\b[^\n]{0,60}\bafter\b|timed out waiting", FailureType.TIMEOUT, "Give it more time, or find out what it waits for"),
        (rf"\bnot one of\b|\bmust be one of\b|expected (?:exactly |at least |one of )?[^\n]{{1,50}}(?:,|;| but)? (?:found|got|was|received)\b|\b{_SETTING}s?\b[^\n]{{0,80}}\b{_WRONG}|\b{_WRONG}\b[^\n]{{0,80}}\b{_SETTING}\b|{_NAME}[^\n]{{0,50}}\b{_WRONG}|^[\"'`]?[\w./-]+\.(?:ya?ml|json5?|toml|ini|conf|cfg|properties|xml|hcl)[\"'`]?(?::\d+)*: [^\n]*(?:{_WRONG}|not allowed|expected|wrong|bad)\b", FailureType.INVALID_CONFIGURATION, "Correct the value in the environment or configuration"),
    )
)  # fmt: skip
_NO_WORDS = re.compile(r"^\s*(?:at |File \"|usage:|-{1,2}\w|\w+:\s*$)|\b(?:GET|POST|PUT|HEAD|DELETE) /", re.IGNORECASE)


@scene_rule("plain-words", "the nouns and verbs in which programs of any language report that they cannot start")
def plain_words(scene: Scene) -> Iterable[Hypothesis]:
    """A service that ended with a sentence nobody here knows: what is absent, wrong, refused or unreachable in it."""
    if scene.evidence.exit_code == 0:
        return
    for document in scene.documents:
        if document.role == "step" and scene.step_type not in ("deploy", "verify", ""):
            continue
        for index in _last_words(document, scene):
            said = document.lines[index].strip()[:600]
            meaning = meaning_of(said)
            if meaning is None:
                continue
            kind, action = meaning
            yield placed(
                Hypothesis(
                    kind,
                    quoted(said),
                    SURE,
                    (high(f"{action}: {quoted(said, 160)}", f"The program says what it stops at: {quoted(said)}"),),
                ),
                document,
                index,
                scene,
            )


def meaning_of(said: str) -> tuple[FailureType, str] | None:
    """(type, what to do) of a sentence by its nouns and verbs; None where it has none of them."""
    return next(((kind, action) for words, kind, action in _SAYINGS if words.search(said)), None)


def _last_words(document: Document, scene: Scene) -> Iterator[int]:
    """The lines that may tell why it ended: marked as errors, and the last ones; none of a trace, new ones only."""
    marked = list(error_lines(document).values())[-LINES_MAX:]
    last = [index for index, line in enumerate(document.lines) if line.strip()][-LAST_LINES:]
    for index in sorted({*marked, *last}):
        line = document.lines[index]
        if (
            document.trace_at(index) is not None
            or _NO_WORDS.search(line[:300])
            or document.level(index) in ("INFO", "DEBUG")
        ):
            continue
        if not scene.is_old(document, index) and not scene.is_deprecation(document, index):
            yield index
