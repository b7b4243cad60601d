"""One end at the start condemns a release only where every further start would end in the same way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.facts.start_failure import start_failure

PYTHON = 'Traceback (most recent call last):\n  File "/app/app.py", line 1, in <module>\n    import greetings\n'


@pytest.mark.parametrize(
    ("code", "log", "reason", "line"),
    [
        (1, PYTHON + "ModuleNotFoundError: No module named 'greetings'", "missing module", "ModuleNotFoundError"),
        (1, "Error: ENOENT: no such file or directory, open 'config.json'", "missing file", "config.json"),
        (2, "sh: 1: /app/run: Permission denied", "permission denied", "/app/run"),
        (2, "panic: runtime error: index out of range [3]\n\tmain.go:7", "code error", "panic"),
        (1, "something went wrong", None, ""),
        (127, "sh: 1: gunicorn: not found", "command not found", "gunicorn"),
        (127, "", "command not found", ""),
        (126, "", "cannot execute", ""),
    ],
)
def test_what_would_happen_again(code: int, log: str, reason: str | None, line: str) -> None:
    found = start_failure(code, log)

    assert (found.reason if found else None) == reason
    assert found is None or line in found.line


def test_the_line_that_proves_it_is_told_though_others_come_after_it() -> None:
    """What was buffered on standard output is written at the very end, after the error."""
    found = start_failure(1, "ModuleNotFoundError: No module named 'greetings'\nstarted worker 1\nstarted worker 2\n")

    assert found is not None
    assert found.line == "ModuleNotFoundError: No module named 'greetings'"


@pytest.mark.parametrize("code", [None, 0, -9, 137, 143])
def test_a_success_or_a_signal_condemns_nothing(code: int | None) -> None:
    assert start_failure(code, "ModuleNotFoundError: No module named 'greetings'") is None


@pytest.mark.parametrize(
    "transient",
    [
        "connect ECONNREFUSED 10.0.0.1:5432",
        "OSError: [Errno 98] Address already in use",
        'could not translate host name "db" to address',
        "java.lang.OutOfMemoryError: Java heap space",
        "write: no space left on device",
    ],
)
def test_what_may_be_over_at_the_next_start_condemns_nothing(transient: str) -> None:
    """Even beside a reason that would."""
    assert start_failure(1, f"{transient}\nModuleNotFoundError: No module named 'greetings'") is None


@given(st.integers(-64, 300), st.text())
def test_no_log_breaks_it(code: int, log: str) -> None:
    found = start_failure(code, log)

    assert found is None or found.reason
