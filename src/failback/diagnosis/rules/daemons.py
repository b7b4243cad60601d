"""Daemons that refuse to start and name file and line in their own way: Squid, lighttpd, Varnish, PostgreSQL's access list, supervisord; users they cannot become."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_INVALID = FailureType.INVALID_CONFIGURATION

ROWS = (
    row(
        "daemon-file-line",
        "bungled|source: /|vcc-compiler|running vcc|of configuration file|pg_hba|pg_ident|configuration error in|error in config file|at line|on line|in line",
        r"Bungled (?P<f1>\S+) line (?P<n1>\d+): (?P<w1>[^\n]+)"
        r"|source: (?P<f2>/\S+) line: (?P<n2>\d+) pos: \d+ (?P<w2>[^\n]+)"
        r"|Message from VCC-compiler:\n(?P<w3>[^\n]+)\n(?:At: )?\('(?P<f3>[^']+)' Line (?P<n3>\d+)"
        r"|(?:LOG|ERROR|FATAL): +(?P<w4>[^\n]+)\n[^\n]*CONTEXT: +line (?P<n4>\d+) of configuration file \"(?P<f4>[^\"]+)\""
        r"|(?:[Ee]rror in config file|[Cc]onfiguration error in) [\"']?(?P<f5>[^\s\"':,]+)[\"']?,? (?:at |on )?line (?P<n5>\d+)[:,]? ?(?P<w5>[^\n]*)"
        r"|(?P<w6>[^\n:]{3,120}) (?:at|on|in) line (?P<n6>\d+) (?:of|in) (?P<f6>\S+\.(?:conf|cfg|cnf|ini|acl|rules|properties))\.?$",
        _INVALID,
        "The server refuses its configuration {f1}{f2}{f3}{f4}{f5}{f6} line {n1}{n2}{n3}{n4}{n5}{n6}: {w1}{w2}{w3}{w4}{w5}{w6} (invalid or unknown there)",
        "Correct line {n1}{n2}{n3}{n4}{n5}{n6} of {f1}{f2}{f3}{f4}{f5}{f6}",
        "Fix what the message names: {w1}{w2}{w3}{w4}{w5}{w6} (a misspelled word, a name that is defined nowhere, a missing bracket one line above)",
        "sed -n '{n1}{n2}{n3}{n4}{n5}{n6}p' {f1}{f2}{f3}{f4}{f5}{f6}",
        source="Squid, lighttpd, Varnish' VCC, PostgreSQL's pg_hba.conf and pg_ident.conf, daemons that name the line in words",
        sure=0.95,
        unless=r"AH0\d{4}|Syntax error on line \d+ of \S+:",
        lines=3,
        before=1,
    ),
    row(
        "daemon-user-unknown",
        "find the user|find user|getpwnam|no such user|unknown user|invalid user|bad user name|cannot find user|user not found|unknown group|getgrnam",
        r"can(?:'t|not) find (?:the )?(?P<k1>user|group)(?: name)?:? [\"']?(?P<u1>[\w.-]+)[\"']?"
        r"|(?:getpwnam|getgrnam)(?:_r)?\(\"?(?P<u2>[\w.-]+)\"?\)[^\n]*"
        r"|^(?:[^\n:]{1,60}: ){0,3}(?:no such|unknown|[Bb]ad|[Ii]nvalid) (?P<k3>user|group)(?: name)?:? [\"']?(?P<u3>[\w.-]+)[\"']?$",
        _INVALID,
        "The process is to run as the user or group {u1}{u2}{u3}, which does not exist on this machine or in this image: {line}",
        "Create the user {u1}{u2}{u3} in the image, or correct its name",
        "The configuration (or the option -u / user) names {u1}{u2}{u3}: correct the spelling, or add the user to the image (useradd) before the process starts",
        "RUN useradd --system {u1}{u2}{u3}",
        source="getpwnam(3) as daemons report it that change their user",
        sure=0.86,
        steps="deploy|verify|docker|",
        unless=r"[Aa]uthenticat|password|login|sshd|FATAL: ",
    ),
    row(
        "supervisor-name-not-expanded",
        "cannot be expanded",
        r"contains names \('(?:ENV_(?P<e>\w+)|(?P<o>\w+))'\) which cannot be expanded",
        FailureType.MISSING_CONFIGURATION,
        "The environment variable {e}{o} is not set, and supervisord's configuration refers to it: {line}",
        "Set {e}{o} in the environment",
        "Set the variable {e}{o} where supervisord is started (or under environment= of [supervisord]), or remove %(ENV_{e}{o})s from the command",
        "{e}{o}=... supervisord -n",
        source="supervisord's expansion of %(ENV_X)s",
        sure=0.93,
    ),
)
