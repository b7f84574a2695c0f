"""What a dry run says of lists, and what is logged of entries that cannot be used."""

from __future__ import annotations

from typing import Any

from netctl.controller.decide import Controller as Mind
from netctl.controller.dry import difference
from netctl.model.controller import ClusterSettings, Controller, EtcdSource, SourceSettings
from netctl.model.kube import ENDPOINT_SLICES, SERVICES
from netctl.model.ports import Listed
from tests.controller.virtual_site import NAMESPACE, VirtualSite, play


def planned(site: VirtualSite, entries: dict[str, bytes]) -> dict[str, Any]:
    settings = Controller(
        "dry",
        "/run/dry",
        (SourceSettings("vms", etcd=EtcdSource(("http://fake",), "/vm/")),),
        tuple(ClusterSettings(name, name, "", NAMESPACE) for name in site.kubes),
        "a",
    )
    lists = {name: (k.list(SERVICES, NAMESPACE), k.list(ENDPOINT_SLICES, NAMESPACE)) for name, k in site.kubes.items()}
    return difference(Mind(settings, 0, 0.0), {"vms": Listed(entries, 1)}, lists, 0)


def vm(address: str) -> bytes:
    return f'{{"address": "{address}", "ports": {{"http": 80}}, "cloud": "a"}}'.encode()


def test_a_new_service_is_planned_with_the_addresses_of_its_slices() -> None:
    async def story(site: VirtualSite) -> None:
        found = planned(site, {"shop/s1": vm("10.1.0.1"), "shop/s2": vm("10.1.0.2")})
        rows = [(w["cluster"], w["verb"], w["resource"], w["name"]) for w in found["writes"]]
        assert rows == [
            (cluster, "create", resource, name)
            for cluster in "ab"
            for resource, name in (("services", "shop"), ("endpointslices", "shop-netctl-1"))
        ]
        for write in found["writes"][1::2]:
            assert "10.1.0.1" in write["why"]
            assert "10.1.0.2" in write["why"]
        assert (found["holds"], found["skipped"], found["skipped_total"]) == ([], [], 0)

    play(story)


def test_the_plan_of_a_wiped_service_is_to_hold_it_and_what_cannot_be_used_is_named() -> None:
    async def story(site: VirtualSite) -> None:
        for number in (1, 2):
            site.put("shop", f"s{number}", f"10.1.0.{number}")
        program = site.start()
        await site.steady(program)
        await site.until(lambda: site.ready("a", "shop") == {"10.1.0.1", "10.1.0.2"})
        await program.leave()
        found = planned(site, {"shop/s9": b"{"})
        assert found["writes"] == []
        (hold,) = found["holds"]
        assert (hold["service"], hold["instances"], hold["served"]) == ("shop", ["s1", "s2"], 2)
        assert [(one["source"], one["key"]) for one in found["skipped"]] == [("vms", "shop/s9")]

    play(story)


def test_entries_that_are_refused_are_logged_once_and_thousands_of_them_in_twenty_lines() -> None:
    async def story(site: VirtualSite) -> None:
        site.etcd.put("shop/s1", b"{")
        program = site.start()

        def refused() -> list[dict[str, object]]:
            return [fields for _, event, fields in program.logs if event.startswith("entr")]

        await site.until(refused)
        (line,) = refused()
        assert (line["source"], line["key"]) == ("vms", "shop/s1")
        assert line["why"]
        site.put("shop", "s2", "10.1.0.2")
        site.etcd.put("shop/s1", b"[")
        await site.until(lambda: site.ready("a", "shop") == {"10.1.0.2"})
        assert len(refused()) == 1
        await program.leave()
        for number in range(1000):
            site.etcd.put(f"bad/b{number}", b"{")
        program = site.start("c2")
        await site.steady(program)
        lines = refused()
        assert len(lines) == 21
        assert lines[-1]["why"] == "and 981 more"

    play(story)
