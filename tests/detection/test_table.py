"""The gate's table: each rule is fired by what it is for, and not by what merely looks like it."""

from __future__ import annotations

import pytest

from failback.detection.gate import RULES, judge
from failback.model.observation import VerdictState
from tests.detection.cases import FIRES, LOOK_ALIKES
from tests.detection.scene import Case

BY_NAME = {rule.name: rule for rule in RULES}


@pytest.mark.parametrize("case", FIRES, ids=str)
def test_fires(case: Case) -> None:
    """The rule decides, in its state, with a sentence; one that condemns says on which facts."""
    verdict = judge(case.view, case.limits)

    assert (verdict.rule, verdict.state) == (case.rule, BY_NAME[case.rule].state), verdict
    assert verdict.reason
    assert verdict.evidence or verdict.state is not VerdictState.FAILED
    assert verdict.at_s == case.view.at_s


@pytest.mark.parametrize("case", LOOK_ALIKES, ids=str)
def test_look_alike_does_not_fire(case: Case) -> None:
    """What merely looks like the rule's case neither fires it nor condemns the release by another."""
    verdict = judge(case.view, case.limits)

    assert verdict.rule != case.not_rule, verdict
    assert verdict.state is not VerdictState.FAILED, verdict
    assert case.rule in ("", verdict.rule), verdict
    assert case.state in (None, verdict.state), verdict


def test_every_rule_is_fired_and_has_a_look_alike() -> None:
    """A new row without its cases fails here; so does a case of a row that is gone."""
    assert {case.rule for case in FIRES} == set(BY_NAME)
    assert {case.not_rule for case in LOOK_ALIKES} == set(BY_NAME)


def test_half_of_the_cases_prove_that_something_is_no_failure() -> None:
    condemning = [case for case in FIRES if BY_NAME[case.rule].state is VerdictState.FAILED]

    assert len(LOOK_ALIKES) >= len(condemning)


def test_every_row_says_why_and_by_whom_and_has_a_name_of_its_own() -> None:
    assert all(rule.why and rule.source for rule in RULES)
    assert len(BY_NAME) == len(RULES)


def test_what_condemns_comes_before_what_is_healthy_and_what_is_waited_for() -> None:
    """Else a replica that is well, or a slow one, would hide one that failed."""
    order = [VerdictState.FAILED, VerdictState.HEALTHY, VerdictState.PROGRESSING]

    assert [rule.state for rule in RULES] == sorted((rule.state for rule in RULES), key=order.index)
