"""Registries full of nonsense and clusters that do not answer: what it costs, and what is said of it."""

from __future__ import annotations

import asyncio

from netctl.controller.decide import Controller
from netctl.controller.events import SourceSaid
from netctl.kube.fake.io import Faults
from netctl.model.controller import ClusterSettings, EtcdSource, SourceSettings
from netctl.model.controller import Controller as Settings
from netctl.model.kube import ENDPOINT_SLICES
from netctl.model.ports import Changed, Listed
from netctl.sync.objects import instance_of
from tests.controller.virtual_site import NAMESPACE, Program, VirtualSite, play


def test_unreadable_entries_of_services_that_there_are_not_are_counted_and_make_no_work() -> None:
    source = SourceSettings("vms", etcd=EtcdSource(("http://fake",), "/vm/"))
    cluster = ClusterSettings("a", "a", "", NAMESPACE)
    controller = Controller(Settings("c1", "/run/c1", (source,), (cluster,), "a"), 0, 0.0)
    controller.handle(SourceSaid("vms", Listed({}, 1)), 0)
    controller.handle(SourceSaid("vms", Changed({f"s{number}/one": b"{" for number in range(1000)}, frozenset(), 2)), 0)
    assert not controller.busy(0)  # else a good entry that comes now would wait for all of them
    assert controller.merger.skipped_total == 1000


def test_an_instance_that_became_unreadable_is_not_served_beside_another_one_at_its_address() -> None:
    async def story(site: VirtualSite) -> None:
        for number in (1, 2):
            site.put("orders", f"a-vm{number}", f"10.1.{number}.10")
        program = site.start()
        await site.steady(program)
        await program.leave()
        site.put("orders", "zoe", "10.1.1.10")
        site.etcd.put("orders/a-vm1", b"nonsense")
        site.etcd.put("orders/a-vm2", b"nonsense")
        program = site.start()
        await site.steady(program)
        slices = site.kubes["a"].list(ENDPOINT_SLICES, NAMESPACE).items
        assert sorted(instance_of(raw) for one in slices for raw in one["endpoints"]) == ["a-vm2", "zoe"]
        assert site.ready("a", "orders") == {"10.1.1.10", "10.1.2.10"}

    play(story)


def lines(program: Program, event: str) -> list[dict[str, object]]:
    return [fields for _, what, fields in program.logs if what == event]


def test_a_cluster_that_cannot_be_reached_is_one_line_and_its_return_another() -> None:
    async def story(site: VirtualSite) -> None:
        site.put("orders", "a-vm1", "10.1.1.10")
        program = site.start()
        await site.steady(program)
        program.disturb("a", Faults(unreachable=True))
        await asyncio.sleep(30)
        assert len(lines(program, "cluster in trouble")) == 1
        program.disturb("a", Faults())
        await site.steady(program)
        assert len(lines(program, "cluster in trouble")) == len(lines(program, "cluster back")) == 1

    play(story)


def test_a_cluster_that_is_silent_is_unreachable_and_the_log_says_why_it_is_no_longer_led() -> None:
    async def story(site: VirtualSite) -> None:
        site.put("orders", "a-vm1", "10.1.1.10")
        program = site.start()
        await site.steady(program)
        program.disturb("a", Faults(silent=True))
        await asyncio.sleep(10)
        cluster = program.status()["clusters"][0]
        assert (cluster["state"], "no answer" in cluster["reason"]) == ("unreachable", True)
        (left,) = lines(program, "no longer leading")
        assert "no answer" in str(left["why"])
        program.disturb("a", Faults())
        await site.steady(program)
        assert program.status()["clusters"][0]["state"] == "leading"

    play(story)
