"""What a cluster's namespace holds, as far as it is known: the answers to our own writes, and what the watches tell.

Both tell of the same objects, in any order. An object's resourceVersion only grows, so the higher one is the newer
(Kubernetes API concepts, "Resource versions"): an echo of what we know already changes nothing, and neither does an
event that was on its way when our write was answered. Objects are kept as they came and never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from netctl.model.kube import ENDPOINT_SLICES, MANAGER, SERVICES, KubeEvent, Obj, Resource
from netctl.sync.objects import name_of
from netctl.sync.objects import service_of as slice_service

Change = tuple[str, str]
"""(service, name of its Service or slice)."""


def version_of(obj: Obj) -> int:
    """The object's resourceVersion; 0 when it has none that is a number."""
    with suppress(KeyError, TypeError, ValueError):
        return int(obj["metadata"]["resourceVersion"])
    return 0


def writer_of(obj: Obj) -> str:
    """Who but netctl changed it last, by metadata.managedFields ("kubectl-edit"); "" when nobody can tell."""
    fields = obj.get("metadata", {}).get("managedFields")
    if not isinstance(fields, list):
        return ""
    entries = [entry for entry in fields if isinstance(entry, dict)]
    others = [entry for entry in entries if entry.get("manager") != MANAGER]
    last = max(others, key=lambda entry: str(entry.get("time", "")), default={})
    return str(last.get("manager", ""))


def service_of(resource: Resource, obj: Obj) -> str:
    """The service whose plan an object concerns; "" for none."""
    return name_of(obj) if resource is SERVICES else slice_service(obj) or ""


class Observed:
    """Services, and slices by service. ``listed``: the plurals of what has been listed at least once."""

    def __init__(self) -> None:
        self.listed: set[str] = set()
        self._kinds = {SERVICES.plural: SERVICES, ENDPOINT_SLICES.plural: ENDPOINT_SLICES}
        self._objects: dict[str, dict[str, Obj]] = {plural: {} for plural in self._kinds}
        self._slices: dict[str, dict[str, Obj]] = {}
        self._gone: dict[tuple[str, str], int] = {}
        """What we deleted, and its last version: until the watch has told of it too."""

    @property
    def complete(self) -> bool:
        return len(self.listed) == len(self._kinds)

    @property
    def services(self) -> Mapping[str, Obj]:
        return self._objects[SERVICES.plural]

    @property
    def slice_count(self) -> int:
        return len(self._objects[ENDPOINT_SLICES.plural])

    def slices(self, service: str) -> list[Obj]:
        """All slices of a service, by name, foreign ones included."""
        found = self._slices.get(service)
        return [found[name] for name in sorted(found)] if found else []

    def names(self) -> set[str]:
        """Every service of which there is a Service or a slice."""
        return {*self.services, *self._slices}

    def get(self, resource: Resource, name: str) -> Obj | None:
        return self._objects[resource.plural].get(name)

    # --- what the watches tell ---------------------------------------------------------------------------------------

    def relist(
        self, resource: Resource, items: Iterable[Obj], version: str, *, restored: bool = False
    ) -> tuple[list[Change], list[Change]]:
        """Take a whole list. Returns what is another than before, and the objects that we know in a newer version than
        the list is: they must be read again."""
        self.listed.add(resource.plural)
        known = self._objects[resource.plural]
        listed = {name_of(item): item for item in items}
        for key in [k for k in self._gone if k[0] == resource.plural and (restored or k[1] not in listed)]:
            del self._gone[key]  # the watch went on without telling, or versions begin anew
        at = int(version) if version.isdigit() else 0
        changes: list[Change] = []
        doubtful = {} if restored else {name: obj for name, obj in known.items() if version_of(obj) > at > 0}
        for name in list(known):
            if name not in listed and name not in doubtful:
                changes += self._drop(resource, name)
        for name, item in listed.items():
            if name in doubtful or (not restored and self._is_deleted(resource, name, version_of(item))):
                continue
            before = known.get(name)
            if before is None or version_of(before) != version_of(item):
                changes += self._put(resource, name, item)
        return changes, [(service_of(resource, obj), name) for name, obj in doubtful.items()]

    def take(self, resource: Resource, event: KubeEvent) -> list[Change]:
        """Take one watch event; empty when it tells nothing new. A bookmark does not."""
        name, version = name_of(event.object), version_of(event.object)
        if event.type == "BOOKMARK" or not name:
            return []
        before = self._objects[resource.plural].get(name)
        if before is not None and version_of(before) >= version:
            return []
        if event.type == "DELETED":
            self._gone.pop((resource.plural, name), None)
            return self._drop(resource, name)
        if self._is_deleted(resource, name, version):
            return []
        return self._put(resource, name, event.object)

    # --- what our own requests tell ----------------------------------------------------------------------------------

    def stored(self, resource: Resource, obj: Obj) -> None:
        """The answer to a create or a replace of ours."""
        before = self._objects[resource.plural].get(name_of(obj))
        if before is None or version_of(before) < version_of(obj):
            self._put(resource, name_of(obj), obj)

    def deleted(self, resource: Resource, name: str) -> None:
        """A delete of ours was done."""
        before = self._objects[resource.plural].get(name)
        if before is not None:
            self._gone[resource.plural, name] = version_of(before)
            self._drop(resource, name)

    def read(self, resource: Resource, name: str, obj: Obj | None) -> list[Change]:
        """What etcd has now: true, whatever version it is."""
        if obj is None:
            return self._drop(resource, name)
        self._gone.pop((resource.plural, name), None)
        return self._put(resource, name, obj)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _is_deleted(self, resource: Resource, name: str, version: int) -> bool:
        return version <= self._gone.get((resource.plural, name), -1)

    def _put(self, resource: Resource, name: str, obj: Obj) -> list[Change]:
        service = service_of(resource, obj)
        changes = [change for change in self._drop(resource, name) if change[0] != service]
        self._gone.pop((resource.plural, name), None)
        self._objects[resource.plural][name] = obj
        if resource is ENDPOINT_SLICES and service:
            self._slices.setdefault(service, {})[name] = obj
        return [*changes, (service, name)] if service else changes

    def _drop(self, resource: Resource, name: str) -> list[Change]:
        before = self._objects[resource.plural].pop(name, None)
        if before is None:
            return []
        service = service_of(resource, before)
        if resource is ENDPOINT_SLICES and service in self._slices:
            self._slices[service].pop(name, None)
            if not self._slices[service]:
                del self._slices[service]
        return [(service, name)] if service else []
