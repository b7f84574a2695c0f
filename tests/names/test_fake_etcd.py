"""The accidents of the etcd in memory, as those who follow it see them (what it shares with a real etcd:
tests/contract/test_registry.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from netctl.model.clock import SECOND, FakeClock
from netctl.model.ports import Changed, Listed, Lost
from netctl.names.fake.io import FakeRegistry
from netctl.names.fake.store import MAX_HISTORY, FakeEtcd
from tests.names.follower import Follower, following


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def etcd(clock: FakeClock) -> FakeEtcd:
    return FakeEtcd(clock)


async def settled(follower: Follower, act: Callable[[], object]) -> None:
    """Do something and let the follower hear of it."""
    heard = len(follower.events)
    act()
    await follower.until(lambda: len(follower.events) > heard, 2)


def test_a_lease_that_is_not_kept_alive_takes_its_keys_in_one_revision(clock: FakeClock, etcd: FakeEtcd) -> None:
    lease = etcd.grant(5)
    etcd.put("orders/vm1", b"1", lease)
    etcd.put("orders/vm2", b"2", lease)
    etcd.put("orders/vm3", b"3")
    clock.advance(4 * SECOND)
    assert etcd.keep_alive(lease)
    clock.advance(4 * SECOND)
    assert len(etcd.values) == 3
    before = etcd.revision
    clock.advance(1 * SECOND)
    assert etcd.values == {"orders/vm3": b"3"}
    assert etcd.revision == before + 1
    assert not etcd.keep_alive(lease)
    with pytest.raises(KeyError):
        etcd.put("orders/vm1", b"1", lease)


def test_a_key_belongs_to_the_lease_of_its_last_put(clock: FakeClock, etcd: FakeEtcd) -> None:
    first, second = etcd.grant(1), etcd.grant(9)
    etcd.put("orders/vm1", b"1", first)
    etcd.put("orders/vm1", b"2", second)
    clock.advance(2 * SECOND)
    assert etcd.values == {"orders/vm1": b"2"}
    etcd.put("orders/vm1", b"3")
    etcd.revoke(second)
    etcd.revoke(second)
    assert etcd.values == {"orders/vm1": b"3"}


def test_deleting_what_is_not_there_changes_no_revision(etcd: FakeEtcd) -> None:
    before = etcd.revision
    assert etcd.delete("orders/vm1") == 0
    assert etcd.delete_prefix("orders/") == 0
    assert etcd.revision == before


async def test_after_an_outage_it_goes_on_where_it_was_and_lists_when_that_is_compacted(etcd: FakeEtcd) -> None:
    async with following(FakeRegistry(etcd)) as follower:
        await follower.until(lambda: bool(follower.events))
        await settled(follower, etcd.go_away)
        etcd.put("orders/vm1", b"1")
        await settled(follower, etcd.come_back)
        await settled(follower, etcd.go_away)
        await settled(follower, etcd.come_back)
        await settled(follower, etcd.go_away)
        etcd.put("orders/vm2", b"2")
        etcd.compact()
        etcd.put("orders/vm3", b"3")
        await settled(follower, etcd.come_back)
        assert [type(event) for event in follower.events] == [Listed, Lost, Changed, Lost, Changed, Lost, Listed]
        assert follower.events[4] == Changed({}, frozenset(), 2)
        assert set(follower.values) == {"orders/vm1", "orders/vm2", "orders/vm3"}


async def test_a_compaction_costs_those_nothing_who_have_read_everything(etcd: FakeEtcd) -> None:
    async with following(FakeRegistry(etcd)) as follower:
        await follower.until(lambda: bool(follower.events))
        await settled(follower, lambda: etcd.put("orders/vm1", b"1"))
        etcd.compact()
        await settled(follower, lambda: etcd.put("orders/vm2", b"2"))
        assert [type(event) for event in follower.events] == [Listed, Changed, Changed]


async def test_a_restored_etcd_is_listed_anew_at_its_older_revision(etcd: FakeEtcd) -> None:
    etcd.put("orders/vm1", b"1")
    backup = etcd.snapshot()
    etcd.put("orders/vm2", b"2")
    async with following(FakeRegistry(etcd)) as follower:
        await follower.until(lambda: bool(follower.events))
        await settled(follower, lambda: etcd.restore(backup))
        assert follower.events[-1] == Listed({"orders/vm1": b"1"}, 2)
        etcd.put("orders/vm3", b"3")
        await follower.until(lambda: len(follower.values) == 2)
        await settled(follower, etcd.wipe)
        assert follower.events[-1] == Listed({}, 1)


async def test_one_follower_can_be_cut_off_while_another_goes_on(etcd: FakeEtcd) -> None:
    cut, whole = FakeRegistry(etcd), FakeRegistry(etcd)
    async with following(cut) as one, following(whole) as two:
        await one.until(lambda: bool(one.events))
        await two.until(lambda: bool(two.events))
        await settled(one, cut.cut)
        await settled(two, lambda: etcd.put("orders/vm1", b"1"))
        assert isinstance(one.events[-1], Lost)
        await settled(one, cut.mend)
        assert one.values == two.values


async def test_a_follower_that_did_not_run_for_a_long_time_lists(etcd: FakeEtcd) -> None:
    async with following(FakeRegistry(etcd)) as follower:
        await follower.until(lambda: bool(follower.events))
        for number in range(MAX_HISTORY + 5):
            etcd.put("orders/vm1", b"%d" % number)
        await follower.until(lambda: follower.values.get("orders/vm1") == b"%d" % (MAX_HISTORY + 4))
        assert [type(event) for event in follower.events] == [Listed, Listed]


async def test_a_follower_that_is_gone_is_forgotten_at_the_next_change(etcd: FakeEtcd) -> None:
    for _ in range(3):
        task = asyncio.ensure_future(FakeRegistry(etcd).follow(Follower().take))
        await asyncio.sleep(0)
        task.cancel()
    etcd.put("orders/vm1", b"1")
    assert etcd._waiting == []
