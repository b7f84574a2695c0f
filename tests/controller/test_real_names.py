"""A controller on a real etcd and a real kube-apiserver: what registries say becomes names, and nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

from netctl.controller.io import plan_once
from tests.controller.real_site import RealSite
from tests.controller.running import until

A_ORDERS = ("10.1.1.10", "10.1.2.10")
B_ORDERS = ("10.2.1.10", "10.2.2.10")
LEDGER = ("10.2.2.10", "10.2.3.10")


async def register(site: RealSite) -> None:
    """``orders`` in both clouds, ``ledger`` in b alone."""
    for cloud, addresses in (("a", A_ORDERS), ("b", B_ORDERS)):
        for number, address in enumerate(addresses, 1):
            await site.put("orders", f"{cloud}-vm{number}", address, cloud)
    for number, address in enumerate(LEDGER, 2):
        await site.put("ledger", f"b-vm{number}", address, "b")


async def test_each_cluster_answers_with_its_own_instances_and_with_the_others_where_it_has_none(
    site: RealSite,
) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        assert site.answers("a", "orders") == dict.fromkeys(A_ORDERS, True)
        assert site.answers("b", "orders") == dict.fromkeys(B_ORDERS, True)
        assert site.answers("a", "ledger") == site.answers("b", "ledger") == dict.fromkeys(LEDGER, True)
        service = site.service("a", "orders")
        assert service is not None
        assert service["spec"]["clusterIP"] == "None"
        assert "selector" not in service["spec"]
        assert service["metadata"]["annotations"]["netctl.io/epoch"] == "1"


async def test_one_key_put_or_deleted_is_one_write_in_one_cluster_and_at_once(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        before = site.versions()
        await site.put("orders", "a-vm9", "10.1.9.10")
        took_s = await site.ready("a", "orders", *A_ORDERS, "10.1.9.10")
        after = site.versions()
        assert [key for key in after if before.get(key) != after[key]] == ["a/endpointslices/orders-netctl-1"]
        await site.delete("orders/a-vm9")
        took_s += await site.ready("a", "orders", *A_ORDERS)
        assert took_s < 2.0  # some 10 ms each; the machine that runs tests may be busy
        assert controller.status()["holds"] == []


async def test_a_wiped_registry_removes_nothing_until_an_operator_says_so(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        before = {key: version for key, version in site.versions().items() if "configmaps" not in key}
        await site.wipe()
        await until(lambda: len(controller.status()["holds"]) == 2, 10)
        await controller.steady()
        holds = {hold["service"]: hold for hold in (await controller.ask("holds"))["holds"]}
        assert holds["ledger"]["kind"] == "last"
        assert holds["ledger"]["instances"] == ["b-vm2", "b-vm3"]
        assert "which would leave none" in holds["ledger"]["reason"]
        assert {key: version for key, version in site.versions().items() if "configmaps" not in key} == before
        await controller.ask("approve", holds["ledger"]["id"])
        await until(lambda: site.service("a", "ledger") is None and site.service("b", "ledger") is None, 10)
        assert site.answers("a", "ledger") == {}
        assert site.answers("a", "orders") == dict.fromkeys(A_ORDERS, True)


async def test_what_is_held_is_held_after_a_restart_too_and_goes_back_to_normal_when_it_is_listed_again(
    site: RealSite,
) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        await site.wipe()
        await until(lambda: len(controller.status()["holds"]) == 2, 10)
        await controller.steady()
    before = site.versions()
    async with site.controller() as controller:
        await controller.steady()
        assert len(controller.status()["holds"]) == 2
        assert site.versions() == before
        await register(site)
        await until(lambda: controller.status()["holds"] == [], 10)
        assert site.answers("a", "orders") == dict.fromkeys(A_ORDERS, True)


async def test_a_restart_with_nothing_changed_writes_nothing_but_the_lease(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
    before = site.versions()
    async with site.controller() as controller:
        await controller.steady()
        assert all(cluster["state"] == "leading" for cluster in controller.status()["clusters"])
        assert [cluster["writes_total"] for cluster in controller.status()["clusters"]] == [0, 0]
    assert site.versions() == before


async def test_what_went_while_no_controller_ran_goes_when_it_starts_and_a_collapse_is_held(site: RealSite) -> None:
    await register(site)
    for number in range(3, 9):
        await site.put("orders", f"a-vm{number}", f"10.1.{number}.10")
    async with site.controller() as controller:
        await controller.steady()
    await site.delete("orders/a-vm1")
    await site.wipe_service("ledger")
    async with site.controller() as controller:
        await controller.steady()
        assert "10.1.1.10" not in site.answers("a", "orders")
        assert [hold["service"] for hold in controller.status()["holds"]] == ["ledger"]
        assert site.answers("b", "ledger") == dict.fromkeys(LEDGER, True)


async def test_no_source_no_removal_and_everything_else_goes_on(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
    site.etcd.kill()
    before = site.versions()
    extra = site.folder / "vms.yaml"
    extra.write_text("services: {extra: {instances: {vm5: {address: 10.1.5.5, ports: {http: 80}, cloud: a}}}}\n")
    async with site.controller(sources=(site.etcd.source(), site.file_source(extra))) as controller:
        await site.ready("a", "extra", "10.1.5.5")
        assert {key: site.versions()[key] for key in before} == before
        source = controller.status()["sources"][0]
        assert (source["state"], source["name"]) == ("lost", "vms")
        assert site.etcd.url in source["reason"]
        site.etcd.start()
        await site.delete("orders/a-vm1")
        await site.ready("a", "orders", "10.1.2.10")


async def test_a_registry_killed_and_restarted_changes_nothing_and_is_followed_again(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        before = site.versions()
        site.etcd.kill()
        await until(lambda: controller.status()["sources"][0]["state"] == "lost", 10)
        assert not controller.status()["steady"]
        site.etcd.start()
        await controller.steady()
        assert site.versions() == before
        await site.put("orders", "a-vm9", "10.1.9.10")
        await site.ready("a", "orders", *A_ORDERS, "10.1.9.10")


async def test_bad_entries_cost_themselves_and_nothing_else(site: RealSite) -> None:
    await register(site)
    await site.put_raw("orders/a-vm7", b"{")
    await site.put("orders", "a-vm8", "127.0.0.1")
    await site.put("orders", "Not_A_Label", "10.1.8.8")
    await site.put_raw("orders/big", b'{"address": "' + b"1" * 1_000_000 + b'"}')
    await site.put("b", "vm1", "10.1.8.9")
    async with site.controller() as controller:
        await controller.steady()
        assert site.answers("a", "orders") == dict.fromkeys(A_ORDERS, True)
        status = controller.status()
        keys = {one["key"] for one in status["skipped"]}
        assert keys == {"orders/a-vm7", "orders/a-vm8", "orders/Not_A_Label", "orders/big", "b/vm1"}
        assert all(one["source"] == "vms" and one["reason"] for one in status["skipped"])
        assert status["skipped_total"] == status["sources"][0]["skipped"] == 5
        await site.put("orders", "a-vm1", "169.254.1.1")  # a broken update of a good one
        await until(lambda: controller.status()["skipped_total"] == 6, 10)
        assert site.answers("a", "orders") == dict.fromkeys(A_ORDERS, True)


async def test_a_dry_run_says_what_would_be_written_and_writes_nothing(site: RealSite) -> None:
    await register(site)
    settings = site.settings()
    rows = (await asyncio.to_thread(plan_once, settings))["writes"]
    assert {(row["cluster"], row["verb"], row["resource"], row["name"]) for row in rows} >= {
        ("a", "create", "services", "orders"),
        ("a", "create", "endpointslices", "orders-netctl-1"),
        ("b", "create", "services", "ledger"),
    }
    assert site.versions() == {}
    async with site.controller() as controller:
        await controller.steady()
    assert (await asyncio.to_thread(plan_once, settings))["writes"] == []
    await site.delete("orders/a-vm1")
    (row,) = (await asyncio.to_thread(plan_once, settings))["writes"]
    assert (row["cluster"], row["verb"], row["name"]) == ("a", "replace", "orders-netctl-1")


async def test_explain_says_why_in_words(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        body = await controller.ask("explain", "ledger")
        why = {cluster["name"]: cluster["why"] for cluster in body["clusters"]}
        assert why["a"] == "cloud a has no instance, so others answer: 2 of cloud b"
        assert [cluster["answers"] for cluster in body["clusters"]] == [list(LEDGER), list(LEDGER)]
        instance: dict[str, Any] = body["instances"][0]
        assert (instance["name"], instance["listed"], instance["held"], instance["verdict"]) == (
            "b-vm2",
            True,
            False,
            "unknown",
        )
        text = (await controller.ask("metrics"))["text"]
        assert 'netctl_controller_cluster_leading{cluster="a"} 1.0' in text
