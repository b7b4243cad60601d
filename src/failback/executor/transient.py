"""Which failures of a step may pass by themselves: a registry's time-out, a lost connection. Pure.

Only these are retried; a deterministic failure never is, since a retry would only cost the user time.
"""

from __future__ import annotations

import re

# What the network, a registry or a service in front of it says when it is not available right now. Each stands for a
# mechanism (errno text, HTTP status, resolver code), not for one tool.
_PASSING = re.compile(
    r"""
    ECONNRESET | ETIMEDOUT | ESOCKETTIMEDOUT | EAI_AGAIN | ENETUNREACH | EHOSTUNREACH
    | connection\ (?:was\ )?reset(?:\ by\ peer)?
    | connection\ (?:was\ )?(?:aborted|closed)\ (?:unexpectedly|by\ (?:peer|remote))
    | (?:connection|connect|read|operation|request|handshake)\ (?:has\ )?timed?\ ?-?out
    | ConnectTimeout | ReadTimeout(?:Error)? | NewConnectionError | RemoteDisconnected | IncompleteRead
    | i/o\ timeout | TLS\ handshake\ timeout | net/http:\ request\ cancell?ed | unexpected\ EOF
    | temporary\ failure\ in\ name\ resolution | could\ not\ resolve\ host | temporary\ failure\ resolving
    | network\ is\ unreachable | no\ route\ to\ host | software\ caused\ connection\ abort
    | \b(?:429|502|503|504)\b[\s:,-]*
      (?:too\ many\ requests|bad\ gateway|service\ (?:temporarily\ )?unavailable|gateway\ time-?out)
    | (?:http|status|error|code|response)\D{0,16}\b(?:429|502|503|504)\b
    | toomanyrequests | rate\ limit\ exceeded | hash\ sum\ mismatch
    | could\ not\ get\ lock\ /var/lib
    """,
    re.IGNORECASE | re.VERBOSE,
)

# A tool's own last word that a repetition cannot change; it outweighs a passing trouble seen before it.
_LASTING = re.compile(
    r"""
    syntaxerror | no\ matching\ distribution | could\ not\ find\ a\ version | ERESOLVE | \bE404\b | \b404\ not\ found
    | \b40[13]\b[\s:,-]*(?:unauthorized|forbidden) | authentication\ (?:required|failed) | permission\ denied
    | ^(?:FAILED|ERROR)\ \S+\.py | \b\d+\ failed\b | tests?\ failed | assertionerror | compilation\ (?:error|failed)
    | no\ space\ left\ on\ device | command\ not\ found | modulenotfounderror
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_RETRIED_TYPES_NEVER = frozenset({"test", "quality"})
_TAIL_CHARS = 20_000


def transient_reason(step_type: str, exit_code: int | None, output: str) -> str | None:
    """The line that says the failure may pass, or None. Tests and quality checks that fail are never transient."""
    if step_type in _RETRIED_TYPES_NEVER or exit_code in (126, 127):
        return None
    tail = output[-_TAIL_CHARS:]
    passing = None
    for passing in _PASSING.finditer(tail):  # noqa: B007 - the last one counts
        pass
    if passing is None or any(match.start() > passing.start() for match in _LASTING.finditer(tail)):
        return None
    start = tail.rfind("\n", 0, passing.start()) + 1
    end = tail.find("\n", passing.end())
    return tail[start : end if end >= 0 else None].strip()[:300]
