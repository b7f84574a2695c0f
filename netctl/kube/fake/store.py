"""``FakeKube``: objects, versions, history, watchers. Synchronous and pure; time is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Literal

import msgspec

from netctl.kube.fake import rules
from netctl.model.kube import (
    NAMESPACES,
    ConflictError,
    GoneError,
    InvalidError,
    KubeEvent,
    KubeList,
    NotFoundError,
    Obj,
    Resource,
)

Key = tuple[str, str, str]
"""(plural, namespace or "", name)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as it is kept: encoded, so that nobody who got it can change it."""

    data: bytes
    labels: dict[str, str]
    version: int
    uid: str
    owners: tuple[str, ...] = ()
    """The uids of its ownerReferences."""

    def decoded(self) -> Obj:
        obj: Obj = msgspec.json.decode(self.data)
        return obj


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as it is kept in the history and told to those who look on."""

    version: int
    verb: Literal["create", "replace", "delete"]
    key: Key
    old: Stored | None
    new: Stored | None
    user: str = ""
    """Who did it; "" for the cluster itself or somebody's hand."""

    def seen_by(self, resource: Resource, namespace: str | None, selector: str) -> KubeEvent | None:
        """As a watch tells it: an object that begins to match the selector is ADDED to it."""
        if self.key[0] != resource.plural or namespace not in (None, self.key[1]):
            return None
        was = self.old is not None and rules.matches(selector, self.old.labels)
        now = self.new is not None and rules.matches(selector, self.new.labels)
        if now and self.new is not None:
            return KubeEvent("MODIFIED" if was else "ADDED", self.new.decoded())
        if not was or self.old is None:
            return None
        obj = (self.new or self.old).decoded()
        obj["metadata"]["resourceVersion"] = str(self.version)
        return KubeEvent("DELETED", obj)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A backup of everything."""

    version: int
    objects: dict[Key, Stored]


class FakeKube:
    """One cluster. ``collects``: objects whose owner goes are deleted, as kube-controller-manager does it."""

    def __init__(
        self, name: str = "fake", *, wall: Callable[[], float] = lambda: 1_800_000_000.0, collects: bool = True
    ) -> None:
        self.name = name
        self.version = 1
        self.onlookers: list[Callable[[Change], None]] = []
        """Called with each change, after it: for invariants and traces."""
        self._wall = wall
        self._collects = collects
        self._objects: dict[Key, Stored] = {}
        self._uids: set[str] = set()
        self._history: list[Change] = []
        self._compacted = 0
        self._numbers = count(1)
        self._watchers: dict[int, Callable[[Change | KubeEvent | None], None]] = {}

    # --- the API ---

    def list(self, resource: Resource, namespace: str | None, selector: str = "") -> KubeList:
        items = [
            stored.decoded()
            for key, stored in sorted(self._objects.items())
            if key[0] == resource.plural and namespace in (None, key[1]) and rules.matches(selector, stored.labels)
        ]
        return KubeList(items, str(self.version))

    def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        return self._found(resource, namespace, name).decoded()

    def create(self, resource: Resource, namespace: str | None, obj: Obj, user: str = "") -> Obj:
        key = self._key(resource, namespace, obj["metadata"].get("name", ""))
        if resource.namespaced and (NAMESPACES.plural, "", key[1]) not in self._objects:
            raise NotFoundError(f'{self.name}: namespaces "{namespace}" not found (404)', 404)
        if key in self._objects:
            raise ConflictError(f'{self.name}: {resource.plural} "{key[2]}" already exists (409)', 409)
        obj = self._checked(resource, obj, None)
        meta = obj["metadata"]
        meta.update(uid=f"{self.name}-{next(self._numbers)}", creationTimestamp=self._timestamp())
        if resource.namespaced:
            meta["namespace"] = namespace
        if resource.plural == "endpointslices":
            meta["generation"] = 1
        return self._store(key, obj, user)

    def replace(self, resource: Resource, namespace: str | None, obj: Obj, user: str = "") -> Obj:
        given = obj["metadata"]
        old = self._found(resource, namespace, given["name"])
        if given["resourceVersion"] != str(old.version) or given.get("uid", old.uid) != old.uid:
            raise ConflictError(
                f'{self.name}: {resource.plural} "{given["name"]}": the object has been modified (409)', 409
            )
        before = old.decoded()
        obj = self._checked(resource, obj, before)
        meta = obj["metadata"]
        for name in ("uid", "creationTimestamp", "namespace", "generation"):
            if name in before["metadata"]:
                meta[name] = before["metadata"][name]
        if _content(obj) == _content(before):
            return before  # an unchanged object keeps its version
        if "generation" in meta and {**obj, "metadata": {}} != {**before, "metadata": {}}:
            meta["generation"] += 1
        return self._store(self._key(resource, namespace, meta["name"]), obj, user)

    def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str, user: str = ""
    ) -> None:
        """Empty ``uid`` and ``resource_version`` are no precondition (somebody's hand)."""
        old = self._found(resource, namespace, name)
        if uid not in ("", old.uid) or resource_version not in ("", str(old.version)):
            raise ConflictError(f'{self.name}: {resource.plural} "{name}": it is not the one meant (409)', 409)
        self._remove(self._key(resource, namespace, name), user)

    # --- watching ---

    def watch(self, version: str, take: Callable[[Change | KubeEvent | None], None]) -> Callable[[], None]:
        """Call ``take`` with all changes after a version (a bookmark: KubeEvent; None: the watch ends). Returns: stop.

        A version that is not reached yet is accepted, and leaves out everything up to it, as the real one does.
        Raises GoneError for one that was compacted.
        """
        after = int(version)
        if after < self._compacted:
            raise GoneError(f"{self.name}: too old resource version: {version} ({self._compacted}) (410)", 410)

        def later(what: Change | KubeEvent | None) -> None:
            if not isinstance(what, Change) or what.version > after:
                take(what)

        for change in self._history:
            later(change)
        number = next(self._numbers)
        self._watchers[number] = later
        return lambda: self._watchers.pop(number, None) and None

    def bookmark(self) -> None:
        """Send one to every watch."""
        meta = {"resourceVersion": str(self.version), "creationTimestamp": None}
        for take in [*self._watchers.values()]:
            take(KubeEvent("BOOKMARK", {"metadata": dict(meta)}))

    def end_watches(self) -> None:
        """As an API server does it from time to time, and when it is restarted."""
        watchers, self._watchers = self._watchers, {}
        for take in watchers.values():
            take(None)

    # --- what befalls a cluster ---

    def add_namespace(self, name: str) -> None:
        """Harmless when there is one."""
        if (NAMESPACES.plural, "", name) not in self._objects:
            self.create(NAMESPACES, None, {"metadata": {"name": name}})

    def compact(self) -> None:
        """Forget the history up to now."""
        self._history, self._compacted = [], self.version

    def snapshot(self) -> Snapshot:
        """A backup."""
        return Snapshot(self.version, dict(self._objects))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a backup, its version included; the API server was restarted for it."""
        self._objects, self.version = dict(snapshot.objects), snapshot.version
        self._uids = {stored.uid for stored in self._objects.values()}
        self.compact()
        self.end_watches()

    # --- inside ---

    def _key(self, resource: Resource, namespace: str | None, name: str) -> Key:
        return resource.plural, (namespace or "") if resource.namespaced else "", name

    def _found(self, resource: Resource, namespace: str | None, name: str) -> Stored:
        stored = self._objects.get(self._key(resource, namespace, name))
        if stored is None:
            raise NotFoundError(f'{self.name}: {resource.plural} "{name}" not found (404)', 404)
        return stored

    def _checked(self, resource: Resource, obj: Obj, old: Obj | None) -> Obj:
        """A copy with defaults. Raises InvalidError."""
        copy: Obj = msgspec.json.decode(msgspec.json.encode(obj))
        copy["apiVersion"], copy["kind"] = resource.api_version, resource.kind
        copy["metadata"].pop("managedFields", None)
        number = next(self._numbers)
        rules.fill_in(resource.plural, copy, old, f"10.96.{number // 254 % 256}.{number % 254 + 1}")
        wrong = [*rules.complaints(resource.plural, copy, old)]
        if wrong:
            name = copy["metadata"].get("name", "")
            raise InvalidError(f'{self.name}: {resource.kind} "{name}" is invalid: {"; ".join(wrong)} (422)', 422)
        return copy

    def _store(self, key: Key, obj: Obj, user: str) -> Obj:
        self.version += 1
        meta = obj["metadata"]
        meta["resourceVersion"] = str(self.version)
        owners = tuple(owner["uid"] for owner in meta.get("ownerReferences") or ())
        stored = Stored(msgspec.json.encode(obj), meta.get("labels") or {}, self.version, meta["uid"], owners)
        old = self._objects.get(key)
        self._objects[key] = stored
        self._uids.add(stored.uid)
        self._tell(Change(self.version, "replace" if old else "create", key, old, stored, user))
        if self._collects and self._is_orphan(stored):
            self._remove(key, "")
        return obj

    def _remove(self, key: Key, user: str) -> None:
        old = self._objects.pop(key)
        self._uids.discard(old.uid)
        self.version += 1
        self._tell(Change(self.version, "delete", key, old, None, user))
        if self._collects:
            left = [other for other, stored in self._objects.items() if self._is_orphan(stored)]
            for other in left:
                if other in self._objects:  # it may have gone with one before it
                    self._remove(other, "")

    def _is_orphan(self, stored: Stored) -> bool:
        return bool(stored.owners) and self._uids.isdisjoint(stored.owners)

    def _tell(self, change: Change) -> None:
        self._history.append(change)
        for take in [*self._watchers.values()]:
            take(change)
        for look in self.onlookers:
            look(change)

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _content(obj: Obj) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": ""}}
