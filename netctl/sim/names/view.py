"""What a cluster's namespace holds at every moment, as the judges see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netctl.kube.fake import Change, FakeKube
from netctl.kube.lease import NAME as LEASE_NAME
from netctl.model.kube import CONFIG_MAPS, ENDPOINT_SLICES, LEASES, SERVICES, Obj, Resource
from netctl.sim.names.site import NAMESPACE
from netctl.sync.objects import Slice, address_of, instance_of, is_ready, read_slice, service_of
from netctl.sync.services import is_ours

_SEEN = (SERVICES, ENDPOINT_SLICES, CONFIG_MAPS, LEASES)


@dataclass(frozen=True, slots=True)
class Seen:
    """One instance in our slices of a service."""

    address: str
    ports: tuple[tuple[str, int], ...]
    cloud: str
    ready: bool

    @property
    def place(self) -> str:
        """Where it is checked."""
        return f"{self.address}:{self.ports[0][1]}" if self.ports else self.address


def seen_in(one: Slice) -> dict[str, Seen]:
    """Instance name → what a slice says of it."""
    found: dict[str, Seen] = {}
    for raw in one.endpoints:
        if name := instance_of(raw):
            found[name] = Seen(address_of(raw), one.ports or (), str(raw.get("zone", "")), is_ready(raw))
    return found


class ClusterView:
    """``on_change`` is called after the view has taken the change in."""

    def __init__(self, kube: FakeKube, on_change: Callable[[Change, Obj | None, Obj | None], None]) -> None:
        self._kube = kube
        self._on_change = on_change
        self.objects: dict[str, dict[str, Obj]] = {}
        self._slices: dict[str, dict[str, Slice]] = {}
        kube.onlookers.append(self._changed)
        self.rebuild()

    def rebuild(self) -> None:
        """The cluster was restored: everything may be another."""
        self._slices = {}
        for resource in _SEEN:
            self.objects[resource.plural] = {}
            for obj in self._kube.list(resource, NAMESPACE).items:
                self._put(resource.plural, obj["metadata"]["name"], obj)

    def get(self, resource: Resource, name: str) -> Obj | None:
        return self.objects[resource.plural].get(name)

    @property
    def lease(self) -> Obj | None:
        return self.objects[LEASES.plural].get(LEASE_NAME)

    @property
    def holder(self) -> str:
        return str((self.lease or {"spec": {}})["spec"].get("holderIdentity") or "")

    @property
    def epoch(self) -> int:
        return int((self.lease or {"spec": {}})["spec"].get("leaseTransitions") or 0)

    def service(self, name: str) -> Obj | None:
        """The Service of that name, if it is ours."""
        found = self.objects[SERVICES.plural].get(name)
        return found if found is not None and is_ours(found) else None

    def foreign_service(self, name: str) -> bool:
        return name in self.objects[SERVICES.plural] and self.service(name) is None

    def slices(self, service: str) -> list[Slice]:
        """Ours, by name."""
        return [one for _, one in sorted(self._slices.get(service, {}).items()) if one.ours]

    def services(self) -> set[str]:
        """Every service that has a Service or slices of ours."""
        ours = {name for name in self.objects[SERVICES.plural] if self.service(name) is not None}
        return ours | {service for service in self._slices if self.slices(service)}

    def served(self, service: str) -> dict[str, Seen]:
        """Instance name → what our slices say, ready if any of them says so."""
        found: dict[str, Seen] = {}
        for one in self.slices(service):
            for name, seen in seen_in(one).items():
                if name not in found or not found[name].ready:
                    found[name] = seen
        return found

    def _changed(self, change: Change) -> None:
        plural, namespace, name = change.key
        if plural not in self.objects or namespace != NAMESPACE:
            return
        before = self.objects[plural].get(name)
        after = change.new.decoded() if change.new is not None else None
        self._drop(plural, name)
        if after is not None:
            self._put(plural, name, after)
        self._on_change(change, before, after)

    def _put(self, plural: str, name: str, obj: Obj) -> None:
        self.objects[plural][name] = obj
        if plural == ENDPOINT_SLICES.plural:
            self._slices.setdefault(service_of(obj) or "", {})[name] = read_slice(obj)

    def _drop(self, plural: str, name: str) -> None:
        obj = self.objects[plural].pop(name, None)
        if obj is not None and plural == ENDPOINT_SLICES.plural:
            self._slices[service_of(obj) or ""].pop(name, None)
