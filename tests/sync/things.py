"""Instances by hand, and a cluster small enough to see through: it does what a plan says, compared and swapped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from copy import deepcopy
from itertools import count

from netctl.model.controller import ServiceSettings, ServiceType
from netctl.model.kube import SERVICES, Obj, Plan, Write
from netctl.model.naming import Instance, Readiness
from netctl.sync.objects import address_of, instance_of, is_ready
from netctl.sync.plan import plan
from netctl.sync.want import Wanted, want

HTTP = (("http", 80),)


def instance(
    name: str, cloud: str = "a", ports: tuple[tuple[str, int], ...] = HTTP, address: str = "", *, healthy: bool = True
) -> Instance:
    """Of ``orders``; ``vm7`` lives at 10.1.0.7 unless told otherwise."""
    number = int("".join(filter(str.isdigit, name)) or 0)
    return Instance(
        "orders", name, address or f"10.1.{number // 250}.{number % 250 + 1}", ports, cloud, healthy=healthy
    )


def instances(numbers: Iterable[int], cloud: str = "a") -> list[Instance]:
    return [instance(f"vm{number}", cloud) for number in numbers]


def wanted_of(
    items: Collection[Instance], readiness: Readiness | None = None, cloud: str = "a", kind: ServiceType = "headless"
) -> Wanted | None:
    return want("orders", items, readiness or {}, cloud, ServiceSettings(type=kind))


class TinyCluster:
    """``objects`` by (plural, name). Each write checks what the API server would check of it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Obj] = {}
        self.writes = 0
        self.namespace = "vm"
        self._versions = count(1)

    def apply(self, write: Write) -> None:
        key = (write.resource.plural, write.name)
        observed = self.objects.get(key)
        obj = deepcopy(write.object)
        metadata = obj["metadata"]
        self.writes += 1
        assert metadata["name"] == write.name
        if write.verb == "create":
            assert observed is None, f"{write.name} exists"
            assert "uid" not in metadata
            metadata["uid"] = f"uid-{next(self._versions)}"
        else:
            assert observed is not None, f"{write.name} is not there"
            assert metadata["uid"] == observed["metadata"]["uid"]
            assert metadata["resourceVersion"] == observed["metadata"]["resourceVersion"], "stale"
        if write.verb == "delete":
            del self.objects[key]
            return
        if observed is not None and "addressType" in observed:
            assert obj["addressType"] == observed["addressType"], "addressType is immutable"
        if write.resource is SERVICES:
            obj["spec"].setdefault("clusterIP", "10.96.0.7")
            numbers = [port["port"] for port in obj["spec"]["ports"]]
            assert len(set(numbers)) == len(numbers), "a port twice"
        else:
            assert len(obj["endpoints"]) <= 1000
            assert {owner["uid"] for owner in metadata["ownerReferences"]} <= {
                o["metadata"]["uid"] for (plural, _), o in self.objects.items() if plural == "services"
            }
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[key] = obj

    def put(self, plural: str, obj: Obj) -> None:
        """Somebody else's write."""
        copy = deepcopy(obj)
        copy.setdefault("metadata", {}).setdefault("uid", f"uid-{next(self._versions)}")
        copy["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[plural, copy["metadata"]["name"]] = copy

    def edit(self, plural: str, name: str, change: Callable[[Obj], object]) -> None:
        """Somebody edits by hand."""
        obj = deepcopy(self.objects[plural, name])
        change(obj)
        self.put(plural, obj)

    @property
    def service(self) -> Obj | None:
        return self.objects.get(("services", "orders"))

    @property
    def slices(self) -> list[Obj]:
        return [obj for (plural, _), obj in self.objects.items() if plural == "endpointslices"]

    def plan(
        self,
        wanted: Wanted | None,
        *,
        epoch: int = 1,
        force_epoch: Collection[str] = (),
        corroborated: Collection[str] = (),
    ) -> Plan:
        return plan(
            "orders",
            wanted,
            self.service,
            self.slices,
            namespace=self.namespace,
            epoch=epoch,
            force_epoch=frozenset(force_epoch),
            corroborated=frozenset(corroborated),
        )

    def converge(self, wanted: Wanted | None, *, epoch: int = 1) -> list[Write]:
        """Plan and apply until there is nothing to do; what was written."""
        done: list[Write] = []
        for _ in range(10):
            found = self.plan(wanted, epoch=epoch)
            for write in found.writes:
                self.apply(write)
                done.append(write)
            if not found.writes:
                return done
        raise AssertionError(f"does not end: {[(write.verb, write.name, write.why) for write in done]}")

    def ready(self) -> set[str]:
        """The addresses that a client may get."""
        return {address_of(raw) for raw in self._endpoints() if is_ready(raw)}

    def ready_names(self) -> set[str]:
        return {instance_of(raw) for raw in self._endpoints() if is_ready(raw)}

    def names(self) -> list[str]:
        """All instances in slices, sorted; one that is in two slices is there twice."""
        return sorted(instance_of(raw) for raw in self._endpoints())

    def _endpoints(self) -> Sequence[Obj]:
        return [raw for obj in self.slices for raw in obj.get("endpoints") or []]


def cluster_with(items: Collection[Instance], readiness: Readiness | None = None) -> TinyCluster:
    cluster = TinyCluster()
    cluster.converge(wanted_of(items, readiness))
    cluster.writes = 0
    return cluster


def verbs(writes: Sequence[Write]) -> list[tuple[str, str]]:
    return [(write.verb, write.name) for write in writes]
