# long because: one real site, and each accident that its clusters can have
"""A controller and what else happens in its clusters: other hands, other controllers, an API server that is away."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from netctl.kube.io import open_kube
from netctl.model.kube import ENDPOINT_SLICES, EPOCH_ANNOTATION, LEASES
from tests.controller.real_site import RealSite
from tests.controller.running import until
from tests.real.etcd import RealEtcd
from tests.real.kube import RealKube

READY = {"10.1.1.10": True, "10.1.2.10": True}


async def register(site: RealSite) -> None:
    for number in (1, 2):
        await site.put("orders", f"a-vm{number}", f"10.1.{number}.10")


def edit(site: RealSite, cluster: str, resource: str, name: str, **change: Any) -> dict[str, Any]:
    """As kubectl edit does, and again when the controller was faster."""
    path = site.path(cluster, resource, name)
    metadata = change.pop("metadata", {})
    while True:
        obj = site.kube.request("GET", path)
        try:
            return site.kube.request("PUT", path, {**obj, **change, "metadata": {**obj["metadata"], **metadata}})
        except HTTPError as error:
            if error.code != 409:
                raise


async def test_what_hands_change_or_delete_is_repaired_within_a_second(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        edit(site, "a", "endpointslices", "orders-netctl-1", endpoints=[])
        assert await site.ready("a", "orders", *READY) < 1.0
        site.kube.request("DELETE", site.path("a", "endpointslices", "orders-netctl-1"))
        assert await site.ready("a", "orders", *READY) < 1.0
        site.kube.request("DELETE", site.path("a", "services", "orders"))
        assert await until(lambda: site.service("a", "orders"), 5) < 1.0
        await site.ready("a", "orders", *READY)  # the garbage collector takes those of the old Service
        await controller.steady()
        spec = site.kube.request("GET", site.path("a", "services", "orders"))["spec"]
        edit(site, "a", "services", "orders", spec={**spec, "publishNotReadyAddresses": True})
        path = site.path("a", "services", "orders")
        took_s = await until(lambda: "publishNotReadyAddresses" not in site.kube.request("GET", path)["spec"], 5)
        assert took_s < 1.0


async def test_labels_and_annotations_of_others_stay(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        slice_ = edit(site, "a", "endpointslices", "orders-netctl-1", metadata={"annotations": {"mine": "stays"}})
        assert slice_["metadata"]["annotations"] == {"mine": "stays"}
        await site.put("orders", "a-vm3", "10.1.3.10")
        await site.ready("a", "orders", *READY, "10.1.3.10")
        (slice_,) = site.objects("a", "endpointslices")
        assert slice_["metadata"]["annotations"] == {"mine": "stays", EPOCH_ANNOTATION: "1"}


async def test_a_service_of_somebody_else_is_left_alone_and_shown(site: RealSite) -> None:
    spec = {"clusterIP": "None", "ports": [{"name": "x", "port": 81}], "selector": {"app": "theirs"}}
    foreign = site.kube.request("POST", site.path("a", "services"), {"metadata": {"name": "orders"}, "spec": spec})
    await register(site)
    await site.put("other", "a-vm1", "10.1.1.10")
    async with site.controller() as controller:
        await controller.steady()
        await site.ready("a", "other", "10.1.1.10")
        assert site.service("a", "orders") == foreign
        assert site.answers("a", "orders") == {}
        assert site.answers("b", "orders") == READY
        (shown,) = controller.status()["foreign"]
        assert (shown["cluster"], shown["name"]) == ("a", "orders")
        assert "left alone" in (await controller.ask("explain", "orders"))["clusters"][0]["why"]
        site.kube.request("DELETE", site.path("a", "services", "orders"))
        await site.ready("a", "orders", *READY)
        assert controller.status()["foreign"] == []


async def test_a_slice_of_somebody_else_is_left_alone_and_shown(site: RealSite) -> None:
    await register(site)
    labels = {"kubernetes.io/service-name": "orders", "endpointslice.kubernetes.io/managed-by": "someone"}
    body = {
        "metadata": {"name": "orders-by-hand", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.9.9.9"]}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }
    foreign = site.kube.request("POST", site.path("a", "endpointslices"), body)
    async with site.controller() as controller:
        await controller.steady()
        assert site.kube.request("GET", site.path("a", "endpointslices", "orders-by-hand")) == foreign
        (shown,) = controller.status()["foreign"]
        assert "someone" in shown["reason"]


async def test_who_keeps_changing_an_object_is_named_and_not_fought_at_full_speed(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        before = controller.status()["clusters"][0]["writes_total"]

        wrong = [{"addresses": ["10.9.9.9"], "conditions": {"ready": True}}]

        def again() -> bool:
            edit(site, "a", "endpointslices", "orders-netctl-1", endpoints=wrong)
            return bool(controller.status()["refused"])

        await until(again, 20)
        (shown,) = controller.status()["refused"]
        assert "somebody else (Python-urllib) keeps changing it" in shown["reason"]
        for _ in range(20):
            edit(site, "a", "endpointslices", "orders-netctl-1", endpoints=wrong)
        assert controller.status()["clusters"][0]["writes_total"] - before <= 11
        await site.put("orders", "a-vm3", "10.1.3.10")  # a change of our own does not wait
        await site.ready("a", "orders", *READY, "10.1.3.10", within_s=2)


async def test_of_two_controllers_one_writes_and_the_other_takes_over_when_it_leaves(site: RealSite) -> None:
    await register(site)
    async with site.controller("c1") as first:
        await first.steady()
        async with site.controller("c2") as second:
            await second.steady()
            assert [(c["state"], c["leader"]) for c in second.status()["clusters"]] == [("standby", "c1")] * 2
            await site.put("orders", "a-vm3", "10.1.3.10")
            for cluster in ("a", "b"):
                await site.ready(cluster, "orders", *READY, "10.1.3.10")
            await first.steady()
            before = site.versions()
            await first.leave()
            took_s = await until(lambda: all(c["state"] == "leading" for c in second.status()["clusters"]), 5)
            assert took_s < 1.5  # it need not expire
            await second.steady()
            assert site.versions() == before  # a new epoch is no reason to write what is right
            await site.delete("orders/a-vm3")
            await site.ready("a", "orders", *READY)
            lease = site.kube.request("GET", site.path("a", "leases", "netctl-controller"))
            assert epoch_of_slice(site) == str(lease["spec"]["leaseTransitions"]) == "2"


async def test_the_late_write_of_a_stale_leader_is_repaired_and_carries_the_new_epoch(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
    edit_lease(site, "a", "c1", 7)
    async with site.controller() as controller:
        await controller.steady()
        stale = {"annotations": {EPOCH_ANNOTATION: "6"}}
        edit(site, "a", "endpointslices", "orders-netctl-1", metadata=stale)  # right content, old epoch
        await until(lambda: epoch_of_slice(site) == "7", 2)
        assert site.answers("a", "orders") == READY


def edit_lease(site: RealSite, cluster: str, holder: str, transitions: int) -> None:
    path = site.path(cluster, "leases", "netctl-controller")
    lease = site.kube.request("GET", path)
    lease["spec"].update(holderIdentity=holder, leaseTransitions=transitions)
    site.kube.request("PUT", path, lease)


def epoch_of_slice(site: RealSite) -> str:
    (slice_,) = site.objects("a", "endpointslices")
    return str(slice_["metadata"]["annotations"][EPOCH_ANNOTATION])


async def test_a_forbidden_cluster_is_one_clear_line_and_no_other_is_affected(site: RealSite) -> None:
    await register(site)
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{site.clusters['b']}/rolebindings/netctl"
    removed = site.kube.request("GET", binding)
    site.kube.request("DELETE", binding)
    async with site.controller() as controller:
        await site.ready("a", "orders", *READY)
        cluster = controller.status()["clusters"][1]
        assert cluster["state"] == "unreachable"
        assert "forbidden" in cluster["reason"]
        assert "\n" not in cluster["reason"]
        removed["metadata"] = {"name": "netctl"}
        site.kube.request("POST", binding.removesuffix("/netctl"), removed)
        await site.ready("b", "orders", *READY)
        await controller.steady()


async def test_without_its_configmap_nothing_is_removed_and_everything_else_goes_on(site: RealSite) -> None:
    await register(site)
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{site.clusters['a']}/roles/netctl"
    allowed = site.kube.request("GET", role)
    rules = [{**rule, "resources": [r for r in rule["resources"] if r != "configmaps"]} for rule in allowed["rules"]]
    site.kube.request("PUT", role, {**allowed, "rules": [rule for rule in rules if rule["resources"]]})
    async with site.controller() as controller:
        await site.ready("a", "orders", *READY)
        await site.put("orders", "a-vm3", "10.1.3.10")
        await site.ready("a", "orders", *READY, "10.1.3.10")
        await site.delete("orders/a-vm3")
        await site.ready("b", "orders", *READY)
        assert "configmaps" in controller.status()["clusters"][0]["reason"]
        assert site.answers("a", "orders") == {**READY, "10.1.3.10": True}
        told = [fields for _, event, fields in site.logs if event == "read failed"]
        assert len(told) == 1
        role_now = site.kube.request("GET", role)
        site.kube.request("PUT", role, {**role_now, "rules": allowed["rules"]})
        await site.ready("a", "orders", *READY)
        await controller.steady()


async def test_an_object_with_its_managing_label_gone_is_no_longer_ours(site: RealSite) -> None:
    await register(site)
    async with site.controller() as controller:
        await controller.steady()
        obj = site.kube.request("GET", site.path("a", "endpointslices", "orders-netctl-1"))
        obj["metadata"]["labels"].pop("endpointslice.kubernetes.io/managed-by")
        site.kube.request("PUT", site.path("a", "endpointslices", "orders-netctl-1"), obj)
        await until(lambda: len(site.objects("a", "endpointslices")) == 2, 5)
        await controller.steady()
        assert [one["name"] for one in controller.status()["foreign"]] == ["orders-netctl-1"]


class OwnKube(RealKube):
    """A control plane to be killed and restored."""

    async def begin(self, *parts: str) -> None:
        """Start them from here (they die with the thread that did) and wait elsewhere."""
        for part in parts:
            self.launch(part)
            await asyncio.to_thread(self.wait_for, part)

    async def backup(self) -> Path:
        """A copy of what etcd holds now."""
        self.kill("etcd", signal.SIGTERM)
        copied = shutil.copytree(self.folder / "etcd", self.folder / "backup")
        await self.begin("etcd")
        return copied

    async def restore(self, backup: Path) -> None:
        for part in ("kube-apiserver", "etcd"):
            self.kill(part)
        shutil.rmtree(self.folder / "etcd")
        shutil.move(backup, self.folder / "etcd")
        await self.begin("etcd", "kube-apiserver")


@pytest.fixture(scope="module")
def own_kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKube]:
    kube = OwnKube(tmp_path_factory.mktemp("kube"))
    kube.start()
    yield kube
    kube.stop()


async def test_an_api_server_killed_and_restarted_is_caught_up_with_without_help(
    tmp_path: Path, own_kube: OwnKube
) -> None:
    with RealEtcd(tmp_path / "etcd") as etcd:
        site = RealSite(tmp_path, etcd, own_kube)
        await register(site)
        async with site.controller() as controller:
            await controller.steady()
            own_kube.kill("kube-apiserver")
            await until(lambda: controller.status()["clusters"][0]["state"] == "unreachable", 15)
            reason = controller.status()["clusters"][0]["reason"]
            assert "cluster a" in reason
            assert "\n" not in reason
            await site.delete("orders/a-vm1")
            await site.put("orders", "a-vm4", "10.1.4.10")
            await own_kube.begin("kube-apiserver")
            await site.ready("a", "orders", "10.1.2.10", "10.1.4.10", within_s=20)
            await controller.steady()
            assert controller.status()["holds"] == []


async def test_a_cluster_restored_from_a_backup_is_read_anew_and_put_right(tmp_path: Path, own_kube: OwnKube) -> None:
    with RealEtcd(tmp_path / "etcd") as etcd:
        site = RealSite(tmp_path, etcd, own_kube)
        await register(site)
        async with site.controller() as controller:
            await controller.steady()
            backup = await own_kube.backup()
            await controller.steady()
            await site.put("orders", "a-vm4", "10.1.4.10")
            await site.ready("a", "orders", *READY, "10.1.4.10")
            await own_kube.restore(backup)
            await site.ready("a", "orders", *READY, "10.1.4.10", within_s=30)
            await controller.steady()


async def test_without_a_service_there_is_a_lease_and_nothing_else(
    site: RealSite,
) -> None:
    async with site.controller() as controller:
        await controller.steady()
        api = open_kube(site.settings().clusters[0])
        try:
            lease = await api.get(LEASES, site.clusters["a"], "netctl-controller")
            assert lease["spec"]["holderIdentity"] == "c1"
            assert lease["spec"]["leaseTransitions"] == 1
            assert (await api.list(ENDPOINT_SLICES, site.clusters["a"])).items == []
        finally:
            await api.close()
