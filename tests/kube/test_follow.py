"""Following a cluster on virtual time, through whatever happens to it."""

from __future__ import annotations

import asyncio

import pytest

from netctl.kube.fake import FakeKube
from netctl.kube.fake.io import FakeKubeApi, Faults
from netctl.kube.informer import Recovered, Relisted, Trouble
from netctl.kube.leading.io import keep_lease, release_lease
from netctl.kube.lease import LeaseMachine
from netctl.model.clock import SECOND
from netctl.model.kube import (
    LEASES,
    SERVICES,
    KubeEvent,
)
from netctl.sim.loop import SimClock, SimLoop
from tests.contract.clusters import service, until
from tests.kube.virtual import Follower, play, truth, version


def test_it_lists_and_then_follows() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        kube.create(SERVICES, "vm", service("orders"))
        follower = Follower(api)
        await asyncio.sleep(0.01)
        made = kube.create(SERVICES, "vm", service("ledger"))
        kube.delete(SERVICES, "vm", "orders", uid="", resource_version="")
        await asyncio.sleep(0.01)
        assert follower.cache == truth(kube) == {"ledger": version(made)}
        assert follower.lists == 1

    play(scenario)


def test_a_watch_that_ends_or_breaks_is_resumed_and_nothing_is_listed_again() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        follower = Follower(api)
        await asyncio.sleep(0.01)
        for number in range(5):
            kube.end_watches()
            kube.create(SERVICES, "vm", service(f"s{number}"))
            await asyncio.sleep(0.2)
            assert follower.cache == truth(kube)
        api.disturb(Faults(unreachable=True))
        api.disturb(Faults())
        kube.create(SERVICES, "vm", service("last"))
        await asyncio.sleep(0.2)
        assert follower.cache == truth(kube)
        assert follower.lists == 1
        assert not [notice for notice in follower.notices if isinstance(notice, Trouble)]

    play(scenario)


@pytest.mark.parametrize("faults", [Faults(unreachable=True), Faults(status=500), Faults(status=503)])
def test_a_minute_away_is_told_once_and_everything_is_there_within_a_second_of_its_end(faults: Faults) -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        follower = Follower(api)
        await asyncio.sleep(0.01)
        api.disturb(faults)
        kube.end_watches()
        kube.create(SERVICES, "vm", service("orders"))
        await asyncio.sleep(60)
        assert follower.cache == {}
        assert [type(notice) for notice in follower.notices] == [Relisted, Trouble]
        api.disturb(Faults())
        await asyncio.sleep(1.0)
        assert [type(notice) for notice in follower.notices] == [Relisted, Trouble, Recovered, KubeEvent]
        assert follower.cache == truth(kube)

    play(scenario)


def test_a_history_that_was_compacted_meanwhile_is_made_up_for_by_a_list() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        kube.create(SERVICES, "vm", service("orders"))
        follower = Follower(api)
        await asyncio.sleep(0.01)
        kube.end_watches()
        kube.delete(SERVICES, "vm", "orders", uid="", resource_version="")
        kube.create(SERVICES, "vm", service("ledger"))
        kube.compact()
        await asyncio.sleep(0.5)
        assert follower.cache == truth(kube)
        assert follower.lists == 2

    play(scenario)


def test_bookmarks_spare_a_list_after_a_compaction() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        follower = Follower(api)
        await asyncio.sleep(0.01)
        kube.add_namespace("other")
        kube.create(SERVICES, "other", service("x"))
        kube.bookmark()
        await asyncio.sleep(0.01)
        kube.compact()
        kube.end_watches()
        kube.create(SERVICES, "vm", service("orders"))
        await asyncio.sleep(0.5)
        assert follower.cache == truth(kube)
        assert follower.lists == 1

    play(scenario)


def test_a_cluster_restored_from_a_backup_is_noticed_and_listed_anew() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        kube.create(SERVICES, "vm", service("orders"))
        backup = kube.snapshot()
        follower = Follower(api)
        await asyncio.sleep(0.01)
        for number in range(10):
            kube.create(SERVICES, "vm", service(f"later{number}"))
        await asyncio.sleep(0.01)
        kube.restore(backup)
        kube.create(SERVICES, "vm", service("since"))
        await asyncio.sleep(0.5)
        assert follower.cache == truth(kube)
        assert follower.cache.keys() == {"orders", "since"}
        last = [notice for notice in follower.notices if isinstance(notice, Relisted)][-1]
        assert last.restored
        assert any("went back" in notice.reason for notice in follower.notices if isinstance(notice, Trouble))

    play(scenario)


# --- keeping a Lease on it ---


def test_one_keeps_the_lease_the_other_takes_over_after_its_end_and_a_release_hands_it_over_at_once() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        clock = SimClock(loop)
        told: list[tuple[str, bool]] = []

        def tell(identity: str, may_write: bool) -> None:
            if (identity, may_write) not in told[-1:]:
                told.append((identity, may_write))

        def start(identity: str) -> tuple[LeaseMachine, asyncio.Task[None]]:
            machine = LeaseMachine(identity, 3 * SECOND)

            def changed() -> None:
                tell(identity, machine.may_write(clock.monotonic_ns()))

            return machine, asyncio.create_task(keep_lease(FakeKubeApi(kube, identity), "vm", machine, clock, changed))

        one, first = start("c1")
        await asyncio.sleep(0.1)
        two, second = start("c2")
        await asyncio.sleep(20)
        assert (one.leading, two.leading) == (True, False)
        first.cancel()
        killed_s = loop.time()
        await until(lambda: two.may_write(clock.monotonic_ns()))
        assert loop.time() - killed_s < 4
        third, task = start("c3")
        await asyncio.sleep(5)
        second.cancel()
        await release_lease(FakeKubeApi(kube, "c2"), "vm", two, clock)
        await asyncio.sleep(0.6)
        assert third.may_write(clock.monotonic_ns())
        assert kube.get(LEASES, "vm", "netctl-controller")["spec"]["leaseTransitions"] == third.epoch == 3
        assert told == [
            ("c1", False),
            ("c1", True),
            ("c2", False),
            ("c2", True),
            ("c3", False),
            ("c3", True),
        ]
        task.cancel()

    play(scenario)
