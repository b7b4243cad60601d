"""Owners and modes that a program insists on: a repository of somebody else, a key that others may read."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_PERMISSION = FailureType.FILESYSTEM_PERMISSION

ROWS = (
    row(
        "owned-by-another",
        "dubious ownership|unsafe repository|has wrong ownership|must be owned by|not owned by|is owned by|wrong owner|root-owned|is not the owner|bad owner",
        r"dubious ownership in repository at '(?P<a>[^']+)'|unsafe repository \('(?P<b>[^']+)' is owned by|data directory \"(?P<c>[^\"]+)\" has wrong ownership|(?P<d>[\w./~-]*/[\w./~-]+)[\"']? (?:must be owned by|is not owned by|is owned by|is not the owner)|[Bb]ad owner(?:ship)? or (?:permissions|modes)(?: on| for)? (?P<e>\S+)|contains root-owned files[^\n]*|wrong owner(?:ship)?[^\n]*(?P<f>/[\w./-]+)",
        _PERMISSION,
        "The owner of {a}{b}{c}{d}{e}{f} is another user than the one that runs the program, which refuses it (dubious or wrong ownership)",
        "Give {a}{b}{c}{d}{e}{f} to the user that runs the step (chown)",
        "chown the folder to that user, run the step as its owner (securityContext fsGroup or runAsUser, docker --user), or, for Git, name it in safe.directory",
        "chown -R \"$(id -u):$(id -g)\" {a}{b}{c}{d}{e}{f}   # Git: git config --global --add safe.directory {a}{b}",
        source="Git 2.35.2, PostgreSQL, npm, OpenSSH",
        sure=0.94,
    ),
    row(
        "open-to-others",
        "too open|group or world|accessible by owner only|accessible by others|world-writable|invalid permissions|insecure permissions|unprotected private key|world writable|world readable|insecure mode|invalid mode",
        r"[Pp]ermissions (?P<m>0?\d{3,4}) for ['\"](?P<a>[^'\"]+)['\"] are too open|permissions on (?P<b>\S+) are too open|private key file \"(?P<c>[^\"]+)\" has group or world access|data directory \"(?P<d>[^\"]+)\" has invalid permissions|[Cc]ookie file (?P<e>\S+) must be accessible by owner only|UNPROTECTED PRIVATE KEY FILE|(?:insecure|invalid) (?:permissions|mode)[^\n]*?(?P<f>/[\w./-]+)|(?P<g>/[\w./-]+)[^\n]{0,60}(?:world[- ](?:writable|readable)|accessible by others)|World-writable config file '(?P<h>[^']+)' is ignored",
        _PERMISSION,
        "The permissions of {a}{b}{c}{d}{e}{f}{g}{h} {m} are too open (others may read or write it), and the program refuses it",
        "Restrict the mode of {a}{b}{c}{d}{e}{f}{g}{h} (chmod)",
        "chmod 600 for keys and cookies, 700 for data folders, owned by the user that runs the program; for a mounted Secret set defaultMode: 0400",
        "chmod 600 {a}{b}{c}{d}{e}{f}{g}{h}",
        source="OpenSSH, PostgreSQL, MongoDB, RabbitMQ and Erlang, MySQL",
        sure=0.93,
    ),
)  # fmt: skip
