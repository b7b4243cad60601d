"""Steps that ran past their time: what hung, and where it stood when it was ended."""

from __future__ import annotations

import re
from collections.abc import Iterable

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hypothesis, placed, quoted, scene_rule
from failback.diagnosis.scene import Scene
from failback.facts.document import Document
from failback.model.diagnosis import FailureType, Recommendation

_OPEN_HANDLES = re.compile(
    r"Jest did not exit|asynchronous operations that weren't stopped|open handle|did not exit (?:in time|gracefully)|worker process has failed to exit",
    re.IGNORECASE,
)
_ENDED = re.compile(
    r"^timeout: sending signal|terminated by timeout|execution took longer than|exceeded the maximum execution time|maximum execution time|timed out after|time ?limit|timeout exceeded|deadline exceeded|Terminated$",
    re.IGNORECASE,
)
_CI_LIMIT = re.compile(
    r"exceeded the maximum execution time|execution took longer than|step (?:has )?timed out|job (?:has )?timed out|Build timed out|No output has been received in the last",
    re.IGNORECASE,
)
_GO_TEST = re.compile(r"panic: test timed out after (\S+)")
_OWN = re.compile(r"^\s+\S*?([\w./-]+_test\.go|[\w./-]+\.go):(\d+)")


@scene_rule("step-timeout", "timeout(1) ends with 124; CI runners' own sentences; test runners that never exit")
def step_timeout(scene: Scene) -> Iterable[Hypothesis]:
    """A step that was ended for its time: the last thing it printed says where it hung."""
    document = scene.step
    late = scene.evidence.timed_out_after_s
    if late is None and scene.evidence.exit_code != 124 and not (document and _CI_LIMIT.search(document.text[-4_000:])):
        return
    if scene.step_type == "deploy" and late is not None and scene.logs:
        return
    text = document.text[-20_000:] if document else ""
    limit = f" after {late:g} s" if late is not None else " (exit code 124)" if scene.evidence.exit_code == 124 else ""
    handle = _OPEN_HANDLES.search(text)
    if document is not None and handle:
        index = document.index_at(max(len(document.text) - len(text), 0) + handle.start())
        yield placed(
            Hypothesis(
                FailureType.TIMEOUT,
                f"The step ran past its time limit{limit}: all tests passed, but the test run did not exit, because something asynchronous is still open (a server, connection or timer that the tests never close): {quoted(document.lines[index])}",
                0.95,
                (
                    high("Close what the tests open", "Stop servers, connections and timers in afterAll / tearDown (close()), find them with --detectOpenHandles, or as a stopgap use --forceExit", "npx jest --detectOpenHandles"),
                ),
            ), document, index, scene)  # fmt: skip
        return
    if document is None or not document.text.strip():
        yield Hypothesis(
            FailureType.TIMEOUT,
            f"The step ran past its time limit{limit} and printed nothing",
            0.8,
            _more_time("the step"),
        )
        return
    last = [
        index
        for index in range(len(document.lines) - 1, -1, -1)
        if document.lines[index].strip() and not _ENDED.search(document.lines[index])
    ][:3]
    command = next(
        (quoted(m.group(1), 100) for line in document.lines if (m := re.match(r"^(?:> |\$ |\+ )(\S.*)$", line))), ""
    )
    first = next((quoted(line, 120) for line in document.lines if line.strip()), "")
    where = quoted(document.lines[last[0]]) if last else ""
    index = last[0] if last else 0
    yield placed(
        Hypothesis(
            FailureType.TIMEOUT,
            f"The step {scene.step_name} ran past its time limit{limit} (timed out){f' while running {command}' if command else ''}: it hung or was too slow; it began with: {first}; the last thing it printed is: {where}",
            0.9,
            _more_time(command or first or where),
            facts={"last": where},
        ), document, index, scene)  # fmt: skip


def _more_time(what: str) -> tuple[Recommendation, ...]:
    return (
        high(
            f"Find what hangs in {quoted(what, 80)}, or give it more time",
            f"Set a time limit and retries on what it waits for (a download, a lock, a service), cache or mirror what it fetches, or raise the step's timeout: {quoted(what, 120)}",
            "timeout: 900   # of the step, seconds",
        ),
        medium("Print what is waited for", "A line before each slow action shows where it hangs", ""),
    )


@scene_rule("go-test-timeout", "go test -timeout: the goroutines at that moment")
def go_test_timeout(scene: Scene) -> Iterable[Hypothesis]:
    """go test ends all with a panic and prints every goroutine: the test's own one says where it hangs."""
    document = scene.step
    if document is None or "test timed out after" not in document.lower:
        return
    for index in document.hits("test timed out after"):
        match = _GO_TEST.search(document.lines[index])
        if not match:
            continue
        running = next(
            (m.group(1) for line in document.lines[index + 1 : index + 6] if (m := re.match(r"^\s+(Test\w+)", line))),
            "",
        )
        state, place = _blocked(document, index, running)
        yield placed(
            Hypothesis(
                FailureType.TIMEOUT,
                f"The test {running} timed out after {match.group(1)}: it hangs{f' in {state}' if state else ''}{f' at {place}' if place else ''} (deadlock: nobody sends, closes or answers)",
                0.96,
                (
                    high(f"Unblock {running}{f' ({place})' if place else ''}", f"Fix what it waits for{f' ({state})' if state else ''}: close the channel, send what is received, release the lock, or set a deadline in the test", f"go test -run {running} -timeout 30s ."),
                ),
                names=(place.split(":")[0], running),
            ), document, index, scene)  # fmt: skip
        return


def _blocked(document: Document, index: int, test: str) -> tuple[str, str]:
    """(what the goroutine waits for, its own line) of the goroutine that runs the test."""
    state = ""
    for at in range(index, min(index + 200, len(document.lines))):
        head = re.match(r"^goroutine \d+ \[([^\]]+)\]", document.lines[at])
        if head:
            state = head.group(1)
        elif test and f".{test}(" in document.lines[at] and at + 1 < len(document.lines):
            own = _OWN.match(document.lines[at + 1])
            if own:
                return state, f"{own.group(1).rsplit('/', 1)[-1]}:{own.group(2)}"
    return "", ""
