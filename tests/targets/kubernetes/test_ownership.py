"""managedFields at the end: what another tool had applied is that tool's again, the rest is failback's."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from failback.targets.kubernetes.cluster import MANAGER
from failback.targets.kubernetes.ownership import applier_of, handed_back, pruned, without

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


def _merged(*entries: tuple[str, str, dict[str, object]]) -> dict[str, object]:
    """A container with three variables and two ports, and who owns which."""
    return {
        "metadata": {
            "managedFields": [{"manager": m, "operation": o, "fieldsV1": fields} for m, o, fields in entries],
        },
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}],
    }


def _fields(*variables: str, ports: tuple[int, ...] = (80, 81)) -> dict[str, object]:
    return {
        "f:env": {f'k:{{"name":"{one}"}}': {".": {}, "f:name": {}, "f:value": {}} for one in variables},
        "f:ports": {f'k:{{"containerPort":{one},"protocol":"TCP"}}': {".": {}, "f:containerPort": {}} for one in ports},
    }


def test_what_kubectl_had_applied_and_the_manifest_no_longer_has_goes() -> None:
    now = _merged(
        ("kubectl-client-side-apply", "Update", _fields("A", "B", ports=(80,))),
        (MANAGER, "Apply", _fields("A", ports=(81,))),
        ("kubectl-set", "Update", {"f:env": {'k:{"name":"C"}': {".": {}}}}),
    )

    left = pruned(now, MANAGER)

    assert [one["name"] for one in left["env"]] == ["A", "C"]
    assert [one["containerPort"] for one in left["ports"]] == [81]


def test_what_another_hand_also_set_stays() -> None:
    now = _merged(
        ("kubectl-client-side-apply", "Update", _fields("A", "B")),
        (MANAGER, "Apply", _fields("A")),
        ("kubectl-edit", "Update", {"f:env": {'k:{"name":"B"}': {"f:value": {}}}}),
    )

    assert [one["name"] for one in pruned(now, MANAGER)["env"]] == ["A", "B", "C"]


def test_a_manifest_is_merged_as_the_tool_that_applied_the_one_before() -> None:
    by_kubectl = {"metadata": {"managedFields": [{"manager": "kubectl", "operation": "Apply"}]}}
    by_hand = {"metadata": {"managedFields": [{"manager": "kubectl-edit", "operation": "Update"}]}}

    assert applier_of(by_kubectl) == "kubectl"
    assert applier_of(by_hand) == MANAGER
    assert applier_of(None) == MANAGER
