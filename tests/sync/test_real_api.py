"""The same against a real kube-apiserver: it takes what is written, and gives it back so that nothing is left to do."""

from __future__ import annotations

from urllib.error import HTTPError

import pytest

from netctl.model.controller import ServiceType
from netctl.model.kube import ENDPOINT_SLICES, SERVICES, Obj, Resource, Write
from netctl.model.naming import Instance
from netctl.sync.objects import service_of
from tests.real.kube import RealKube, shared_kube
from tests.sync.test_by_hand import EDITS
from tests.sync.things import TinyCluster, instance, instances, wanted_of

REFUSED_BY_THE_SERVER = {"an odd endpoint", "odd ports", "odd service ports"}
REFUSED_FOR_HEADLESS = {"a node port", "a selector"}


class RealCluster(TinyCluster):
    """Its objects are those of a namespace of a real API server."""

    def __init__(self, kube: RealKube) -> None:
        super().__init__()
        self._kube = kube
        self.namespace = kube.namespace()
        self.read()

    def path(self, resource: Resource, name: str = "") -> str:
        return f"{resource.api}/namespaces/{self.namespace}/{resource.plural}" + (f"/{name}" if name else "")

    def read(self) -> None:
        self.objects = {
            (resource.plural, obj["metadata"]["name"]): obj
            for resource in (SERVICES, ENDPOINT_SLICES)
            for obj in self._kube.request("GET", self.path(resource))["items"]
        }

    def apply(self, write: Write) -> None:
        self.writes += 1
        if write.verb == "create":
            self._kube.request("POST", self.path(write.resource), write.object)
        elif write.verb == "replace":
            self._kube.request("PUT", self.path(write.resource, write.name), write.object)
        else:
            metadata = write.object["metadata"]
            conditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
            self._kube.request("DELETE", self.path(write.resource, write.name), {"preconditions": conditions})
        self.read()

    def put(self, plural: str, obj: Obj) -> None:
        resource = next(one for one in (SERVICES, ENDPOINT_SLICES) if one.plural == plural)
        self._kube.request("PUT", self.path(resource, obj["metadata"]["name"]), obj)
        self.read()


@pytest.fixture(scope="module")
def kube() -> RealKube:
    return shared_kube()


MIXED = [
    Instance("orders", "vm1", "10.1.0.5", (("http", 80), ("metrics", 80)), "a", 3, hostname="vm1"),
    Instance("orders", "vm2", "2001:db8::2", (("http", 80),), "a", healthy=False),
    Instance("orders", "vm3", "10.1.0.7", (), "a"),
    Instance("orders", "vm4", "10.2.0.7", (("http", 8080),), "b"),
]


@pytest.mark.parametrize("kind", ["headless", "ClusterIP"])
def test_what_was_written_comes_back_so_that_nothing_is_left_to_do(kube: RealKube, kind: ServiceType) -> None:
    cluster = RealCluster(kube)
    for cloud in "ab":
        readiness = {("orders", "vm1"): False}
        assert cluster.converge(wanted_of(MIXED, readiness, cloud, kind))
        assert not cluster.converge(wanted_of(MIXED, readiness, cloud, kind))
        assert {service_of(obj) for obj in cluster.slices} == {"orders"}
    cluster.converge(None)
    assert not cluster.objects


def test_250_instances_of_two_ports_and_both_families_are_as_many_slices_as_needed(kube: RealKube) -> None:
    cluster = RealCluster(kube)
    items = [*instances(range(250)), *(instance(f"vm{n}", address=f"2001:db8::{n}") for n in range(300, 310))]
    assert len(cluster.converge(wanted_of(items, kind="ClusterIP"))) == 5
    assert len(cluster.names()) == 260
    assert len(cluster.converge(wanted_of(items[1:], kind="ClusterIP"))) == 1


def test_a_service_becomes_cluster_ip_and_headless_again(kube: RealKube) -> None:
    cluster = RealCluster(kube)
    kinds: tuple[ServiceType, ...] = ("headless", "ClusterIP", "headless")
    for kind in kinds:
        cluster.converge(wanted_of(instances((1, 2)), kind=kind))
        assert cluster.service is not None
        assert (cluster.service["spec"]["clusterIP"] == "None") == (kind == "headless")
        assert cluster.ready_names() == {"vm1", "vm2"}


@pytest.mark.parametrize("edit", sorted(EDITS.keys() - REFUSED_BY_THE_SERVER))
def test_what_was_edited_by_hand_is_put_right(kube: RealKube, edit: str) -> None:
    cluster = RealCluster(kube)
    kind: ServiceType = "ClusterIP" if edit in REFUSED_FOR_HEADLESS else "headless"
    cluster.converge(wanted_of(instances((1, 2)), kind=kind))
    plural, change = EDITS[edit]
    cluster.edit(plural, "orders" if plural == "services" else cluster.slices[0]["metadata"]["name"], change)
    assert cluster.converge(wanted_of(instances((1, 2)), kind=kind))
    assert cluster.service is not None
    assert ("selector" in cluster.service["spec"], cluster.service["spec"]["type"]) == (False, "ClusterIP")
    assert cluster.ready_names() == {"vm1", "vm2"}
    assert cluster.names() == ["vm1", "vm2"]


def test_a_stale_plan_is_refused_by_the_server(kube: RealKube) -> None:
    cluster = RealCluster(kube)
    cluster.converge(wanted_of(instances((1, 2))))
    stale = cluster.plan(wanted_of(instances((1, 2, 3))))
    cluster.converge(wanted_of(instances((1,))))
    with pytest.raises(HTTPError, match="409"):
        cluster.apply(stale.writes[0])


def test_instances_without_ports_are_served_by_a_headless_name(kube: RealKube) -> None:
    cluster = RealCluster(kube)
    wanted = wanted_of([instance("vm1", ports=()), instance("vm2", ports=())])
    assert len(cluster.converge(wanted)) == 2
    assert not cluster.converge(wanted)
    assert cluster.ready_names() == {"vm1", "vm2"}
