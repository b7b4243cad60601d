"""Only what may pass by itself is retried."""

from __future__ import annotations

import pytest

from failback.executor.transient import transient_reason


@pytest.mark.parametrize(
    "output",
    [
        "npm error code ECONNRESET\nnpm error network aborted",
        'Get "https://registry.example/v2/": net/http: TLS handshake timeout',
        "error: RPC failed; Connection reset by peer",
        "curl: (6) Could not resolve host: registry.example",
        "Temporary failure in name resolution",
        "received unexpected HTTP status: 503 Service Unavailable",
        "toomanyrequests: rate limit exceeded",
        "ReadTimeoutError: HTTPSConnectionPool(host='registry.example', port=443): Read timed out.",
        "dial tcp: i/o timeout",
    ],
)
def test_passing_troubles(output: str) -> None:
    assert transient_reason("build", 1, output)


@pytest.mark.parametrize(
    ("kind", "code", "output"),
    [
        ("build", 1, "SyntaxError: invalid syntax"),
        ("build", 1, "ERROR: No matching distribution found for flaskk"),
        ("build", 127, "sh: gcc: command not found"),
        ("test", 1, "requests.exceptions.ConnectionError: Connection reset by peer"),
        ("build", 1, "WARNING: Retrying after connection timed out\nERROR: No matching distribution found for x"),
        ("security", 1, "found 2 vulnerabilities in 504 packages"),
        ("build", 1, "error: no space left on device"),
        ("docker", 1, "denied: requested access to the resource is denied"),
        ("build", 1, ""),
    ],
)
def test_lasting_ones_that_look_alike(kind: str, code: int, output: str) -> None:
    """A tool's own last word outweighs a hiccup before it, and a test that fails is never a hiccup."""
    assert transient_reason(kind, code, output) is None


def test_the_line_itself_is_told() -> None:
    assert transient_reason("build", 1, "a\nread ECONNRESET here\nb") == "read ECONNRESET here"
