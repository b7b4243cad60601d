"""Scripts that wait for a service in vain, and answers that are empty."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_UNREACHABLE = FailureType.DEPENDENCY_UNREACHABLE

ROWS = (
    row(
        "waited-in-vain",
        " - no response|rejecting connections|timeout occurred after|waiting on dependencies|timed out waiting for|wait-for|did not become ready|port [tcp|(tcp) failed|timed out: not available|still waiting for|timeout waiting for",
        r"(?P<h1>[\w.-]+):(?P<p1>\d{2,5}) - (?:no response|rejecting connections)|timeout occurred after waiting \d+ seconds for (?P<h2>[\w.-]+):(?P<p2>\d+)|waiting on dependencies to become available: \[?(?P<u>\w+://[^\]\s]+)|[Tt]imed? ?out waiting for:? (?:tcp:|http://|https://|http-get://)?(?P<h3>[\w.-]+):(?P<p3>\d+)|connect to (?P<h4>[\w.-]+)(?: \([\d.]+\))? port (?P<p4>\d+) [(\[]tcp[^)\]]*[)\]] failed",
        _UNREACHABLE,
        "{h1}{h2}{h3}{h4}:{p1}{p2}{p3}{p4}{u} gave no response: it was not reachable (not ready) while the script waited for it",
        "Start the service at {h1}{h2}{h3}{h4}:{p1}{p2}{p3}{p4}{u}, or correct the address (host and port)",
        "Make sure that the database or service listens at {h1}{h2}{h3}{h4}:{p1}{p2}{p3}{p4}{u} and that the network between the two is open; wait longer only where it is known to be slow",
        "nc -zv {h1}{h2}{h3}{h4} {p1}{p2}{p3}{p4}",
        source="pg_isready, wait-for-it, dockerize, wait-on, netcat",
        sure=0.92,
    ),
    row(
        "answer-empty",
        "empty reply|recv failure|remote end closed connection|socket hang up|server disconnected without",
        r"curl: \(5[26]\) (?P<a>Empty reply from server|Recv failure: Connection reset by peer)|Remote end closed connection without response|Server disconnected without sending a response",
        _UNREACHABLE,
        "The server took the connection and closed it without an answer ({a}): it crashed in the request, is still starting, or speaks another protocol (TLS) on this port",
        "Look at the log of the service at the time of the request",
        "A process that dies in the request, a proxy without a healthy server behind it, or http spoken to an https port gives an empty reply: read the service's log and restarts, and check scheme and port of the request",
        "curl -v https://HOST:PORT/healthz",
        source="curl's exit codes 52 and 56, the HTTP clients of Python",
        sure=0.78,
        steps="verify|test|deploy",
    ),
)  # fmt: skip
