"""The record of a rollout, the fence, and patches that are right whatever the object has already."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.targets.kubernetes.cluster import Patch
from failback.targets.kubernetes.record import (
    FENCE,
    RECORD,
    Moment,
    Record,
    annotate,
    execution_label,
    fence,
    fence_of,
    label,
    record_of,
    set_field,
)

RECORDED = Record(
    execution="plan_deploy_production_1737354000",
    revision="rev-0a1b2c3d4e",
    moment=Moment.DARK,
    stable="7d9f",
    before={"minReadySeconds": None, "strategy": {"type": "RollingUpdate"}},
    after={"minReadySeconds": 5},
    managers=({"manager": "kubectl"},),
    services=("web",),
)


def applied(obj: dict[str, Any], patch: Patch) -> dict[str, Any]:
    """What the API server makes of a JSON Patch (RFC 6902), as strict as it is."""
    result = copy.deepcopy(obj)
    for operation in patch:
        *parts, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        holder = result
        for part in parts:
            holder = holder[part]
        if operation["op"] == "test":
            if holder.get(last) != operation["value"]:
                raise AssertionError(f"test {operation['path']}")
        elif operation["op"] == "remove":
            del holder[last]
        elif operation["op"] == "replace":
            assert last in holder
            holder[last] = operation["value"]
        else:
            holder[last] = operation["value"]
    return result


def obj(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": "web", **({"annotations": annotations} if annotations else {})}, "spec": {"a": 1}}


def test_a_record_survives_the_object() -> None:
    carried = applied(obj(), annotate(obj(), {RECORD: RECORDED.text()}))

    assert record_of(carried) == RECORDED


def test_a_record_of_a_newer_failback_is_refused() -> None:
    """To guess at its meaning could be to delete the wrong pods."""
    text = RECORDED.text().replace('"version":1', '"version":99')

    with pytest.raises(ValueError, match="another version of failback"):
        record_of(obj(**{RECORD: text}))


@pytest.mark.parametrize("have", [{}, {"other": "kept"}, {FENCE: "3"}, {FENCE: "7", "other": "kept"}], ids=str)
def test_fence_and_record_in_one_patch(have: dict[str, str]) -> None:
    """Both are there afterwards, and nothing else is gone: two operations on a missing map would lose the first."""
    start = obj(**have)

    held, after = fence(start, 7)
    done = applied(start, [*held, *annotate(after, {RECORD: "r"})])

    assert fence_of(done) == 7
    assert done["metadata"]["annotations"][RECORD] == "r"
    assert ("other" in have) == ("other" in done["metadata"]["annotations"])


def test_a_write_after_a_newer_fence_fails() -> None:
    """The condition is in the patch itself: what the stale writer read before does not help it."""
    held, after = fence(obj(**{FENCE: "3"}), 3)
    taken_over = obj(**{FENCE: "4"})

    with pytest.raises(AssertionError, match="test"):
        applied(taken_over, [*held, *annotate(after, {RECORD: "late"})])


def test_what_is_so_already_is_not_written() -> None:
    """Every write is safe to repeat: the second one is no write."""
    done = applied(obj(), annotate(obj(), {"a": "1"}))

    assert annotate(done, {"a": "1"}) == []
    assert annotate(obj(), {"a": None}) == []
    assert set_field(obj(), ("spec", "a"), 1) == []
    assert set_field(obj(), ("spec", "b"), None) == []


_VALUES = st.one_of(st.none(), st.integers(0, 3), st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2))


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)), st.sampled_from("abc"), _VALUES)
def test_a_field_has_the_value_afterwards(spec: dict[str, int], name: str, value: Any) -> None:
    done = applied({"spec": spec}, set_field({"spec": spec}, ("spec", name), value))

    assert done["spec"].get(name) == value


@given(st.dictionaries(st.text("a/~.", min_size=1, max_size=4), st.one_of(st.none(), st.text(max_size=2)), min_size=1))
def test_labels_whatever_their_keys(wanted: dict[str, str | None]) -> None:
    done = applied(obj(), label(obj(), wanted))

    assert {key: value for key, value in wanted.items() if value is not None} == (done["metadata"].get("labels") or {})


@given(st.from_regex(r"plan_deploy_[a-z_.-]{0,80}_[0-9]{10}", fullmatch=True))
def test_an_execution_is_a_valid_label(execution: str) -> None:
    found = execution_label(execution)

    assert len(found) <= 63
    assert found[0].isalnum()
    assert found[-1].isalnum()
