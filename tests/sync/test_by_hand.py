"""What people edit, delete and bring of their own: put right, made again, or left alone and shown."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from netctl.model.kube import Obj
from netctl.sync.objects import served, service_of
from tests.sync.things import TinyCluster, cluster_with, instance, instances, verbs, wanted_of

TWO = instances((1, 2))


def _set(*path: str, value: Any) -> Callable[[Obj], object]:
    def change(obj: Obj) -> None:
        for key in path[:-1]:
            obj = obj[key]
        obj[path[-1]] = value

    return change


EDITS: dict[str, tuple[str, Callable[[Obj], object]]] = {
    "endpoints emptied": ("endpointslices", _set("endpoints", value=[])),
    "endpoints null": ("endpointslices", _set("endpoints", value=None)),
    "an endpoint taken out": ("endpointslices", lambda obj: obj["endpoints"].pop()),
    "an endpoint added": ("endpointslices", lambda obj: obj["endpoints"].append({"addresses": ["10.66.6.6"]})),
    "an endpoint twice": ("endpointslices", lambda obj: obj["endpoints"].append(obj["endpoints"][0])),
    "not ready": ("endpointslices", lambda obj: obj["endpoints"][0]["conditions"].update(ready=False)),
    "another address": ("endpointslices", lambda obj: obj["endpoints"][0].update(addresses=["10.66.6.6"])),
    "an odd endpoint": ("endpointslices", _set("endpoints", value=[None, 7, {"addresses": 3, "targetRef": []}])),
    "another port": ("endpointslices", _set("ports", value=[{"name": "http", "port": 81, "protocol": "TCP"}])),
    "odd ports": ("endpointslices", _set("ports", value="none")),
    "an UDP port": ("endpointslices", _set("ports", value=[{"name": "http", "port": 80, "protocol": "UDP"}])),
    "another service": (
        "endpointslices",
        lambda obj: obj["metadata"]["labels"].update({"kubernetes.io/service-name": "x"}),
    ),
    "no headless label": (
        "endpointslices",
        lambda obj: obj["metadata"]["labels"].pop("service.kubernetes.io/headless"),
    ),
    "no owner": ("endpointslices", lambda obj: obj["metadata"].pop("ownerReferences")),
    "a selector": ("services", _set("spec", "selector", value={"app": "x"})),
    "another service port": ("services", _set("spec", "ports", value=[{"name": "http", "port": 81}])),
    "odd service ports": ("services", _set("spec", "ports", value=7)),
    "somebody's addresses": ("services", _set("spec", "externalIPs", value=["203.0.113.9"])),
    "a node port": ("services", _set("spec", "type", value="NodePort")),
    "an external name": (
        "services",
        lambda obj: obj.update(spec={"type": "ExternalName", "externalName": "x.example"}),
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_edited_by_hand_is_put_right(edit: str) -> None:
    cluster = cluster_with(TWO)
    (slice_,) = cluster.slices
    plural, change = EDITS[edit]
    cluster.edit(plural, "orders" if plural == "services" else slice_["metadata"]["name"], change)
    writes = cluster.converge(wanted_of(TWO))
    assert 1 <= len(writes) <= (1 if edit != "an external name" else 3)
    assert sum(write.removes for write in writes) == 0
    assert cluster.ready() == {"10.1.0.2", "10.1.0.3"}
    assert cluster.names() == ["vm1", "vm2"]
    assert cluster.service is not None
    assert "selector" not in cluster.service["spec"]
    assert {service_of(obj) for obj in cluster.slices} == {"orders"}


def test_a_headless_label_on_a_cluster_ip_slice_is_taken_away() -> None:
    cluster = TinyCluster()
    wanted = wanted_of(TWO, kind="ClusterIP")
    cluster.converge(wanted)
    label = {"service.kubernetes.io/headless": ""}
    cluster.edit("endpointslices", "orders-netctl-1", lambda obj: obj["metadata"]["labels"].update(label))
    assert verbs(cluster.converge(wanted)) == [("replace", "orders-netctl-1")]
    assert "service.kubernetes.io/headless" not in cluster.slices[0]["metadata"]["labels"]


def test_what_was_deleted_by_hand_is_made_again() -> None:
    for plural in ("services", "endpointslices"):
        cluster = cluster_with(TWO)
        key = next(key for key in cluster.objects if key[0] == plural)
        del cluster.objects[key]
        cluster.converge(wanted_of(TWO))
        assert cluster.ready_names() == {"vm1", "vm2"}
        assert len(cluster.objects) == 2


def test_labels_and_annotations_of_others_stay() -> None:
    cluster = cluster_with(TWO)
    for plural, name in list(cluster.objects):
        cluster.edit(plural, name, lambda obj: obj["metadata"]["labels"].update(team="blue"))
        cluster.edit(plural, name, lambda obj: obj["metadata"]["annotations"].update(note="mine"))
    assert cluster.plan(wanted_of(TWO)).writes == ()
    cluster.converge(wanted_of([instance("vm1"), instance("vm9", ports=(("grpc", 1),))]))
    assert all(
        obj["metadata"]["labels"]["team"] == "blue" and obj["metadata"]["annotations"]["note"] == "mine"
        for obj in (cluster.service, *cluster.slices)
        if obj is not None and obj["metadata"]["name"] != "orders-netctl-2"
    )


# --- of others -------------------------------------------------------------------------------------------------------


def foreign(kind: str, name: str, **labels: str) -> Obj:
    return {"kind": kind, "metadata": {"name": name, "labels": labels}, "spec": {"selector": {"app": "x"}}}


def test_a_service_of_somebody_else_is_left_alone_and_shown() -> None:
    for labels in ({}, {"app.kubernetes.io/managed-by": "Helm"}):
        cluster = TinyCluster()
        cluster.put("services", {**foreign("Service", "orders"), "metadata": {"name": "orders", "labels": labels}})
        for wanted in (wanted_of(TWO), None):
            found = cluster.plan(wanted)
            assert found.writes == ()
            assert [(one.resource, one.name) for one in found.foreign] == [("Service", "orders")]
        assert "left alone" in found.foreign[0].reason


def test_a_service_whose_label_was_taken_is_not_changed_but_its_slices_are_kept_right() -> None:
    cluster = cluster_with(TWO)
    cluster.edit("services", "orders", lambda obj: obj["metadata"]["labels"].clear())
    found = cluster.plan(wanted_of(TWO[:1]))
    assert verbs(list(found.writes)) == [("replace", "orders-netctl-1")]
    assert [one.name for one in found.foreign] == ["orders"]
    assert {write.resource.plural for write in cluster.plan(None).writes} == {"endpointslices"}


def test_a_slice_of_somebody_else_is_left_alone_shown_and_its_name_is_not_taken() -> None:
    cluster = cluster_with(TWO)
    mirrored = {"endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"}
    cluster.put("endpointslices", foreign("EndpointSlice", "orders-x7f2p", **mirrored))
    cluster.put("endpointslices", foreign("EndpointSlice", "orders-netctl-2"))
    found = cluster.plan(wanted_of(TWO))
    assert found.writes == ()
    assert {one.name for one in found.foreign} == {"orders-x7f2p", "orders-netctl-2"}
    more = wanted_of([*TWO, instance("vm3", address="2001:db8::3")])
    assert verbs(list(cluster.plan(more).writes)) == [("create", "orders-netctl-3")]
    before = [cluster.objects["endpointslices", name] for name in ("orders-x7f2p", "orders-netctl-2")]
    cluster.converge(more)
    cluster.converge(None)
    assert [cluster.objects["endpointslices", name] for name in ("orders-x7f2p", "orders-netctl-2")] == before
    assert len(cluster.objects) == 2


def test_a_slice_whose_label_was_taken_is_somebody_elses_and_another_takes_its_place() -> None:
    cluster = cluster_with(TWO)
    cluster.edit("endpointslices", "orders-netctl-1", lambda obj: obj["metadata"]["labels"].clear())
    assert service_of(cluster.slices[0]) == "orders"
    assert verbs(cluster.converge(wanted_of(TWO))) == [("create", "orders-netctl-2")]


def test_objects_that_make_no_sense_are_read_without_an_error() -> None:
    junk: list[Any] = [None, 0, "x", [], {}, [None], {"a": None}]
    rng = random.Random(7)
    keys = ("metadata", "spec", "endpoints", "ports", "addressType", "labels", "annotations", "ownerReferences")
    for _ in range(2000):
        obj: Obj = {key: rng.choice(junk) for key in keys if rng.random() < 0.7}
        metadata: dict[str, Any] = {
            key: rng.choice(junk) for key in ("labels", "annotations", "ownerReferences", "uid")
        }
        if rng.random() < 0.8:
            obj["metadata"] = {**metadata, "name": "orders-netctl-1", "labels": rng.choice([{}, None, 3])}
        cluster = cluster_with(TWO)
        ours = {**obj, "metadata": {**metadata, "name": "orders-netctl-2"}}
        ours["metadata"]["labels"] = {"endpointslice.kubernetes.io/managed-by": "netctl", "x": rng.choice(junk)}
        cluster.objects["endpointslices", "odd"] = obj
        cluster.objects["endpointslices", "odd-ours"] = ours
        assert cluster.plan(wanted_of(TWO)).writes
        assert set(served("orders", cluster.slices)) == {"vm1", "vm2"}
        service_of(obj)
        cluster.objects["services", "orders"] = obj
        cluster.plan(wanted_of(TWO))
        cluster.plan(None)
