"""Users and groups of the operating system that a configuration, a Dockerfile or a command names and nobody has created."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_U = r"[\"'`]?(?P<{}>[A-Za-z_][\w.-]*)[\"'`]?"
_PATTERN = (
    rf"cannot get [ug]id for (?:user|group) {_U.format('a')}|unknown user error looking up user {_U.format('b')}"
    rf"|unable to find (?:user|group) {_U.format('c')}|no matching entries in (?:passwd|group) file"
    rf"|get(?:pw|gr)nam\([\"']?(?P<d>[\w.-]+)[\"']?\) failed|[Ii]nvalid (?:user(?:name)?|group)(?: name)?:? {_U.format('e')}"
    rf"|[Nn]o such (?:user|group):? {_U.format('f')}|(?:^|: )(?:user|group) {_U.format('g')} (?:does not exist|not found)"
    rf"|(?:unknown|bad) (?:user|group)(?: name| id)?:? {_U.format('h')}|can't find (?:user|group) {_U.format('i')}"
    rf"|(?:getpwnam|getgrnam)\(\): (?:name|uid|gid) not found: {_U.format('j')}"
)
_WORDS = "cannot get uid|cannot get gid|error looking up user|unable to find user|unable to find group|no matching entries in|getpwnam|getgrnam|invalid user|invalid group|no such user|no such group|user |group "
_SAID = "The user or group {a}{b}{c}{d}{e}{f}{g}{h}{i}{j} does not exist on this machine or in this image (unknown user, not in /etc/passwd or /etc/group)"
_FIX = "Create the user {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}, or name one that exists"
_ADVICE = "Add the user in the Dockerfile before it is used (useradd or adduser, groupadd), or correct the user and group in the configuration to an existing one (www-data, nobody, a numeric uid)"
_EXAMPLE = "RUN useradd --system --no-create-home {a}{b}{c}{d}{e}{f}{g}{h}{i}{j}"
_UNLESS = r"password|login|auth|ssh|database|role|sql|http|token|jwt|permission denied|mail"
_SOURCE = (
    "getpwnam(3) as PHP-FPM, nginx, chown, gosu, supervisord, start-stop-daemon, runc, BuildKit and buildah report it"
)

ROWS = (
    row(
        "user-unknown-in-build",
        _WORDS,
        _PATTERN,
        FailureType.BUILD_FAILURE,
        _SAID,
        _FIX,
        _ADVICE,
        _EXAMPLE,
        source=_SOURCE,
        sure=0.93,
        steps="docker|build",
        unless=_UNLESS,
    ),
    row(
        "user-unknown",
        _WORDS,
        _PATTERN,
        FailureType.INVALID_CONFIGURATION,
        _SAID,
        _FIX,
        _ADVICE,
        _EXAMPLE,
        source=_SOURCE,
        sure=0.9,
        steps="deploy|verify|",
        unless=_UNLESS,
    ),
)
