"""What goes wrong between a controller and its clusters, in virtual time: nothing is lost, everything is caught up."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest

from netctl.kube.fake.io import Faults
from netctl.kube.fake.store import Change
from netctl.model.kube import (
    LEASES,
)
from tests.controller.virtual_site import NAMESPACE, Program, VirtualSite, play

A = {"10.1.1.10", "10.1.2.10"}


def register(site: VirtualSite) -> None:
    for number in (1, 2):
        site.put("orders", f"a-vm{number}", f"10.1.{number}.10")
        site.put("orders", f"b-vm{number}", f"10.2.{number}.10", "b")


@pytest.mark.parametrize("status", [429, 500, 503, 403])
def test_an_api_server_that_answers_errors_for_a_minute_loses_nothing_and_is_not_hammered(status: int) -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        await site.steady(program)
        program.disturb("a", Faults(status=status))
        before = len(program.logs)
        site.put("orders", "a-vm3", "10.1.3.10")
        site.put("orders", "b-vm3", "10.2.3.10", "b")
        await asyncio.sleep(60)
        assert site.ready("a", "orders") == A
        assert "10.2.3.10" in site.ready("b", "orders")
        cluster = program.status()["clusters"][0]
        assert cluster["reason"]
        assert len([line for line in program.logs[before:] if line[2].get("cluster") == "a"]) < 20
        program.disturb("a", Faults())
        await site.until(lambda: site.ready("a", "orders") == {*A, "10.1.3.10"}, 10)
        await site.steady(program)
        assert program.status()["clusters"][0]["reason"] == ""

    play(story)


def test_retry_after_is_honoured() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        await site.steady(program)
        api = program.apis["a"]
        sent: list[float] = []
        replace = api.replace

        async def counted(resource: Any, namespace: Any, obj: Any) -> Any:
            if resource is not LEASES:
                sent.append(site.loop.time())
            return await replace(resource, namespace, obj)

        api.replace = counted  # type: ignore[method-assign]
        api.disturb(Faults(status=429, retry_after_s=0.7))
        site.put("orders", "a-vm3", "10.1.3.10")
        await asyncio.sleep(1.5)
        assert len(sent) == 3, sent
        assert all(later - earlier > 0.69 for earlier, later in pairwise(sent))

    play(story)


def test_a_write_whose_answer_never_came_is_read_and_not_assumed() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        await site.steady(program)
        program.disturb("a", Faults(late_s=6.0))  # later than the client waits
        site.put("orders", "a-vm3", "10.1.3.10")
        await asyncio.sleep(5.5)
        site.etcd.delete("orders/a-vm3")
        program.disturb("a", Faults())
        await asyncio.sleep(10)
        await site.steady(program)
        assert site.ready("a", "orders") == A

    play(story)


def test_no_write_is_sent_once_the_lease_can_have_ended() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        first, second = site.start("c1"), site.start("c2")
        await site.steady(first)
        await site.steady(second)
        leader = first if first.status()["clusters"][0]["state"] == "leading" else second
        other = second if leader is first else first
        leader.disturb("a", Faults(silent=True))
        await site.until(lambda: other.status()["clusters"][0]["state"] == "leading", 6)
        site.put("orders", "a-vm3", "10.1.3.10")
        await site.until(lambda: "10.1.3.10" in site.ready("a", "orders"), 1)
        leader.disturb("a", Faults())
        await asyncio.sleep(5)
        writers = {
            change.user for cluster, change in site.changes[-8:] if cluster == "a" and change.key[0] == "endpointslices"
        }
        assert writers <= {other.owner.name}
        assert leader.status()["clusters"][0]["state"] == "standby"

    play(story)


def test_one_cluster_away_for_a_minute_holds_up_no_other_and_catches_up_by_itself() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        await site.steady(program)
        program.disturb("a", Faults(unreachable=True))
        await asyncio.sleep(1)
        site.put("orders", "b-vm3", "10.2.3.10", "b")
        assert await site.until(lambda: "10.2.3.10" in site.ready("b", "orders"), 1) < 0.1
        site.etcd.delete("orders/a-vm1")
        site.put("ledger", "a-vm1", "10.1.1.10")
        await asyncio.sleep(59)
        assert program.status()["clusters"][0]["state"] == "unreachable"
        assert site.ready("a", "orders") == A
        program.disturb("a", Faults())
        assert await site.until(lambda: site.ready("a", "ledger") == {"10.1.1.10"}, 10) < 3
        await site.steady(program)
        assert site.ready("a", "orders") == {"10.1.2.10"}

    play(story)


@pytest.mark.parametrize("politely", [True, False])
def test_what_a_leader_let_go_a_standby_does_not_bring_back(politely: bool) -> None:
    async def story(site: VirtualSite) -> None:
        for number in range(1, 5):
            site.put("orders", f"a-vm{number}", f"10.1.{number}.10")
        first = site.start("c1")
        await site.steady(first)
        second = site.start("c2")
        await site.steady(second)
        for number in (1, 2, 3):
            site.etcd.delete(f"orders/a-vm{number}")
        await site.until(lambda: first.status()["holds"] and second.status()["holds"])
        for hold in first.status()["holds"]:
            first.shell._perform(first.shell.controller.approve(hold["id"], site.clock.monotonic_ns())[1])
        await site.until(lambda: site.ready("a", "orders") == {"10.1.4.10"})
        await site.until(lambda: not second.status()["holds"])
        if politely:
            await first.leave()
        else:
            first.kill()
        await site.until(lambda: second.status()["clusters"][0]["state"] == "leading")
        await site.steady(second)
        assert site.ready("a", "orders") == {"10.1.4.10"}
        assert second.status()["holds"] == []

    play(story)


def test_five_thousand_services_are_there_at_once_and_a_restart_writes_none_of_them() -> None:
    async def story(site: VirtualSite) -> None:
        for number in range(1000):
            site.put(f"s{number}", "one", f"10.1.{number // 250}.{number % 250 + 1}")
        program = site.start()
        await site.steady(program)
        assert len(site.writes("c1")) == 4000  # a Service and a slice in both clusters
        await program.leave()
        again = site.start()
        await site.steady(again)
        assert len(site.writes("c1")) == 4000

    play(story)


class Chaos:
    """Accidents drawn from a seed. ``orders`` of both clouds are left alone and must never be missed."""

    def __init__(self, site: VirtualSite, seed: int) -> None:
        self.site = site
        self.random = random.Random(seed)
        self.programs: dict[str, Program] = {}
        self.missed: list[str] = []
        self.usurped: list[str] = []
        for name, kube in site.kubes.items():
            kube.onlookers.append(lambda change, name=name: self.look(name, change))  # type: ignore[misc]

    def look(self, cluster: str, change: Change) -> None:
        if change.user and change.key[0] != "leases":
            lease = self.site.kubes[cluster].get(LEASES, NAMESPACE, "netctl-controller")
            if lease["spec"]["holderIdentity"] != change.user:
                self.usurped.append(f"{change.user} wrote {change.key} in {cluster}")
        for cluster, net in (("a", 1), ("b", 2)):
            missing = {f"10.{net}.{number}.10" for number in (1, 2)} - self.site.ready(cluster, "orders")
            if missing and self.watching:
                self.missed.append(f"{cluster}: {missing}")

    watching = False

    async def play(self) -> None:
        register(self.site)
        for identity in ("c1", "c2"):
            self.programs[identity] = self.site.start(identity)
        await self.site.steady(self.programs["c1"])
        await self.site.steady(self.programs["c2"])
        self.watching = True
        for _ in range(25):
            self.accident()
            await asyncio.sleep(self.random.choice([0.001, 0.01, 0.3, 2.0]))
        for program in self.programs.values():
            for cluster in program.apis:
                program.disturb(cluster, Faults())
            program.registry.mend()
            self.site.loop.resume(program.owner)
        await asyncio.sleep(20)
        for program in self.programs.values():
            await self.site.steady(program)

    def accident(self) -> None:
        draw = self.random
        identity, cluster = draw.choice(["c1", "c2"]), draw.choice(["a", "b"])
        program = self.programs[identity]
        match draw.randrange(10):
            case 0 | 1:
                self.site.put("other", f"vm{draw.randrange(6)}", f"10.3.0.{draw.randrange(1, 200)}", cluster)
            case 2:
                self.site.etcd.delete(f"other/vm{draw.randrange(6)}")
            case 3:
                faults = [Faults(unreachable=True), Faults(silent=True), Faults(status=500)]
                program.disturb(cluster, draw.choice(faults))
            case 4:
                program.disturb(cluster, Faults())
            case 5:
                program.kill()
                self.programs[identity] = self.site.start(identity)
            case 6:
                program.registry.cut() if draw.random() < 0.5 else program.registry.mend()
            case 7:
                self.site.kubes[cluster].compact()
                self.site.kubes[cluster].end_watches()
            case _:
                program.owner.stopped = not program.owner.stopped
                if not program.owner.stopped:
                    self.site.loop.resume(program.owner)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_what_is_listed_is_never_missed_and_all_is_well_in_the_end(seed: int) -> None:
    async def story(site: VirtualSite) -> None:
        chaos = Chaos(site, seed)
        await chaos.play()
        assert chaos.missed == []
        assert chaos.usurped == []
        for number, cluster in enumerate(site.kubes):
            (leader,) = (p for p in chaos.programs.values() if p.status()["clusters"][number]["state"] == "leading")
            controller = leader.shell.controller
            wanted = controller.services.instances("other")
            held = {name for hold in controller.holds() if hold.service == "other" for name in hold.instances}
            assert wanted.keys() == controller.merger.instances("other").keys() | held
            own = {one.address for one in wanted.values() if one.cloud == cluster}
            assert site.ready(cluster, "other") == (own or {one.address for one in wanted.values()})

    play(story)
