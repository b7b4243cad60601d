"""Pods that the kubelet itself turns away, and objects whose types server-side apply cannot read."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high
from failback.diagnosis.recommend.kube import workload
from failback.diagnosis.rule import Hypothesis
from failback.diagnosis.statements import Told, statement_rule
from failback.model.diagnosis import FailureType


@statement_rule(
    "pod-sysctl",
    "",
    r"forbidden sysctl: \"?(?P<a>[\w./-]+)\"?(?P<why>[^\n\"]*)|sysctl \"?(?P<b>[\w./-]+)\"? (?:is )?not allowed|unsafe sysctl[^\n]*?(?P<c>[a-z]+\.[\w.]+)",
    source="the kubelet's list of allowed sysctls",
)
def sysctl(told: Told) -> Hypothesis | None:
    """The node's kubelet does not allow this sysctl."""
    name = told.get("a") or told.get("b") or told.get("c")
    return Hypothesis(
        FailureType.ADMISSION_DENIED,
        f"The kubelet rejects the pod: the sysctl {name} is forbidden on this node (not in its list of allowed sysctls): {told.statement.message}",
        0.95,
        (high(f"Remove the sysctl {name} from the pod, or allow it on the nodes", f"Delete {name} from securityContext.sysctls, or have the nodes' kubelets allow it (--allowed-unsafe-sysctls={name}), or set it on the node itself", f"kubelet --allowed-unsafe-sysctls='{name}'"),),
        names=(name,),
    )  # fmt: skip


@statement_rule(
    "typed-object",
    "",
    r"(?P<field>(?:\.[\w-]+(?:\[[^\]]*\])*)+): (?P<what>expected (?P<want>\w+), got [^\n]{1,200}|field not declared in schema|duplicate entries for key [^\n]{1,200}|element 0: [^\n]{1,200})|failed to create typed (?:patch|live) object[^\n]*: (?P<rest>[^\n]+)",
    source="structured-merge-diff, the types of server-side apply",
)
def typed(told: Told) -> Hypothesis | None:
    """Server-side apply reads every field with its type before it applies anything."""
    field, want, said = told.get("field").lstrip("."), told.get("want"), told.statement.message
    value = re.search(r"Value:([^}]{0,80})}", said)
    shown = value.group(1) if value else ""
    kind, name = workload(told.scene)
    where = field or told.get("rest")[:120]
    numeric = want == "string" and bool(shown)
    if numeric:
        action, advice = (
            f"Quote the value {shown} of {where}",
            f'Write it as a string: "{shown}" instead of {shown}; environment variables, labels and annotations are strings, and YAML reads bare numbers, true and no as other types',
        )
        example = f'value: "{shown}"'
    elif "not declared" in told.get("what"):
        action, advice, example = (
            f"Remove or correct the field {where}",
            "The API has no such field: correct its name or its place in the manifest",
            f"kubectl explain {kind.lower()}",
        )
    else:
        action, advice, example = (
            f"Correct the type of {where}",
            f"Write a {want or 'value of the right type'} there{f' instead of {shown}' if shown else ''}",
            f"kubectl explain {kind.lower()}",
        )
    return Hypothesis(
        FailureType.INVALID_MANIFEST,
        f"The {kind} {name} is invalid: {where} has a value of the wrong type{f' ({want} is expected' + (f', {shown} is a number or boolean)' if numeric else ')') if want else ''}: {said}",
        0.95,
        (high(action, advice, example),),
        names=tuple(part for part in (field.rsplit(".", 1)[-1], shown) if part),
        facts={"field": field},
    )  # fmt: skip
