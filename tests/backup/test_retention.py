"""Pruning: what is past its time goes, what is needed stays, and a wrong clock decides nothing."""

from __future__ import annotations

import dataclasses

import pytest

from failback.model.errors import SnapshotUnreadable


def ids(store, service=None):
    return [ref.id for ref in store.listed(service)]


def damage(root, ref):
    (root / "k8s" / f"{ref.id}.yaml.age").write_bytes(b"nothing")


def test_past_the_retention_it_goes_with_all_its_files(store, content, clocks, root):
    old = store.create(content, "e1")
    clocks.pass_days(31)
    new = store.create(dataclasses.replace(content, files={}), "e2")

    removed = store.prune(set(), clocks.wall_s)

    assert [old.id] == removed
    assert [new.id] == ids(store)
    assert [str(path) for path in root.rglob(f"*{old.id}*")] == []


def test_before_the_retention_it_stays(store, content, clocks):
    old = store.create(content, "e1")
    clocks.pass_days(29)
    store.create(content, "e2")

    assert store.prune(set(), clocks.wall_s) == []
    assert old.id in ids(store)


def test_archive_that_a_younger_snapshot_uses_stays(store, content, clocks):
    """Both are of the same release, which is kept once, under the name of the older one."""
    old = store.create(content, "e1")
    clocks.pass_days(31)
    new = store.create(content, "e2")

    assert [old.id] == store.prune(set(), clocks.wall_s)
    assert store.verify(new.id) == []


def test_shared_archive_goes_with_its_last_snapshot(store, content, clocks, root):
    store.create(content, "e1")
    clocks.pass_days(20)
    store.create(content, "e2")
    clocks.pass_days(20)
    store.create(dataclasses.replace(content, files={}), "e3")
    store.prune(set(), clocks.wall_s)
    assert len(list((root / "releases").iterdir())) == 1

    clocks.pass_days(20)
    store.prune(set(), clocks.wall_s)

    assert list((root / "releases").iterdir()) == []
    assert len(ids(store)) == 1


def test_newest_good_one_of_each_service_stays_forever(store, content, clocks):
    notes = store.create(content, "e1")
    shop = store.create(dataclasses.replace(content, service="shop"), "e2")
    clocks.pass_days(4_000)

    assert store.prune(set(), clocks.wall_s) == []
    assert {notes.id, shop.id} == set(ids(store))


def test_damaged_newest_one_does_not_count_as_good(store, content, clocks, root):
    """With the newest one damaged, the one before it is all there is."""
    old = store.create(content, "e1")
    good = store.create(content, "e2")
    bad = store.create(content, "e3")
    damage(root, bad)
    clocks.pass_days(31)

    assert {old.id, bad.id} == set(store.prune(set(), clocks.wall_s))
    assert [good.id] == ids(store)


def test_when_none_is_good_all_stay(store, content, clocks, root):
    """A person may still rescue something from them."""
    for number in range(2):
        damage(root, store.create(content, f"e{number}"))
    clocks.pass_days(400)

    assert store.prune(set(), clocks.wall_s) == []
    assert len(ids(store)) == 2


def test_one_in_use_stays(store, content, clocks):
    used = store.create(content, "e1")
    clocks.pass_days(31)
    store.create(content, "e2")

    assert store.prune({used.id}, clocks.wall_s) == []
    assert used.id in ids(store)


@pytest.mark.parametrize("rebooted", [False, True])
@pytest.mark.parametrize("years", [-50, -1, 1, 60])
@pytest.mark.parametrize("then_create", [False, True])
def test_clock_that_jumps_removes_nothing(store, content, clocks, rebooted, years, then_create):
    """A dead battery on the mainboard, a wrong time server: the deployment of that day must not clear the shelf.

    Argument: within a boot only the uptime counts, which nobody can set; across a reboot the wall clock is believed
    for at most a quarter of the retention. So it takes more than four reboots, each with a false clock, to lose time.
    """
    for number in range(3):
        store.create(content, f"e{number}")
        clocks.pass_days(1)
    clocks.wall_s += years * 365 * 86_400
    if rebooted:
        clocks.reboot()
    if then_create:
        store.create(content, "then")

    assert store.prune(set(), clocks.wall_s) == []
    clocks.wall_s -= years * 365 * 86_400  # and it is set right again
    assert store.prune(set(), clocks.wall_s) == []


def test_after_a_clock_that_was_set_back_the_later_one_is_the_newest(store, content, clocks):
    """Ids and times say otherwise; the order in which they were made is what counts."""
    early = store.create(content, "e1")
    clocks.up_s += 60
    clocks.wall_s -= 10 * 365 * 86_400
    late = store.create(content, "e2")

    assert [early.id, late.id] == ids(store)
    assert late.id < early.id
    clocks.pass_days(31)
    assert [early.id] == store.prune(set(), clocks.wall_s)


def test_snapshot_of_another_key_is_left_alone(store, make_store, content, clocks, tmp_path):
    """Two homes may share a folder. What we cannot open we cannot judge, so we do not remove it."""
    theirs = make_store(key_file=tmp_path / "other" / "key.txt").create(content, "e1")
    clocks.pass_days(1)
    mine_old = store.create(content, "e2")
    clocks.pass_days(40)
    mine_new = store.create(content, "e3")

    assert [mine_old.id] == store.prune(set(), clocks.wall_s)
    assert [theirs.id, mine_new.id] == ids(store)


def test_lost_key_removes_nothing(store, content, clocks, tmp_path):
    store.create(content, "e1")
    clocks.pass_days(40)
    store.create(content, "e2")
    (tmp_path / "home" / "key.txt").unlink()

    assert store.prune(set(), clocks.wall_s) == []
    with pytest.raises(SnapshotUnreadable):
        store.read(ids(store)[0])


def test_damaged_manifest_keeps_its_files(store, content, clocks, root):
    """One bit in the manifest must not cost the release that it names."""
    ref = store.create(content, "e1")
    (root / f"manifest-{ref.id}.json").write_text("{")
    before = sorted(root.rglob("*"))

    store.prune(set(), clocks.wall_s)
    store.create(dataclasses.replace(content, files={}), "e2")
    clocks.pass_days(100)
    store.prune(set(), clocks.wall_s)

    assert set(before) <= set(root.rglob("*"))
    assert [ref.id] == list(store.damaged())


def test_pruning_nothing_is_no_error(store, clocks, root):
    assert store.prune(set(), clocks.wall_s) == []
    assert not root.exists()
