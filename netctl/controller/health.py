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
LASTING_NS = 60 * SECOND
"""So long checks must have called an instance failing before that corroborates its removal. It leaves the answers at
once; but checkers that were cut off for a moment, or servers that restart together, must not empty a wiped registry."""
_LOOK_AGAIN_NS = SECOND


@dataclass(slots=True)
class CheckerState:
    """One checker, by cloud and name; ``key`` is its connection's, None when it is away."""

    cloud: str
    name: str
    key: int | None
    since_wall: float


@dataclass(slots=True)
class _Failing:
    since_ns: int
    look_ns: int
    """When to judge it again, as if something had changed."""
    dead: bool = False


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
        self._failing: dict[InstanceId, _Failing] = {}
        self._seeing: dict[str, bool] = {}
        """Cloud → whether its checkers saw anything pass, when one last spoke: to look at each judgement takes long."""
        self._blind_ns: dict[str, int] = {}
        """When a cloud's checkers were last known to be gone, or to see nothing pass."""

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
        self._note_blind(cloud, now_ns)  # until now, whatever is said
        changed = self._judged(cloud, self.tables[cloud].take(key, verdicts))
        self._seeing[cloud] = self.tables[cloud].sees_any()
        self._note_blind(cloud, now_ns)
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
                self._failing.pop((service, name), None)
                self._refresh(cloud, (service, name))  # one that has moved is unknown now
            for gone in message.removed:
                if gone[1] not in instances:
                    self.ready.pop(gone, None)
                    self._inherited.pop(gone, None)
                    self._failing.pop(gone, None)
                self._refresh(cloud, gone)
            effects += [TellChecker(key, message) for key in self.connected(cloud)]
        return effects

    def inherit(self, instance: InstanceId, cloud: str) -> None:
        """The slices show it not ready, and nobody has told otherwise yet."""
        if instance not in self.ready and cloud in self.books:
            self._inherited[instance] = cloud
            self.ready[instance] = False

    def next_timer(self) -> int | None:
        """When the next inheritance ends, or something has been failing for long."""
        looks = (one.look_ns for one in self._failing.values() if not one.dead)
        return min((*self._inherited_until.values(), *looks), default=None)

    def expire(self, now_ns: int) -> set[InstanceId]:
        """Forget what was inherited and is overdue; returns the instances to be judged anew."""
        changed = {i for i, one in self._failing.items() if not one.dead and one.look_ns <= now_ns}
        for instance in changed:
            self._failing[instance].look_ns = now_ns + _LOOK_AGAIN_NS
        for cloud in [c for c, until_ns in self._inherited_until.items() if until_ns <= now_ns]:
            del self._inherited_until[cloud]
            for instance in [i for i, of in self._inherited.items() if of == cloud]:
                self._settle(cloud, instance, changed)
        return changed

    def judge(self, service: str, instances: Mapping[str, Instance], now_ns: int) -> None:
        """See who of a service is failing, and for how long; to be called before ``unfit`` and ``dead`` are asked."""
        for name, instance in instances.items():
            table = self.tables.get(instance.cloud)
            if table is None or table.judgement((service, name)) != "failing":
                self._failing.pop((service, name), None)
                continue
            self._note_blind(instance.cloud, now_ns)
            one = self._failing.setdefault((service, name), _Failing(now_ns, now_ns + LASTING_NS))
            since_ns = max(one.since_ns, self._blind_ns.get(instance.cloud, one.since_ns))
            one.dead = now_ns - since_ns >= LASTING_NS

    def unfit(self, service: str, instances: Iterable[str]) -> set[str]:
        """Of a service's instances those that checks call failing."""
        return {name for name in instances if (service, name) in self._failing}

    def dead(self, service: str, instances: Iterable[str]) -> set[str]:
        """Those that have been failing for so long that their removal is corroborated."""
        return {name for name in self.unfit(service, instances) if self._failing[service, name].dead}

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

    def _note_blind(self, cloud: str, now_ns: int) -> None:
        """Where all that they check fails, the checkers may be what is cut off: what they say then corroborates
        nothing, nor what they say first when they see again."""
        if not self._seeing.get(cloud) or not self.connected(cloud):
            self._blind_ns[cloud] = now_ns

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
