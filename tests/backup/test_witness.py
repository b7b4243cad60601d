"""Time that surely passed: whatever anybody does to the wall clock, no snapshot grows old by it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from failback.backup.witness import Ledger, Sighting, Witness, advanced

GAP_S_MAX = 100.0

# True seconds that pass, what somebody sets the wall clock to, and whether the machine was started anew meanwhile.
looks = st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1e11), st.booleans()), max_size=40)


@given(looks)
def test_never_more_than_the_truth_by_more_than_the_limit_a_reboot(steps):
    """Set forwards, backwards, at random: the sum may lag behind the truth, and lead by the limit at each reboot."""
    true_s, boots, since_boot_s = 0.0, 0, 0.0
    ledger = Ledger(0.0, Sighting(1e9, "0", 0.0))
    for passed_s, wall_s, rebooted in steps:
        true_s += passed_s
        boots += rebooted
        since_boot_s = 0.0 if rebooted else since_boot_s + passed_s
        before_s = ledger.total_s

        ledger = advanced(ledger, Sighting(wall_s, str(boots), since_boot_s), GAP_S_MAX)

        assert before_s <= ledger.total_s
        assert ledger.total_s <= true_s + boots * GAP_S_MAX + 1e-3


@given(st.lists(st.floats(0, 1e6), max_size=20), st.floats(0, 1e11))
def test_within_one_boot_it_is_exact(pauses, wall_s):
    """A service that is deployed once a month must still have its old snapshots removed."""
    ledger = Ledger(0.0, Sighting(1e9, "b", 0.0))
    up_s = 0.0
    for pause_s in pauses:
        up_s += pause_s
        ledger = advanced(ledger, Sighting(wall_s, "b", up_s), GAP_S_MAX)

    assert abs(ledger.total_s - up_s) < 1e-3 * max(1.0, up_s)


def test_lost_ledger_begins_at_the_newest_snapshot(tmp_path, clocks):
    witness = Witness(tmp_path, GAP_S_MAX, clocks.uptime)
    clocks.pass_days(3)

    assert witness.look(clocks.wall_s, at_least_s=5_000.0).total_s == 5_000.0


def test_ledger_survives_its_process(tmp_path, clocks):
    witness = Witness(tmp_path, GAP_S_MAX, clocks.uptime)
    witness.keep(witness.look(clocks.wall_s, 0.0))
    clocks.pass_days(2)

    assert Witness(tmp_path, GAP_S_MAX, clocks.uptime).look(clocks.wall_s, 0.0).total_s == 2 * 86_400.0


def test_damaged_ledger_is_a_lost_one(tmp_path, clocks):
    witness = Witness(tmp_path, GAP_S_MAX, clocks.uptime)
    for text in ("", "{}", "[]", '{"total_s": "x", "last": 3}', '{"total_s": 1, "last": {}}'):
        (tmp_path / ".witness.json").write_text(text)
        assert witness.look(clocks.wall_s, 7.0).total_s == 7.0
