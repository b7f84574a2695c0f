"""What the checkers know of the instances: connections, targets, and the readiness that plans are made with.

Unknown is never down. After a start nothing is known, and what the slices say is taken over: an instance that they
show not ready stays so until a checker speaks of it, or for ``INHERITED_NS`` after a checker of its cloud has spoken at
all, if that one says nothing of it. A verdict of a checker that has left stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netctl.controller.events import Effect, Note, TellChecker
from netctl.health.targets import TargetBook, VerdictTable
from netctl.ipc.messages import Verdicts
from netctl.model.clock import SECOND
from netctl.model.controller import ServiceCheck
from netctl.model.naming import Instance, InstanceId

INHERITED_NS = 30 * SECOND


@dataclass(slots=True)
class CheckerState:
    """One checker, by cloud and name; ``key`` is its connection's, None when it is away."""

    cloud: str
    name: str
    key: int | None
    since_wall: float


class Health:
    """``ready`` is the Readiness of all clouds: verdicts, and what was inherited."""

    def __init__(self, clouds: Iterable[str]) -> None:
        self.books = {cloud: TargetBook(cloud) for cloud in clouds}
        self.tables = {cloud: VerdictTable(book) for cloud, book in self.books.items()}
        self.ready: dict[InstanceId, bool] = {}
        self.checkers: dict[tuple[str, str], CheckerState] = {}
        self._connections: dict[int, tuple[str, str]] = {}
        self._inherited: dict[InstanceId, str] = {}
        """Not ready because the slices said so; and the cloud whose checkers will know better."""
        self._inherited_until: dict[str, int] = {}

    # --- checkers ----------------------------------------------------------------------------------------------------

    def came(self, key: int, cloud: str, name: str, wall: float) -> list[Effect]:
        """A checker is there: tell it everything that it has to check."""
        book = self.books.get(cloud)
        if book is None:
            known = ", ".join(sorted(self.books))
            return [Note("warning", "checker of an unknown cloud", {"checker": name, "cloud": cloud, "known": known})]
        self._connections[key] = (cloud, name)
        self.checkers[cloud, name] = CheckerState(cloud, name, key, wall)
        return [
            TellChecker(key, book.full()),
            Note("info", "checker connected", {"checker": name, "cloud": cloud, "targets": len(book)}),
        ]

    def said(self, key: int, verdicts: Verdicts, now_ns: int) -> set[InstanceId]:
        """Returns the instances whose readiness changed."""
        known = self._connections.get(key)
        if known is None:
            return set()
        cloud, _ = known
        if self._inherited:
            self._inherited_until.setdefault(cloud, now_ns + INHERITED_NS)
        changed = self._judged(cloud, self.tables[cloud].take(key, verdicts))
        for verdict in verdicts.verdicts:  # it may say what was inherited: no judgement changes, but it is known now
            if self._inherited.get((verdict.service, verdict.instance)) == cloud:
                self._settle(cloud, (verdict.service, verdict.instance), changed)
        return changed

    def left(self, key: int, wall: float) -> tuple[set[InstanceId], list[Effect]]:
        """A connection ended; what it said stands."""
        cloud, name = self._connections.pop(key, ("", ""))
        if not cloud:
            return set(), []
        checker = self.checkers[cloud, name]
        if checker.key == key:
            self.checkers[cloud, name] = CheckerState(cloud, name, None, wall)
        note = Note("warning", "checker left", {"checker": name, "cloud": cloud, "verdicts": "stand"})
        return self._judged(cloud, self.tables[cloud].lost(key)), [note]

    def connected(self, cloud: str) -> list[int]:
        """The connections of a cloud's checkers."""
        return [key for key, (of, _) in self._connections.items() if of == cloud]

    # --- instances ---------------------------------------------------------------------------------------------------

    def check(self, service: str, instances: Mapping[str, Instance], check: ServiceCheck) -> list[Effect]:
        """From now on these are the service's instances: have them checked."""
        effects: list[Effect] = []
        for cloud, book in self.books.items():
            message = book.replace(service, instances.values(), check)
            if message is None:
                continue
            for name in (target.instance for target in message.targets):
                self._refresh(cloud, (service, name))  # one that has moved is unknown now
            for gone in message.removed:
                if gone[1] not in instances:
                    self.ready.pop(gone, None)
                    self._inherited.pop(gone, None)
                self._refresh(cloud, gone)
            effects += [TellChecker(key, message) for key in self.connected(cloud)]
        return effects

    def inherit(self, instance: InstanceId, cloud: str) -> None:
        """The slices show it not ready, and nobody has told otherwise yet."""
        if instance not in self.ready and cloud in self.books:
            self._inherited[instance] = cloud
            self.ready[instance] = False

    def next_timer(self) -> int | None:
        """When the next inheritance ends."""
        return min(self._inherited_until.values(), default=None)

    def expire(self, now_ns: int) -> set[InstanceId]:
        """Forget what was inherited and is overdue; returns the instances whose readiness changed."""
        changed: set[InstanceId] = set()
        for cloud in [c for c, until_ns in self._inherited_until.items() if until_ns <= now_ns]:
            del self._inherited_until[cloud]
            for instance in [i for i, of in self._inherited.items() if of == cloud]:
                self._settle(cloud, instance, changed)
        return changed

    def dead(self, service: str, instances: Mapping[str, Instance]) -> set[str]:
        """Of a service's instances those that checks call failing: their removal is corroborated."""
        return {
            name
            for name, instance in instances.items()
            if instance.cloud in self.tables and self.tables[instance.cloud].judgement((service, name)) == "failing"
        }

    def failing(self) -> list[tuple[InstanceId, str, str]]:
        """What checks call failing: (instance, cloud, in words), sorted."""
        found = [(i, cloud, table.detail(i)) for cloud, table in self.tables.items() for i in table.failing()]
        return sorted(found)

    def checkers_view(self) -> list[dict[str, Any]]:
        """All checkers that were ever connected, as ``status`` shows them."""
        return [
            {
                "cloud": one.cloud,
                "name": one.name,
                "connected": one.key is not None,
                "targets": len(self.books[one.cloud]),
                "failing": len(self.tables[one.cloud].failing()),
                "since_wall": one.since_wall,
            }
            for _, one in sorted(self.checkers.items())
        ]

    def verdict(self, instance: Instance) -> tuple[str, str]:
        """(passing, failing or unknown; in words), for explanations."""
        table = self.tables.get(instance.cloud)
        if instance.id in self._inherited:
            return "unknown", "not ready when this controller started, and no checker has spoken of it since"
        return (table.judgement(instance.id), table.detail(instance.id)) if table else ("unknown", "")

    # --- inside ------------------------------------------------------------------------------------------------------

    def _judged(self, cloud: str, instances: set[InstanceId]) -> set[InstanceId]:
        changed: set[InstanceId] = set()
        for instance in instances:
            self._settle(cloud, instance, changed)
        return changed

    def _settle(self, cloud: str, instance: InstanceId, changed: set[InstanceId]) -> None:
        """Readiness is what the verdicts say now, and what was inherited is over."""
        judgement = self.tables[cloud].judgement(instance)
        if judgement == "unknown" and instance in self._inherited and cloud in self._inherited_until:
            return  # a verdict about where it was
        before = self.ready.get(instance)
        self._inherited.pop(instance, None)
        if judgement == "unknown":
            self.ready.pop(instance, None)
        else:
            self.ready[instance] = judgement == "passing"
        if self.ready.get(instance) != before:
            changed.add(instance)

    def _refresh(self, cloud: str, instance: InstanceId) -> None:
        if instance in self.ready and instance not in self._inherited:
            self._settle(cloud, instance, set())
