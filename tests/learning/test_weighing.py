"""What is remembered changes what is said: the recurrence, a person's correction, the order of the advice."""

from __future__ import annotations

import dataclasses

from failback.learning.records import Correction, Failure, Recalled
from failback.learning.weighing import recurrence, weighed
from failback.model.diagnosis import Diagnosis, FailureType, Recommendation

DAY = 86_400.0
NOW = 100 * DAY
RAISE = Recommendation("MEDIUM", "Increase the memory limit to 128Mi", "It was killed for its limit.")
REDUCE = Recommendation("HIGH", "Or use less memory", "Load less at once.")
FOUND = Diagnosis(FailureType.MEMORY_LIMIT, "the limit is too low", "shop", 0.94, recommendations=(REDUCE, RAISE))


def failed(days_ago: float, **fields: object) -> Failure:
    one = Failure(f"e{days_ago:g}", "shop", NOW - days_ago * DAY, "s", "memory_limit", "the limit is too low")
    return dataclasses.replace(one, **fields)  # type: ignore[arg-type]


def fixed(days_ago: float, after_s: float, **fields: object) -> Failure:
    at = NOW - days_ago * DAY + after_s
    told = {"change": "resources.memory 64Mi -> 256Mi", "commit": "1a2b3c4 More memory (Ann)", **fields}
    return failed(days_ago, fixed_by="e-good", fixed_at=at, **told)


def corrected(kind: str, note: str = "", by: str = "ann", at: float = 0.0) -> Correction:
    return Correction(f"e-{by}", "s", kind, note, by, at)


def test_the_first_time_is_no_recurrence() -> None:
    assert recurrence(Recalled(), NOW) is None
    assert weighed(FOUND, Recalled(), NOW) == FOUND


def test_the_third_time_names_the_last_fix() -> None:
    seen = recurrence(Recalled((fixed(9, 3600), fixed(3, 240))), NOW)

    assert seen is not None
    assert seen.count == 3
    assert seen.text == (
        "third time in 14 days; last fixed by resources.memory 64Mi -> 256Mi (1a2b3c4 More memory (Ann)), "
        "4 min after it had failed"
    )


def test_long_ago_is_told_as_that() -> None:
    seen = recurrence(Recalled((failed(40),)), NOW)

    assert seen is not None
    assert seen.text == "second time, the last one 40 days ago; never fixed so far"


def test_the_same_release_again_is_said_honestly() -> None:
    seen = recurrence(Recalled((fixed(1, 60, change="", commit=""),)), NOW)

    assert seen is not None
    assert "another try with the same release (e-good), 60 s after" in seen.text


def test_advice_that_led_to_a_success_rises() -> None:
    """Its numbers differ from time to time; it is the same advice."""
    done = "Increase the memory limit to 96Mi"

    advice = weighed(FOUND, Recalled((fixed(5, 60, followed=(done,)), fixed(3, 60, followed=(done,)))), NOW)

    first, second = advice.recommendations
    assert (first.action, first.priority) == (RAISE.action, "HIGH")
    assert first.description.endswith("It led to a success 2 times for this very failure")
    assert second == REDUCE


def test_advice_that_was_not_followed_does_not_rise() -> None:
    """What fixed it was something else: that is said, first."""
    advice = weighed(FOUND, Recalled((fixed(3, 60, followed=()),)), NOW)

    assert advice.recommendations[
        0
    ].action == "Do again what fixed it the last time: resources.memory 64Mi -> 256Mi " + (
        "(1a2b3c4 More memory (Ann))"
    )
    assert advice.recommendations[1:] == (REDUCE, RAISE)


def test_a_fix_that_is_none_of_the_advice_is_said_itself() -> None:
    """What was followed then is not advised now: it was a fix that had been tried."""
    tried = fixed(3, 60, followed=("Set the environment variable REGION again, to eu",))

    assert weighed(FOUND, Recalled((tried,)), NOW).recommendations[0].action.startswith("Do again what fixed it")


def test_a_correction_becomes_the_cause_and_the_engine_stays_beside_it() -> None:
    found = weighed(FOUND, Recalled(corrections=(corrected("memory_leak", "the cache never ends"),)), NOW)

    assert found.type is FailureType.MEMORY_LEAK
    assert "the cache never ends" in found.cause
    assert found.confidence < FOUND.confidence
    assert found.alternatives[0].type is FailureType.MEMORY_LIMIT
    assert found.recommendations[0].description == "the cache never ends"


def test_a_confirmation_makes_it_surer() -> None:
    unsure = dataclasses.replace(FOUND, confidence=0.5)

    assert weighed(unsure, Recalled(corrections=(corrected("memory_limit"),)), NOW).confidence > 0.5
    assert weighed(unsure, Recalled(corrections=(corrected("memory_limit"),)), NOW).type is FailureType.MEMORY_LIMIT


def test_most_people_win_and_a_tie_goes_to_the_last_word() -> None:
    two_to_one = (corrected("memory_leak"), corrected("memory_leak", by="bob"), corrected("timeout", by="eve"))
    tie = (corrected("memory_leak"), corrected("timeout", by="eve"))

    assert weighed(FOUND, Recalled(corrections=two_to_one), NOW).type is FailureType.MEMORY_LEAK
    assert weighed(FOUND, Recalled(corrections=tie), NOW).type is FailureType.TIMEOUT


def test_every_weight_is_below_certainty() -> None:
    many = tuple(corrected("memory_limit", by=f"p{n}") for n in range(500))

    assert weighed(FOUND, Recalled(corrections=many), NOW).confidence <= 0.98
