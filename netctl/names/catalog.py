"""The catalog: what all sources say, merged, service by service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Literal

from netctl.model.controller import SourceSettings
from netctl.model.naming import Instance, Skipped
from netctl.model.ports import Changed, Listed, Lost, RegistryEvent
from netctl.names.entries import read_entry

SourceCondition = Literal["starting", "synced", "lost"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """How one source stands. ``entries`` counts its keys, usable or not; ``skipped`` those that are not in the catalog
    as they stand. ``listed``: it has said everything at least once. ``reason``: why it is lost, or what is odd."""

    name: str
    kind: str
    state: SourceCondition
    entries: int
    revision: int
    skipped: int
    reason: str
    since_wall: float
    listed: bool


@dataclass(slots=True)
class _Source:
    settings: SourceSettings
    values: dict[str, bytes] = field(default_factory=dict)
    """Key → value, as the source has them now."""
    valid: dict[str, dict[str, Instance]] = field(default_factory=dict)
    """Service → instance name → the last valid instance of a key that is still there."""
    skipped: dict[str, Skipped] = field(default_factory=dict)
    state: SourceCondition = "starting"
    revision: int = 0
    reason: str = ""
    since_wall: float = 0.0
    listed: bool = False


class Merger:
    """Merges the sources, first ones first. Every method but ``take`` only looks."""

    def __init__(self, sources: Sequence[SourceSettings], clouds: Collection[str], wall: float = 0.0) -> None:
        self._sources = {settings.name: _Source(settings, since_wall=wall) for settings in sources}
        self._clouds = frozenset(clouds)
        self._merged: dict[str, dict[str, Instance]] = {}
        self._collisions: dict[str, tuple[Skipped, ...]] = {}
        self._collided: Counter[str] = Counter()
        self.refused: list[Skipped] = []
        """The entries that the last ``take`` began to skip."""

    def take(self, source: str, event: RegistryEvent, wall: float = 0.0) -> set[str]:
        """What a source says. Returns the services whose instances are others now, or of which an entry that cannot be
        read came or went (none for Lost, or for news that change nothing). ``wall``: seconds since the epoch, for
        ``SourceState.since_wall``."""
        entry = self._sources[source]
        self.refused = []
        match event:
            case Lost(reason):
                self._turn(entry, "lost", reason, wall)
                return set()
            case Listed(entries, revision):
                reason = ""
                if revision < entry.revision:
                    reason = f"its revision went back from {entry.revision} to {revision}: restored or replaced?"
                deletes: Iterable[str] = [key for key in entry.values if key not in entries]
                puts = entries
                entry.listed = True
            case Changed(puts, deletes, revision):
                reason = entry.reason if entry.state == "synced" else ""
        entry.revision = revision
        self._turn(entry, "synced", reason, wall)
        gone = {key for key in deletes if key not in puts}
        news = {key: value for key, value in puts.items() if entry.values.get(key) != value}
        changed = [*gone, *news]
        unreadable = {key for key in changed if self._unread(entry, key)}
        touched = {self._delete(entry, key) for key in gone}
        touched |= {self._put(entry, key, value) for key, value in news.items()}
        unreadable ^= {key for key in changed if self._unread(entry, key)}
        # Sorted, so that the order of the services does not hang on the interpreter's hash seed.
        merged = {service for service in sorted(touched) if service and self._merge(service)}
        return merged | {key.partition("/")[0] for key in unreadable}

    @staticmethod
    def _unread(entry: _Source, key: str) -> bool:
        """Whether an entry cannot be read, and never could."""
        service, _, name = key.partition("/")
        return key in entry.skipped and name not in entry.valid.get(service, ())

    def _turn(self, entry: _Source, state: SourceCondition, reason: str, wall: float) -> None:
        if state != entry.state:
            entry.state, entry.since_wall = state, wall
        entry.reason = reason

    def _put(self, entry: _Source, key: str, value: bytes) -> str:
        """The service that may have changed, "" when none has."""
        entry.values[key] = value
        settings = entry.settings
        read = read_entry(settings.name, key, value, settings.cloud, self._clouds)
        if isinstance(read, Instance):
            entry.skipped.pop(key, None)
            entry.valid.setdefault(read.service, {})[read.name] = read
            return read.service
        service, _, name = key.partition("/")
        if name in entry.valid.get(service, ()):
            read = Skipped(read.source, read.key, f"update refused, the last valid entry stays: {read.reason}")
        if key not in entry.skipped:
            self.refused.append(read)
        entry.skipped[key] = read
        return ""

    def _delete(self, entry: _Source, key: str) -> str:
        entry.values.pop(key, None)
        entry.skipped.pop(key, None)
        service, _, name = key.partition("/")
        instances = entry.valid.get(service)
        if instances is None or instances.pop(name, None) is None:
            return ""
        if not instances:
            del entry.valid[service]
        return service

    def _merge(self, service: str) -> bool:
        """Merge one service anew; whether its instances changed."""
        taken: dict[str, Instance] = {}
        sockets: dict[tuple[str, int], Instance] = {}
        collisions: list[Skipped] = []
        for entry in self._sources.values():
            instances = entry.valid.get(service)
            for name in sorted(instances) if instances else ():
                one = instances[name]  # type: ignore[index]
                other = taken.get(name)
                reason = f"source {other.source} has this instance already and comes first" if other else ""
                for _, port in one.ports if not reason else ():
                    if (other := sockets.get((one.address, port))) is not None:
                        reason = f"{one.address} port {port} is {other.name}'s already (source {other.source})"
                        break
                if reason:
                    collisions.append(Skipped(one.source, f"{service}/{name}", reason))
                    continue
                taken[name] = one
                sockets.update(((one.address, port), one) for _, port in one.ports)
        known = self._collisions.pop(service, ())
        self._collided.subtract(one.source for one in known)
        if collisions:
            seen = {(one.source, one.key) for one in known}
            self.refused += [one for one in collisions if (one.source, one.key) not in seen]
            self._collided.update(one.source for one in collisions)
            self._collisions[service] = tuple(collisions)
        before = self._merged.get(service, {})
        if taken == before:
            return False
        if taken:
            self._merged[service] = dict(sorted(taken.items()))
        else:
            del self._merged[service]
        return True

    @property
    def listed(self) -> bool:
        """Whether every source has said everything at least once: before that nothing can be missing."""
        return all(entry.listed for entry in self._sources.values())

    def unreadable(self, service: str, name: str) -> bool:
        """Whether a source has this instance with a value that cannot be used: it is not known to be gone."""
        return any(f"{service}/{name}" in entry.skipped for entry in self._sources.values())

    def instances(self, service: str) -> Mapping[str, Instance]:
        """Instance name → instance, sorted by name; empty when there is no such service. Not a copy: do not change."""
        return self._merged.get(service, {})

    def services(self) -> Collection[str]:
        """The services that have instances."""
        return self._merged.keys()

    def skipped(self, limit: int = 100) -> list[Skipped]:
        """The first ``limit`` entries that are not in the catalog as they stand; ``skipped_total`` says how many."""
        return list(islice(self._all_skipped(), limit))

    @property
    def skipped_total(self) -> int:
        return sum(len(entry.skipped) for entry in self._sources.values()) + self._collided.total()

    def skipped_of(self, service: str) -> list[Skipped]:
        """Those of one service."""
        return [one for one in self._all_skipped() if one.key.partition("/")[0] == service]

    def _all_skipped(self) -> Iterator[Skipped]:
        return chain(
            *(entry.skipped.values() for entry in self._sources.values()),
            *(self._collisions[service] for service in sorted(self._collisions)),
        )

    def sources(self) -> list[SourceState]:
        """All, in the order of the file."""
        return [self.state(name) for name in self._sources]

    def state(self, source: str) -> SourceState:
        entry = self._sources[source]
        return SourceState(
            source,
            entry.settings.kind,
            entry.state,
            len(entry.values),
            entry.revision,
            len(entry.skipped) + self._collided[source],
            entry.reason,
            entry.since_wall,
            entry.listed,
        )

    def said(self, service: str) -> list[tuple[str, tuple[str, ...]]]:
        """Each source's own view of a service, for explanations: (source, names of its usable instances)."""
        return [(name, tuple(sorted(entry.valid.get(service, ())))) for name, entry in self._sources.items()]
