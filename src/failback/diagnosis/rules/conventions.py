"""Checks of conventions that name no place in the code: commit messages, licences, docstrings."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_QUALITY = FailureType.QUALITY_VIOLATION

ROWS = (
    row(
        "commit-message",
        "-empty]|-enum]|-case]|-max-length]|-min-length]|leading-blank]|full-stop]|commit message|subject-|header-|footer-|body-|scope-|references-",
        r"(?P<a>[^\n✖]*)\[(?P<rule>(?:type|subject|scope|header|body|footer|references)-[\w-]+)\]|(?P<b>commit message [^\n]*(?:does not|invalid|must|not follow)[^\n]*)",
        _QUALITY,
        "The commit message breaks the convention: {a}{b} ({rule})",
        "Write the commit message as the convention demands: type(scope): subject",
        "Amend the commit (git commit --amend, git rebase -i reword) so that its message has the type and subject that the rule {rule} wants, for example \"fix: correct the total\"",
        "git commit --amend -m 'fix: correct the total'",
        source="commitlint, commitizen, gitlint",
        sure=0.93,
        steps="quality|test|build|security",
    ),
    row(
        "licence-refused",
        "fail-on license|found license defined|not permitted by the|license is not|licenses are not|license requirements|not in allow-only|forbidden license|licenses not allowed|unlicensed|license not in|which is not permitted",
        r"fail-on license (?P<a>.+?) was found for package (?P<b>\S+)|Found license defined by the --failOn flag: \"(?P<c>[^\"]+)|Package \"(?P<d>[^\"]+)\" is licensed under \"(?P<e>[^\"]+)\" which is not permitted|license (?P<f>.+?) not in allow-only licenses was found for package (?P<g>\S+)|failed to satisfy license requirements|[Ff]orbidden license[^\n]*",
        _QUALITY,
        "The licence (license) {a}{c}{e}{f} of the package {b}{d}{g} is not allowed",
        "Replace the package {b}{d}{g}, or allow its license {a}{c}{e}{f}",
        "Use another package in place of {b}{d}{g}, or, when the license {a}{c}{e}{f} is accepted after all, add it to the list of allowed licenses",
        source="pip-licenses, license-checker, cargo-deny",
        sure=0.95,
        steps="quality|security|test|build",
    ),
    row(
        "docstrings-missing",
        "result: failed (minimum|docstring coverage|needed: |documented",
        r"RESULT: FAILED \(minimum: (?P<a>[\d.]+)%, actual: (?P<b>[\d.]+)%\)",
        _QUALITY,
        "Too few docstrings: the documented share (docstring coverage) is {b} %, demanded are {a} %",
        "Write the missing docstrings, or lower the minimum",
        "Run the tool with -v to see which modules and functions lack a docstring, and write them",
        "interrogate -v",
        source="interrogate",
        sure=0.95,
        steps="quality|test|build",
    ),
)  # fmt: skip
