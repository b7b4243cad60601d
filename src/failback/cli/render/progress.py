"""Shows an execution while it runs: a live list on a terminal, one line a fact elsewhere. Both from the events."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from failback.cli.render.text import one_line, plain, seconds
from failback.model.evidence import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_MARKS = {"succeeded": "✓", "failed": "✗", "skipped": "–", "cancelled": "■", "running": "…", "waiting": " "}
_STYLES = {
    "succeeded": "green",
    "failed": "bold red",
    "skipped": "dim",
    "cancelled": "yellow",
    "running": "cyan",
    "waiting": "dim",
}
_REDRAWS_A_SECOND = 8


def sentence(event: Mapping[str, Any]) -> str | None:
    """The line that tells an event, or None for one that only programs need."""
    told = event.get("event")
    teller = _TELLERS.get(str(event.get("write") if told == "write" else told))
    return None if teller is None else plain(teller(event))


def _step(event: Mapping[str, Any]) -> str:
    reason = f": {one_line(event['reason'])}" if event.get("reason") and event["status"] != "succeeded" else ""
    mark = _MARKS[event["status"]]
    return f"{mark} Step {event['number']} {event['step']} {event['status']} ({seconds(event['duration'])}){reason}"


def _phase(event: Mapping[str, Any]) -> str:
    took = seconds(event["duration"])
    head = f"{_MARKS[event['status']]} Phase {event['number']}: {event['phase']} {event['status']} ({took})"
    return "\n".join([head, *(f"    {action_line(taken)}" for taken in event.get("actions", []))])


def action_line(taken: Mapping[str, Any]) -> str:
    """One action of a phase, with its mark."""
    mark = {True: "✓", False: "✗", None: "·"}[taken.get("ok")]
    return f"{mark} {one_line(taken['text'], 200)}"


def _backup(event: Mapping[str, Any]) -> str:
    kind = "verified, encrypted" if event["encrypted"] else "verified, not encrypted"
    return (
        f"✓ Backup {event['snapshot']}{_of(event)}: {len(event['items'])} items, {kind} ({seconds(event['duration'])})"
    )


def _verdict(event: Mapping[str, Any]) -> str:
    mark = {"healthy": "✓", "failed": "✗"}.get(event["state"], "·")
    rule = f" [{event['rule']}]" if event["state"] == "failed" else ""
    return f"{mark} {_in(event)}{event['revision']} ({event['stage']}) {event['state']}{rule}: {event['reason']}"


def _of(event: Mapping[str, Any]) -> str:
    """ " of shop", in a plan for several services."""
    return f" of {event['service']}" if "service" in event else ""


def _in(event: Mapping[str, Any]) -> str:
    return f"{event['service']}/" if "service" in event else ""


def _detected(event: Mapping[str, Any]) -> str:
    return "■ Stopped" if event["reason"] == INTERRUPTED else "✗ FAILURE DETECTED"


def _fix(event: Mapping[str, Any]) -> str:
    mark = {"verified": "✓", "did not pass": "✗"}.get(event["status"], "–")
    took = f" ({seconds(event['seconds'])})" if event.get("seconds") is not None else ""
    return f"{mark} With {event['tried']}: {event['status']}{took}: {one_line(event['reason'], 120)}"


_TELLERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "execution-started": lambda e: f"{'Taking up' if e['resumed'] else 'Execution'} {e['execution']} of {e['service']}",
    "execution-refused": lambda e: f"✗ Refused: {e['reason']}",
    "preflight-failed": lambda e: f"✗ Preflight: {e['reason']}",
    "repaired": lambda e: f"! Repaired: {e['what']}",
    "leftover-removed": lambda e: (
        f"! Removed revision {_in(e)}{e['revision']}, which an earlier execution had left for a look"
    ),
    "backup-created": _backup,
    "step-started": lambda e: f"… Step {e['number']} {e['step']}",
    "step-retried": lambda e: (
        f"! Step {e['step']}: try {e['attempt']} failed, again in {e['pause_s']} s ({e['because']})"
    ),
    "step-finished": _step,
    "revision-staged": lambda e: f"· Revision {_in(e)}{e['revision']} staged ({e['digest'][:19]})",
    "job.create": lambda e: f"· Job {e['job']} runs before the rollout",
    "revision-launched": lambda e: (
        f"· Revision {_in(e)}{e['revision']} started with {e['replicas']} replicas, without traffic"
    ),
    "verdict": _verdict,
    "traffic-switched": lambda e: f"✓ All traffic{_of(e)} on {e['to']} (switched in {e['took_ms']} ms)",
    "failure-detected": lambda e: (
        f"{_detected(e)} at {e['step']} after {seconds(e['seconds'])}, {e['stage']}: {e['reason']}"
    ),
    "phase-finished": _phase,
    "opinion": lambda e: f"· A language model ({e['model']}): {e.get('cause') or e.get('reason')}",
    "fix-trying": lambda e: f"… Trying in the dark: {e['action']}",
    "fix-tried": _fix,
    "fix-proposed": lambda e: f"✓ Branch {e['branch']} has it" if e.get("branch") else f"– {e['reason']}",
    "finished": lambda e: "\n".join(action_line(taken) for taken in e["actions"]) or "✓ Finished",
}


def _telling(phase: Mapping[str, Any]) -> str:
    """The one action of a phase that fits into a line: what went wrong, the cause, the first advice, else the last."""
    actions = phase.get("actions") or [{"text": ""}]
    wrong = [taken for taken in actions if taken.get("ok") is False]
    cause = [taken for taken in actions if taken["text"].startswith(("cause: ", "[HIGH]"))]
    return str((wrong or cause or actions[-1:])[0]["text"])


class PlainProgress:
    """One line a fact, with the time since the start; step output is left to the recorded files."""

    def __init__(self, out: TextIO, *, show_output: bool = False) -> None:
        self._out = out
        self._began = time.monotonic()
        self._show_output = show_output

    def __call__(self, event: Mapping[str, Any]) -> None:
        text = sentence(event)
        if event.get("event") == "step-output" and self._show_output:
            text = f"  {event['step']} │ {one_line(event['line'])}"
        if text is None:
            return
        stamp = f"{time.monotonic() - self._began:7.2f}  "
        self._out.write(stamp + text.replace("\n", "\n" + " " * len(stamp)) + "\n")
        self._out.flush()


class LiveProgress:
    """A list of steps and phases that is drawn anew in place; facts that should stay are printed above it."""

    def __init__(self, console: Console, steps: list[tuple[str, str]]) -> None:
        self._console = console
        self._lock = threading.RLock()
        self._steps: dict[str, dict[str, Any]] = {
            name: {"type": kind, "status": "waiting", "note": ""} for name, kind in steps
        }
        self._began: dict[str, float] = {}
        self._phases: dict[int, dict[str, Any]] = {}
        self._last_output = ""

    @contextlib.contextmanager
    def shown(self) -> Iterator[LiveProgress]:
        from rich.live import Live

        with Live(
            get_renderable=self._render, console=self._console, refresh_per_second=_REDRAWS_A_SECOND, transient=False
        ):
            yield self

    def __call__(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            self._take(event)

    def _take(self, event: Mapping[str, Any]) -> None:
        name = str(event.get("event"))
        if name == "step-output":
            self._last_output = f"{event['step']} │ {one_line(event['line'], 110)}"
        elif name == "step-started":
            self._began[event["step"]] = time.monotonic()
            self._set(event["step"], status="running")
        elif name == "step-finished":
            self._last_output = ""
            self._set(event["step"], status=event["status"], took=event["duration"])
            if event["status"] == "succeeded":
                self._set(event["step"], note="")
            else:
                self._set(event["step"], note=one_line(event.get("reason", "")))
        elif name in ("verdict", "revision-launched", "traffic-switched", "step-retried"):
            running = [step for step, shown in self._steps.items() if shown["status"] == "running"]
            step = event.get("step") or next((s for s in running if self._steps[s]["type"] == "deploy"), None)
            if step:
                self._set(step, note=one_line(sentence(event) or ""))
        elif name == "phase-started":
            self._phases[event["number"]] = {"phase": event["phase"], "status": "running", "actions": []}
        elif name == "phase-finished":
            self._phases[event["number"]] = dict(event)
        elif (text := sentence(event)) is not None and name != "failure-detected":
            self._say(text)
        if name == "failure-detected":
            self._say(sentence(event) or "", style="bold red")

    def _set(self, step: str, **fields: Any) -> None:
        self._steps.setdefault(step, {"type": "", "status": "waiting", "note": ""}).update(fields)

    def _say(self, text: str, style: str | None = None) -> None:
        from rich.text import Text

        self._console.print(Text(text, style=style or ""))

    def _render(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        with self._lock:
            for name, step in self._steps.items():
                status = step["status"]
                took = step.get("took")
                if status == "running":
                    took = time.monotonic() - self._began.get(name, time.monotonic())
                table.add_row(
                    Text(_MARKS[status], style=_STYLES[status]),
                    Text(name),
                    Text(seconds(took) if took is not None else "", style="dim"),
                    Text(step["note"], style="dim" if status != "failed" else "red"),
                )
            for number, phase in sorted(self._phases.items()):
                status = phase["status"]
                last = _telling(phase)
                table.add_row(
                    Text(_MARKS[status], style=_STYLES[status]),
                    Text(f"Phase {number}: {phase['phase']}"),
                    Text(seconds(phase.get("duration")) if "duration" in phase else "", style="dim"),
                    Text(one_line(last, 100), style="dim"),
                )
            if self._last_output:
                table.add_row("", Text(""), Text(""), Text(self._last_output, style="dim italic"))
        return table
