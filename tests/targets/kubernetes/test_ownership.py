"""managedFields at the end: what another tool had applied is that tool's again, the rest is failback's."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from failback.targets.kubernetes.ownership import handed_back, without

LEAF: dict[str, Any] = {}


def entry(manager: str, fields: dict[str, Any], operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields, **more}


def test_what_another_tool_applied_is_its_own_again() -> None:
    """Else its next `apply` without force would be refused because of failback."""
    before = [entry("kubectl", {"f:spec": {"f:replicas": LEAF, "f:template": LEAF}})]
    now = [
        entry("kubectl", {"f:spec": {"f:replicas": LEAF}}),
        entry("failback", {"f:spec": {"f:template": LEAF, "f:paused": LEAF}}),
    ]

    assert [*before, entry("failback", {"f:spec": {"f:paused": LEAF}})] == handed_back(before, now)


def test_what_only_failback_wrote_for_a_time_is_nobodys() -> None:
    now = [entry("failback", {"f:spec": {"f:minReadySeconds": LEAF}}, "Update")]

    assert handed_back([], now) == []


def test_controllers_and_those_who_came_since_are_kept_as_they_are() -> None:
    """Status has moved on, and a person may have annotated the object meanwhile."""
    old_status = entry("controller", {"f:status": {"f:replicas": LEAF}}, "Update", subresource="status")
    status = entry("controller", {"f:status": {"f:readyReplicas": LEAF}}, "Update", subresource="status")
    person = entry("kubectl-annotate", {"f:metadata": LEAF}, "Update")

    assert [status, person] == handed_back([old_status], [status, person])


_FIELDS = st.recursive(
    st.just({}), lambda below: st.dictionaries(st.sampled_from(["f:a", "f:b", "f:c"]), below, max_size=3), max_leaves=8
)


@given(_FIELDS)
def test_nothing_is_left_without_itself(fields: dict[str, Any]) -> None:
    assert without(fields, fields) == {}


@given(_FIELDS)
def test_all_is_left_without_nothing(fields: dict[str, Any]) -> None:
    assert fields == without(fields, {})
