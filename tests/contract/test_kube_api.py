"""What every ``KubeApi`` promises, on a real kube-apiserver (with kube-controller-manager) and on the fake cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from netctl.model.kube import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    LEASES,
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    SERVICES,
    ConflictError,
    InvalidError,
    NotFoundError,
    Obj,
    Resource,
)
from tests.contract.clusters import Namespace, delete, endpoint_slice, fake_namespace, real_namespace, service, until


@pytest.fixture(params=["real", "fake"])
async def ns(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Namespace]:
    namespace = real_namespace(tmp_path) if request.param == "real" else fake_namespace()
    async with asyncio.timeout(30):
        yield namespace
    await namespace.api.close()


def version(obj: Obj) -> str:
    return str(obj["metadata"]["resourceVersion"])


def bare(obj: Obj) -> Obj:
    """Without what no two clusters have in common."""
    meta = {k: v for k, v in obj["metadata"].items() if k in ("name", "labels", "annotations", "generation")}
    return {**obj, "metadata": meta}


# --- objects ---


async def test_a_created_object_has_identity_version_and_type_and_is_read_back_the_same(ns: Namespace) -> None:
    made = await ns.api.create(SERVICES, ns.name, service("orders"))
    assert made["metadata"]["uid"]
    assert made["metadata"]["namespace"] == ns.name
    assert (made["apiVersion"], made["kind"]) == ("v1", "Service")
    assert await ns.api.get(SERVICES, ns.name, "orders") == made


async def test_a_headless_service_without_selector_is_filled_in(ns: Namespace) -> None:
    made = await ns.api.create(SERVICES, ns.name, service("orders"))
    assert bare(made) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders", "labels": {"a": "b"}},
        "spec": {
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}],
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


async def test_a_service_with_a_cluster_ip_gets_one_of_its_own_and_keeps_it_when_a_replace_leaves_it_out(
    ns: Namespace,
) -> None:
    wanted = service("orders")
    del wanted["spec"]["clusterIP"]
    made = await ns.api.create(SERVICES, ns.name, wanted)
    other = await ns.api.create(SERVICES, ns.name, {**wanted, "metadata": {"name": "ledger"}})
    assert made["spec"]["clusterIPs"] == [made["spec"]["clusterIP"]]
    assert made["spec"]["clusterIP"].startswith("10.96.")
    assert other["spec"]["clusterIP"] != made["spec"]["clusterIP"]
    ports = [{"name": "http", "port": 81}]
    after = await ns.api.replace(SERVICES, ns.name, {"metadata": made["metadata"], "spec": {"ports": ports}})
    assert after["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert after["spec"]["ports"][0]["port"] == 81


async def test_a_cluster_ip_may_not_change_once_it_is_none(ns: Namespace) -> None:
    made = await ns.api.create(SERVICES, ns.name, service("orders"))
    families = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    changed = {**made["spec"], "clusterIP": "10.96.77.1", "clusterIPs": ["10.96.77.1"], **families}
    with pytest.raises(InvalidError, match="may not change once set"):
        await ns.api.replace(SERVICES, ns.name, {**made, "spec": changed})


async def test_a_slice_keeps_what_was_given_and_gets_protocol_and_generation(ns: Namespace) -> None:
    instance = {"kind": "Instance", "apiVersion": "netctl.io/v1", "name": "vm1"}
    endpoints = [
        {"addresses": ["10.1.0.1"], "conditions": {"ready": False}, "zone": "a", "hostname": "vm1"},
        {"addresses": ["10.1.0.2"], "targetRef": instance},
    ]
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("orders-netctl-0", endpoints=endpoints))
    endpoints[1]["conditions"] = {}
    assert bare(made) == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**endpoint_slice("orders-netctl-0")["metadata"], "generation": 1},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": endpoints,
    }
    made["endpoints"][0]["conditions"]["ready"] = True
    after = await ns.api.replace(ENDPOINT_SLICES, ns.name, made)
    assert after["metadata"]["generation"] == 2


async def test_empty_lists_and_maps_do_not_come_back(ns: Namespace) -> None:
    wanted = endpoint_slice("s", ports=[])
    wanted["metadata"].update(annotations={}, ownerReferences=[], labels={})
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, wanted)
    assert made["endpoints"] is None
    assert made["ports"] is None
    assert made["metadata"].keys().isdisjoint({"annotations", "ownerReferences", "labels"})
    unnamed = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("t", ports=[{"port": 80}]))
    assert unnamed["ports"] == [{"name": "", "port": 80, "protocol": "TCP"}]


async def test_creating_what_exists_is_a_conflict(ns: Namespace) -> None:
    await ns.api.create(SERVICES, ns.name, service("orders"))
    with pytest.raises(ConflictError):
        await ns.api.create(SERVICES, ns.name, service("orders"))


async def test_replacing_an_older_version_is_a_conflict_and_changes_nothing(ns: Namespace) -> None:
    first = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    second = await ns.api.replace(
        ENDPOINT_SLICES, ns.name, {**endpoint_slice("s", "10.1.0.2"), "metadata": first["metadata"]}
    )
    with pytest.raises(ConflictError):
        await ns.api.replace(ENDPOINT_SLICES, ns.name, first)
    assert await ns.api.get(ENDPOINT_SLICES, ns.name, "s") == second


async def test_replacing_with_the_uid_of_a_predecessor_is_a_conflict(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    other = {**made["metadata"], "uid": "3aa5ac4f-3c11-481c-8309-7c538bc21231"}
    with pytest.raises(ConflictError):
        await ns.api.replace(ENDPOINT_SLICES, ns.name, {**made, "metadata": other})


async def test_replacing_without_a_version_is_refused_since_it_would_overwrite_anything(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    with pytest.raises(InvalidError, match="without resourceVersion"):
        await ns.api.replace(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.2"))
    assert await ns.api.get(ENDPOINT_SLICES, ns.name, "s") == made


async def test_replacing_with_the_same_content_keeps_the_version(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    again = await ns.api.replace(ENDPOINT_SLICES, ns.name, made)
    assert version(again) == version(made)


async def test_what_is_not_there_is_not_found(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    await delete(ns.api, ns.name, made)
    with pytest.raises(NotFoundError):
        await ns.api.get(ENDPOINT_SLICES, ns.name, "s")
    with pytest.raises(NotFoundError):
        await ns.api.replace(ENDPOINT_SLICES, ns.name, made)
    with pytest.raises(NotFoundError):
        await delete(ns.api, ns.name, made)


@pytest.mark.parametrize("wrong", [{"uid": "3aa5ac4f-3c11-481c-8309-7c538bc21231"}, {"resource_version": "1"}])
async def test_deleting_another_uid_or_version_is_a_conflict(ns: Namespace, wrong: dict[str, str]) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    given = {"uid": made["metadata"]["uid"], "resource_version": version(made), **wrong}
    with pytest.raises(ConflictError):
        await ns.api.delete(ENDPOINT_SLICES, ns.name, "s", **given)
    assert await ns.api.get(ENDPOINT_SLICES, ns.name, "s") == made


BAD_ADDRESSES = ("127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "010.1.1.1", "10.1.1.1 ", "vm1", "::1", "")


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_one_bad_address_refuses_the_whole_slice(ns: Namespace, address: str) -> None:
    with pytest.raises(InvalidError) as caught:
        await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1", address))
    assert caught.value.status == 422
    assert (await ns.api.list(ENDPOINT_SLICES, ns.name)).items == []


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        (ENDPOINT_SLICES, endpoint_slice("s", *[f"10.1.{i // 200}.{i % 200 + 1}" for i in range(1001)])),
        (ENDPOINT_SLICES, endpoint_slice("s", ports=[{"name": "HTTP", "port": 80}])),
        (ENDPOINT_SLICES, endpoint_slice("s", ports=[{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
        (ENDPOINT_SLICES, endpoint_slice("s", ports=[{"name": "a", "port": 80, "protocol": "X"}])),
        (ENDPOINT_SLICES, endpoint_slice("s", endpoints=[{"addresses": ["10.1.0.1"], "hostname": "a.b"}])),
        (ENDPOINT_SLICES, endpoint_slice("s", endpoints=[{"addresses": []}])),
        (ENDPOINT_SLICES, endpoint_slice("s", addressType="IPv5")),
        (ENDPOINT_SLICES, endpoint_slice("S")),
        (SERVICES, service("Bad_Name")),
        (SERVICES, service("a" * 64)),
        (SERVICES, service("orders", ports=[{"port": 80}, {"port": 81}])),
        (SERVICES, service("orders", ports=[{"port": 65536}])),
        (LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 0}}),
    ],
)
async def test_an_object_that_breaks_a_rule_is_invalid(ns: Namespace, resource: Resource, obj: Obj) -> None:
    with pytest.raises(InvalidError):
        await ns.api.create(resource, ns.name, obj)


@pytest.mark.parametrize(
    "obj",
    [
        endpoint_slice("s"),
        endpoint_slice("s", "10.1.0.1", "10.1.0.1"),
        endpoint_slice("s", "255.255.255.255", "240.0.0.1"),
        endpoint_slice("s", *[f"10.1.{i // 200}.{i % 200 + 1}" for i in range(1000)]),
        endpoint_slice("s", ports=[{"port": 80}]),
        endpoint_slice("s.with.dots"),
    ],
)
async def test_a_slice_at_the_edge_of_the_rules_is_taken(ns: Namespace, obj: Obj) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, obj)
    assert len(made.get("endpoints") or ()) == len(obj["endpoints"])


async def test_the_address_type_of_a_slice_is_immutable(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s"))
    with pytest.raises(InvalidError, match="immutable"):
        await ns.api.replace(ENDPOINT_SLICES, ns.name, {**made, "addressType": "IPv6"})


async def test_a_config_map_keeps_a_large_opaque_string(ns: Namespace) -> None:
    text = '{"é\\n' + "x" * 300_000
    made = await ns.api.create(CONFIG_MAPS, ns.name, {"metadata": {"name": "g"}, "data": {"state": text}})
    assert made["data"] == {"state": text}


async def test_slices_of_a_deleted_service_are_collected_and_others_stay(ns: Namespace) -> None:
    owner = await ns.api.create(SERVICES, ns.name, service("orders"))
    await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("owned", "10.1.0.1", owner=owner))
    await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("alone", "10.1.0.1"))
    await ns.api.delete(SERVICES, ns.name, "orders", uid=owner["metadata"]["uid"], resource_version=version(owner))

    async def collected() -> bool:
        return [item["metadata"]["name"] for item in (await ns.api.list(ENDPOINT_SLICES, ns.name)).items] == ["alone"]

    await until(collected)


# --- lists ---


async def test_a_list_holds_everything_of_the_namespace_and_a_version(ns: Namespace) -> None:
    before = await ns.api.list(SERVICES, ns.name)
    assert before.items == []
    made = [await ns.api.create(SERVICES, ns.name, service(name)) for name in ("b", "a")]
    after = await ns.api.list(SERVICES, ns.name)
    assert [item["metadata"]["name"] for item in after.items] == ["a", "b"]
    assert int(before.resource_version) < int(version(made[1])) <= int(after.resource_version)


async def test_a_list_selects_by_labels(ns: Namespace) -> None:
    await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("ours"))
    labels = {SERVICE_NAME_LABEL: "orders"}
    await ns.api.create(ENDPOINT_SLICES, ns.name, {**endpoint_slice("x"), "metadata": {"name": "x", "labels": labels}})

    async def names(selector: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await ns.api.list(ENDPOINT_SLICES, ns.name, selector)).items]

    assert await names(f"{MANAGED_BY_LABEL}=netctl") == ["ours"]
    assert await names(f"{MANAGED_BY_LABEL}!=netctl") == ["x"]
    assert await names(f"{SERVICE_NAME_LABEL}=orders,!{MANAGED_BY_LABEL}") == ["x"]
    assert await names(SERVICE_NAME_LABEL) == ["ours", "x"]
    assert await names("nothing=here") == []


async def test_a_list_of_many_pages_is_complete(ns: Namespace) -> None:
    names = {f"s{number}" for number in range(1201)}

    async def make(some: list[str]) -> None:
        for name in some:
            await ns.api.create(CONFIG_MAPS, ns.name, {"metadata": {"name": name, "labels": {"many": ""}}})

    ordered = sorted(names)
    await asyncio.gather(*(make(ordered[start::8]) for start in range(8)))
    found = await ns.api.list(CONFIG_MAPS, ns.name, "many")
    assert {item["metadata"]["name"] for item in found.items} == names
    assert len(found.items) == 1201
