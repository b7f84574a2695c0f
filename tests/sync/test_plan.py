"""What is written, and in which order: few writes, nothing of others', what the removal budget has to pay."""

from __future__ import annotations

import pytest

from netctl.model.naming import Instance
from netctl.sync.objects import epoch_of, served
from netctl.sync.want import Endpoint
from tests.sync.things import HTTP, TinyCluster, cluster_with, instance, instances, verbs, wanted_of

TWO = instances((1, 2))


def sizes(cluster: TinyCluster) -> list[int]:
    return sorted(len(obj["endpoints"]) for obj in cluster.slices)


def names_in(cluster: TinyCluster, name: str) -> list[str]:
    return [raw["targetRef"]["name"] for raw in cluster.objects["endpointslices", name]["endpoints"]]


# --- the objects -----------------------------------------------------------------------------------------------------


def test_a_new_service_is_created_first_and_its_slice_names_it_as_owner() -> None:
    cluster = TinyCluster()
    first = cluster.plan(wanted_of(TWO), epoch=7)
    assert verbs(list(first.writes)) == [("create", "orders")]
    assert first.more
    assert verbs(cluster.converge(wanted_of(TWO), epoch=7)) == [("create", "orders"), ("create", "orders-netctl-1")]
    service, (obj,) = cluster.service, cluster.slices
    assert service is not None
    assert service["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "netctl"}
    assert service["spec"] == {
        "type": "ClusterIP",
        "clusterIP": "None",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }
    assert obj["metadata"]["labels"] == {
        "kubernetes.io/service-name": "orders",
        "endpointslice.kubernetes.io/managed-by": "netctl",
        "service.kubernetes.io/headless": "",
    }
    assert [owner["uid"] for owner in obj["metadata"]["ownerReferences"]] == [service["metadata"]["uid"]]
    assert obj["endpoints"][0] == {
        "addresses": ["10.1.0.2"],
        "conditions": {"ready": True},
        "zone": "a",
        "targetRef": {"kind": "Instance", "apiVersion": "netctl.io/v1", "name": "vm1"},
    }
    assert (epoch_of(service), epoch_of(obj)) == (7, 7)


def test_a_cluster_ip_service_has_no_headless_label_and_keeps_the_number_of_its_port() -> None:
    cluster = TinyCluster()
    cluster.converge(wanted_of([instance("vm1", ports=(("http", 81),))], kind="ClusterIP"))
    mixed = [instance("vm1", ports=(("http", 81),)), *(instance(f"vm{n}", ports=HTTP) for n in (2, 3))]
    assert verbs(cluster.converge(wanted_of(mixed, kind="ClusterIP"))) == [("create", "orders-netctl-2")]
    service = cluster.service
    assert service is not None
    assert service["spec"]["ports"][0]["port"] == 81
    assert all("service.kubernetes.io/headless" not in obj["metadata"]["labels"] for obj in cluster.slices)


def test_two_port_names_with_one_number_get_two_numbers_in_the_service() -> None:
    cluster = cluster_with([instance("vm1", ports=(("http", 80), ("metrics", 80)))])
    assert cluster.service is not None
    assert [port["port"] for port in cluster.service["spec"]["ports"]] == [80, 81]
    assert cluster.slices[0]["ports"][1]["port"] == 80
    assert not cluster.converge(wanted_of([instance("vm1", ports=(("http", 80), ("metrics", 80)))]))


@pytest.mark.parametrize(
    ("ports", "numbers"),
    [
        ((("a", 80), ("b", 80), ("c", 81)), {"a": 80, "b": 82, "c": 81}),
        ((("a", 65_534), ("b", 65_534), ("c", 65_534)), {"a": 65_534, "b": 65_535, "c": 1}),
    ],
)
def test_a_made_up_number_is_taken_from_no_other_port_and_is_a_port(
    ports: tuple[tuple[str, int], ...], numbers: dict[str, int]
) -> None:
    service = cluster_with([instance("vm1", ports=ports)]).service
    assert service is not None
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == numbers


def test_another_service_type_needs_a_new_service_and_keeps_the_slices() -> None:
    cluster = cluster_with(TWO)
    writes = cluster.converge(wanted_of(TWO, kind="ClusterIP"))
    assert verbs(writes) == [("delete", "orders"), ("create", "orders"), ("replace", "orders-netctl-1")]
    assert sum(write.removes for write in writes) == 0
    assert cluster.ready_names() == {"vm1", "vm2"}


def test_ipv4_and_ipv6_and_other_ports_are_in_slices_of_their_own() -> None:
    items = [instance("vm1"), instance("vm2", address="2001:db8::2"), instance("vm3", ports=(("http", 81),))]
    cluster = cluster_with(items)
    kinds = {(obj["addressType"], obj["ports"][0]["port"], len(obj["endpoints"])) for obj in cluster.slices}
    assert kinds == {("IPv4", 80, 1), ("IPv6", 80, 1), ("IPv4", 81, 1)}


def test_the_cluster_alone_tells_who_is_served() -> None:
    cluster = cluster_with(TWO, {("orders", "vm1"): False})
    assert served("orders", cluster.slices) == {"vm1": Endpoint(TWO[0], False), "vm2": Endpoint(TWO[1], True)}


# --- few writes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 20, 99, 100, 101, 250, 1000])
def test_nothing_changed_is_no_write_and_slices_hold_at_most_100(number: int) -> None:
    wanted = wanted_of(instances(range(number)), kind="ClusterIP")
    cluster = TinyCluster()
    cluster.converge(wanted)
    assert sum(sizes(cluster)) == number
    assert max(sizes(cluster)) <= 100
    assert len(sizes(cluster)) == -(-number // 100)
    assert cluster.plan(wanted).writes == ()


@pytest.mark.parametrize("number", [1, 20, 100, 101, 250])
def test_one_changed_instance_is_one_write(number: int) -> None:
    items = instances(range(number))
    others = [instance("vm5000", "b")]
    changes: list[tuple[str, list[Instance], dict[tuple[str, str], bool]]] = [
        ("one more", [*items, instance("vm2000")], {}),
        ("moved", [*items[:-1], instance(items[-1].name, address="10.9.9.9")], {}),
    ]
    if number > 1:
        changes.append(("failing", items, {("orders", items[0].name): False}))
        changes.append(("one less", items[1:], {}))
    for what, after, readiness in changes:
        cluster = TinyCluster()
        cluster.converge(wanted_of(items + others, kind="ClusterIP"))
        assert len(cluster.converge(wanted_of(after + others, readiness, kind="ClusterIP"))) == 1, what
        assert all(obj["endpoints"] for obj in cluster.slices)


def test_new_instances_fill_the_fullest_slice_that_has_room_for_them() -> None:
    cluster = TinyCluster()
    cluster.converge(wanted_of(instances(range(250)), kind="ClusterIP"))
    gone = names_in(cluster, "orders-netctl-1")[:3]
    left = [item for item in instances(range(250)) if item.name not in gone]
    cluster.converge(wanted_of(left, kind="ClusterIP"))
    assert sizes(cluster) == [50, 97, 100]
    writes = cluster.converge(wanted_of(left + instances((301, 302)), kind="ClusterIP"))
    assert len(writes) == 1
    assert sizes(cluster) == [50, 99, 100]
    writes = cluster.converge(wanted_of(left + instances((301, 302, 303, 304)), kind="ClusterIP"))
    assert len(writes) == 1
    assert sizes(cluster) == [52, 99, 100]


def test_new_instances_go_where_something_changes_anyway() -> None:
    cluster = TinyCluster()
    items = instances(range(150))
    cluster.converge(wanted_of(items, kind="ClusterIP"))
    gone = names_in(cluster, "orders-netctl-2")[0]
    left = [item for item in items if item.name != gone]
    writes = cluster.converge(wanted_of([*left, *instances((901, 902))], kind="ClusterIP"))
    assert [write.verb for write in writes] == ["replace"]
    assert sizes(cluster) == [51, 100]


def test_other_ports_of_the_only_instance_are_one_write_of_its_slice() -> None:
    cluster = cluster_with([instance("vm1")])
    after = wanted_of([instance("vm1", ports=(("http", 8080),))])
    assert verbs(cluster.converge(after)) == [("replace", "orders"), ("replace", "orders-netctl-1")]
    assert cluster.ready() == {"10.1.0.2"}


def test_a_slice_that_nothing_is_left_in_is_deleted_after_the_others_were_written() -> None:
    cluster = TinyCluster()
    cluster.converge(wanted_of(instances(range(150)), kind="ClusterIP"))
    gone = names_in(cluster, "orders-netctl-2")
    left = [item for item in instances(range(150)) if item.name not in gone]
    writes = cluster.converge(wanted_of(left[1:], kind="ClusterIP"))
    assert [write.verb for write in writes] == ["replace", "delete"]


def test_what_goes_altogether_goes_slices_first() -> None:
    cluster = TinyCluster()
    cluster.converge(wanted_of(instances(range(150)), kind="ClusterIP"))
    writes = cluster.converge(None)
    assert [(write.verb, write.resource.plural) for write in writes] == [
        ("delete", "endpointslices"),
        ("delete", "endpointslices"),
        ("delete", "services"),
    ]
    assert not cluster.objects


def test_a_write_says_in_words_what_it_changes() -> None:
    cluster = cluster_with(instances(range(1, 5)))
    after = [instance("vm1"), instance("vm2", address="10.1.0.99"), instance("vm7"), instance("vm8", healthy=False)]
    (write,) = cluster.plan(wanted_of(after, {("orders", "vm1"): False})).writes
    assert write.why == (
        "not ready 10.1.0.2; move vm2 from 10.1.0.3 to 10.1.0.99; add 10.1.0.8; add 10.1.0.9 (not ready); and 2 more"
    )


# --- epochs ----------------------------------------------------------------------------------------------------------


def test_a_new_leader_leaves_what_is_right_and_writes_its_epoch_where_it_must() -> None:
    cluster = cluster_with(TWO)
    wanted = wanted_of(TWO)
    assert cluster.plan(wanted, epoch=5).writes == ()
    forced = cluster.plan(wanted, epoch=5, force_epoch=["orders", "orders-netctl-1"])
    assert verbs(list(forced.writes)) == [("replace", "orders"), ("replace", "orders-netctl-1")]
    for write in forced.writes:
        assert write.why == "epoch 1, not 5"
        cluster.apply(write)
    assert cluster.plan(wanted, epoch=5, force_epoch=["orders", "orders-netctl-1"]).writes == ()


# --- what the budget pays --------------------------------------------------------------------------------------------


def test_only_ready_instances_that_are_gone_and_not_called_failing_count_as_removed() -> None:
    items = [*instances(range(6)), instance("vm100", "b")]
    cluster = cluster_with(items, {("orders", "vm0"): False})
    left = [item for item in items if item.name in {"vm4", "vm5", "vm100"}]
    moved = [instance("vm4", address="10.1.7.7"), *left[1:]]
    renamed = instance("new", address=items[3].address)
    found = cluster.plan(wanted_of([*moved, renamed]), corroborated=["vm2"])
    assert found.removed == ("vm1",)
    assert [write.removes for write in found.writes] == [1]


def test_others_instances_that_leave_when_the_own_are_back_are_no_removal() -> None:
    items = [instance("vm1"), instance("vm2", "b")]
    cluster = cluster_with(items, {("orders", "vm1"): False})
    assert cluster.ready_names() == {"vm2"}
    found = cluster.plan(wanted_of(items))
    assert found.removed == ()
    assert [write.removes for write in found.writes] == [0]


def test_a_service_that_goes_counts_all_that_answered() -> None:
    cluster = TinyCluster()
    cluster.converge(wanted_of(instances(range(150)), {("orders", "vm7"): False}, kind="ClusterIP"))
    found = cluster.plan(None, corroborated=["vm8", "vm9"])
    assert len(found.removed) == 147
    assert sum(write.removes for write in found.writes) == 147


def test_one_in_two_slices_counts_once_at_the_last_write() -> None:
    cluster = cluster_with(TWO)
    (one,) = cluster.slices
    twin = {**one, "metadata": {**one["metadata"], "name": "orders-netctl-2", "uid": "twin"}}
    cluster.put("endpointslices", twin)
    found = cluster.plan(wanted_of(TWO[:1]))
    assert found.removed == ("vm2",)
    assert [write.removes for write in found.writes] == [0, 1]
