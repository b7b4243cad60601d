"""Ansible: what a task of a playbook says when it fails."""

from __future__ import annotations

from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

ROWS = (
    row(
        "ansible-undefined",
        "is undefined|undefined variable|has no attribute",
        r"(?:Error while resolving value for '\w+'|The task includes an option with an undefined variable|fatal: \[[^\]]+\]: FAILED!)[^\n]*?[:'\" ]'(?P<a>\w[\w.]*)' is undefined",
        FailureType.MISSING_CONFIGURATION,
        "The Ansible variable {a} is undefined (not set, missing)",
        "Set the variable {a}",
        "Define {a} in group_vars, host_vars or the inventory, or pass it with -e {a}=VALUE in the step, or give it a default in the template",
        "ansible-playbook release.yml -e {a}=VALUE",
        source="Ansible's templating",
        sure=0.95,
    ),
    row(
        "ansible-task-failed",
        "failed! =>",
        r"fatal: \[(?P<host>[^\]]+)\]: FAILED! => [^\n]*?\"msg\": \"(?P<msg>[^\"]{3,300})",
        FailureType.CODE_ERROR,
        "An Ansible task fails on {host}: {msg}",
        "Correct the task that fails: {msg}",
        "Read the task's message and correct its arguments or what it needs on the host: {msg}",
        source="ansible-playbook's result of a task",
        sure=0.5,
    ),
)  # fmt: skip
