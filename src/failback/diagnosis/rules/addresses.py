"""Host and port as an error line of any client names them."""

from __future__ import annotations

import re

_ADDRESS = (
    r"(?P<h1>\[[0-9a-fA-F:]+\]|[\w.-]+):(?P<p1>\d{2,5})(?!\d|:\d|\.\d)",
    r"server at \"(?P<h2>[^\"]+)\"(?: \([^)]*\))?, port (?P<p2>\d+)",
    r"host=?'?(?P<h3>[\w.-]+)'?,? port=?(?P<p3>\d+)",
    r"(?:to|for|host) \"?(?P<h4>[\w.-]+)\"?,?(?: on)? port (?P<p4>\d+)",
    r"host \"(?P<h5>[^\"]+)\"[\s\S]{0,120}?port (?P<p5>\d+)",
    r"on '(?P<h6>[\w.-]+)(?::(?P<p6>\d+))?'",
    r"port (?P<p7>\d+) on (?P<h7>\d+\.\d+\.\d+\.\d+|[a-z][\w.-]*)",
    r"address: '(?P<h8>[^']+)',\s*port: (?P<p8>\d+)",
    r"(?:host|hostname|address|server|for|lookup|ENOTFOUND|EAI_AGAIN|resolve(?: host)?|Host:?|UnknownHostException):? ?[\"'`(]?(?P<h9>[a-zA-Z][\w-]*(?:\.[\w-]+)*\.?\b)[\"'`)]?",
)
_COMPILED = tuple(re.compile(pattern) for pattern in _ADDRESS)
NOT_HOSTS = frozenset(
    [
        "localhost:",
        "name",
        "host",
        "the",
        "to",
        "for",
        "a",
        "server",
        "connection",
        "address",
        "lookup",
        "is",
        "not",
        "known",
        "failed",
        "error",
        "node",
        "service",
        "ERROR",
        "INFO",
        "WARN",
        "line",
        "py",
        "js",
        "ts",
        "java",
        "go",
        "rb",
        "rs",
        "php",
        "File",
        "app",
        "at",
        "Error",
        "Exception",
        "http",
        "https",
        "connect",
        "Connection",
        "connection",
        "server:",
        "Is",
        "resolved",
        "DNS",
        "any",
        "all",
    ]
)


def address_in(text: str) -> tuple[str, str]:
    """(host, port) that an error line names; "" where it names none. Ports of source lines are left out."""
    for number, pattern in enumerate(_COMPILED, start=1):
        for match in pattern.finditer(text):
            host = match.group(f"h{number}") or ""
            port = match.groupdict().get(f"p{number}") or ""
            if (
                not host
                or host in NOT_HOSTS
                or re.fullmatch(r"[A-Z]\w*(?:Error|Exception)", host)
                or (port == "53" and re.fullmatch(r"[\d.]+", host))  # the name server, not the name
                or re.search(r"\.(?:py|js|ts|mjs|cjs|java|go|rb|rs|php|cs|c|cc|cpp|h|kt|scala|ex|so)$", host)
            ):
                continue
            if number == 1 and (
                re.fullmatch(r"\d+|\d+[-T]\d+.*", host) or int(port) > 65535 or re.fullmatch(r"\d\d(?:\.\d+)?", host)
            ):
                continue
            return host, port
    return "", ""
