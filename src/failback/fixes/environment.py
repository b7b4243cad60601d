"""Environment variables: one that the former revision had, one whose value was changed, one with a known default."""

from __future__ import annotations

import re
from collections.abc import Iterator

from failback.fixes.case import Case, text_of
from failback.model.diagnosis import FailureType
from failback.model.fix import REMOVED, Candidate, SetSetting

_ABOUT_SETTINGS = frozenset(
    {
        FailureType.MISSING_CONFIGURATION, FailureType.INVALID_CONFIGURATION, FailureType.DEPENDENCY_UNREACHABLE,
        FailureType.DEPENDENCY_AUTH,
    }
)  # fmt: skip
_SAMPLES = re.compile(
    r"(?:^|/)(?:\.env\.(?:example|sample|dist|defaults?|template)|(?:example|sample|defaults?)\.env)$"
)
_ENTRY = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$", re.MULTILINE)
_NO_VALUE = re.compile(
    r"|.*(?:change.?me|your[-_ ]|example\.(?:com|org)|xxx|todo|replace|placeholder|<|>|\$\{).*", re.I
)
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASS|CREDENTIAL|DSN|PRIVATE", re.IGNORECASE)


def from_former(case: Case) -> Iterator[Candidate]:
    """What the former revision had: first the variables that the evidence names, by name or by their wrong value."""
    former = case.former
    if former is None:
        return
    changed = [name for name in former.env if case.new.env.get(name) != former.env[name]]
    named = [name for name in changed if _is_named(case, name)]
    others = [name for name in changed if name not in named and case.diagnosis.type in _ABOUT_SETTINGS]
    for name in (*named, *others[:2]):
        yield _restored(case, name)
    for name in case.new.env:
        if name not in former.env and _is_named(case, name) and case.new.env[name]:
            yield Candidate(
                f"Take the environment variable {name} out again",
                f"This release set {name}, which the former one did without; its value is what fails",
                f"without {name}",
                (SetSetting(("release", "env", name), REMOVED),),
            )


def _restored(case: Case, name: str) -> Candidate:
    former = case.former
    if former is None:
        raise ValueError("there is no former release")
    secret = name in former.secrets
    was_there = name in case.new.env
    reference = case.references.get(name)
    if reference is None and secret:
        reference = f"${{{name}}}"
    shown = "its former value" if secret else former.env[name]
    return Candidate(
        f"Set the environment variable {name} {'back to' if was_there else 'again, to'} {shown}",
        f"The former revision ran with {name}; this release {'changed its value' if was_there else 'has it no more'}",
        f"{name} as it was" if secret else f"{name}={former.env[name]}",
        (SetSetting(("release", "env", name), former.env[name], reference, secret),),
    )


def _is_named(case: Case, name: str) -> bool:
    value = case.new.env.get(name, "")
    # A value of one character, or a usual word, stands in every log.
    telling = len(value) >= 3 and value.lower() not in ("true", "false", "none", "null", "info", "error", "debug")
    return case.mentions(name) or (telling and name not in case.new.secrets and case.mentions(value))


def from_defaults(case: Case) -> Iterator[Candidate]:
    """A variable that is missing and for which the release itself documents a value (`.env.example`)."""
    for file in sorted(case.new.names):
        if not _SAMPLES.search(file):
            continue
        for name, value in _ENTRY.findall(text_of(case.new, file) or ""):
            plain = value.strip("'\"")
            if name in case.new.env or not case.mentions(name) or _SECRET.search(name) or _NO_VALUE.fullmatch(plain):
                continue
            yield Candidate(
                f"Set the environment variable {name} to {plain}",
                f"{name} is not set; {file} documents {plain} as its value",
                f"{name}={plain}",
                (SetSetting(("release", "env", name), plain),),
            )
