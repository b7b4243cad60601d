"""New error lines that condemn, and the lines of healthy releases that merely look so."""

from __future__ import annotations

from dataclasses import replace

from failback.model.observation import ReplicaView, Stage
from tests.detection.scene import GOOD, STARTING, baking, fires, look_alike, view


def logs(*lines: str, counts: tuple[int, ...] = ()) -> ReplicaView:
    return replace(GOOD, new_errors=lines, new_error_counts=counts)


FIRES = (
    fires("new-error-lines", view(logs("FATAL: no such table"), GOOD), "fatal by its own word"),
    fires("new-error-lines", view(logs("panic: runtime error: index out of range"), GOOD), "a Go panic"),
    fires("new-error-lines", view(logs("KeyError: 'user'"), GOOD), "the last line of a Python traceback"),
    fires("new-error-lines", view(logs("java.lang.IllegalStateException: no bean"), GOOD), "of a Java one"),
    fires("new-error-lines", view(logs("[<n>] Uncaught Error: x is undefined"), GOOD), "caught by nobody"),
    fires("new-error-lines", view(logs("FATAL: no such table", counts=(1,)), GOOD), "printed since it was ready"),
    fires(
        "new-errors-everywhere",
        view(logs("ERROR no template found"), logs("ERROR no template found")),
        "the same on each replica",
    ),
    fires("new-errors-everywhere", view(logs("ERROR no template found", counts=(3,)), GOOD), "again and again on one"),
)

LOOK_ALIKES = (
    look_alike("new-error-lines", view(logs("WARN fatal words are blocked"), GOOD), "a warning by its level"),
    look_alike("new-error-lines", view(logs("non-fatal error, ignored"), GOOD), "it says itself that it is not"),
    look_alike(
        "new-error-lines",
        view(replace(STARTING, new_errors=("KeyError: 'x'",)), GOOD),
        "not ready yet: it may get over it",
    ),
    look_alike(
        "new-error-lines",
        view(logs("ConnectionError: not up", counts=(0,)), GOOD),
        "printed before it was ready, and never again",
    ),
    look_alike(
        "new-error-lines",
        view(logs("BrokenPipeError: [Errno <n>] Broken pipe", "Traceback (most recent call last):"), GOOD, at_s=4),
        "every Python server prints that when a client goes away",
        instead="all-seen",
    ),
    look_alike(
        "new-error-lines",
        replace(baking(500, 0, at_s=8.1), replicas=view(logs("KeyError: 'x'"), GOOD).replicas),
        "a user's odd request makes a healthy service log something new; the counts say better what it means",
    ),
    look_alike(
        "new-error-lines",
        replace(view(logs("KeyError: 'x'"), GOOD), stage=Stage.BAKE, bake_started_s=1.0),
        "the same without any request",
    ),
    look_alike(
        "new-errors-everywhere",
        view(logs("ERROR no template found"), GOOD),
        "one line on one replica",
        instead="odd-line",
    ),
    look_alike(
        "new-errors-everywhere",
        view(logs("ERROR no template found"), GOOD, at_s=4),
        "and healthy after the soak",
        instead="all-seen",
    ),
    look_alike(
        "new-errors-everywhere",
        view(*[logs("registered error handlers", "<n> endpoints, error page set")] * 2),
        "a line with the word in it is no error",
    ),
    look_alike("new-errors-everywhere", view(*[logs("INFO <n> errors")] * 2), "by its level it is none"),
    look_alike(
        "new-errors-everywhere",
        view(*[logs("ERROR cache away, falling back to the database")] * 2),
        "it was dealt with",
    ),
    look_alike(
        "new-errors-everywhere",
        view(*[logs("ERROR connection refused")] * 2),
        "a start in the wrong order, which it got over",
    ),
    look_alike(
        "new-errors-everywhere", view(*[logs("ERROR no template", counts=(0,))] * 2), "before it was ready only"
    ),
    look_alike("new-errors-everywhere", view(logs("ERROR one"), logs("ERROR two")), "different lines"),
)
