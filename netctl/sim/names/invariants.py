"""The naming invariants as code: looked at when a write is sent, when it is stored, and after every event.

I4  an instance leaves a cluster's slices only if it is not at home there (any more), or the guard's rule lets it go
    (``ledger``): checks have long called it failing, its address answers on under another name, or so few are missing
    that it is allowed. It is judged at the moment of sending, with what the sender had been told by then. No write
    takes the last ready endpoint away while the service has an instance left.
I5  no object without netctl's label is ever changed by a controller; no write is sent outside the sender's Lease
    (``tenures``). What a hand or a late write of somebody else's did to netctl's objects is repaired within a second
    and the ways to the API, by a leader that has been able to for a while. Epochs do not end below what objects carry.
I6  ready endpoints that leave a cluster without being dead, moved or helpers stay within every window of the removal
    budget, counted when they are sent, whoever sent them.
I8  (``rest``) what is to be served is in the slices: a second after a leader that is able to was told, and of all
    clusters once the faults are over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from netctl.kube.fake import Change
from netctl.model.clock import MS, SECOND
from netctl.model.kube import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    LEASES,
    MANAGED_BY_LABEL,
    MANAGER,
    OWNER_LABEL,
    SERVICES,
    Obj,
)
from netctl.sim.loop import START_NS
from netctl.sim.names import site
from netctl.sim.names.budgets import Spent
from netctl.sim.names.ports import Sent
from netctl.sim.names.rest import wrong
from netctl.sim.names.tenures import Tenures
from netctl.sim.names.view import Seen, seen_in
from netctl.sim.names.world import Life, NamesWorld
from netctl.sim.outcome import Failure
from netctl.sync.objects import labels_of, read_slice, service_of

REPAIR_NS = SECOND + 200 * MS
"""A second, and the ways to the API and back that a service's writes need, one after the other."""
ABLE_NS = 6 * SECOND
"""So long must a leader have been undisturbed before it owes anything: it has listed, and its back-offs are over."""
_REMEMBERED = 512


@dataclass(slots=True)
class _Judged:
    """A write that was sent: when, and why instances must not leave by it."""

    sent_ns: int
    objections: dict[str, str]
    uncorroborated: set[str] = field(default_factory=set)


class NamesInvariants:
    """Watches a world. ``failure`` is the first violation."""

    def __init__(self, world: NamesWorld) -> None:
        self.world = world
        self.failure: Failure | None = None
        self.failed = asyncio.Event()
        self._event = "start"
        self._tenures = {cluster: Tenures() for cluster in site.CLUSTERS}
        limits = tuple(zip(site.WINDOWS_S, world.schedule.budget, strict=True))
        self._spent = {cluster: Spent(limits) for cluster in site.CLUSTERS}
        self._judged: dict[tuple[str, str, str, str], _Judged] = {}
        """(cluster, who, name, version that it names) → what was found when it was sent."""
        self._order: deque[tuple[str, str, str, str]] = deque()
        self._able: dict[str, tuple[Life, int]] = {}
        """Cluster → its leader, and since when it is able to do what it should."""
        self._owed: dict[tuple[str, str], tuple[int, str]] = {}
        """(cluster, service) → since when it is wrong, and which invariant its cause belongs to."""
        self._hurt: dict[tuple[str, str], str] = {}
        """(cluster, service) → who changed what is ours and must not have."""
        world.watchers.append(self.look)
        world.on_send = self.sent
        world.on_change = self.changed
        world.on_restore = self.restored
        world.on_crash = lambda crash: self.fail("crash", crash)

    def fail(self, invariant: str, detail: str) -> None:
        if self.failure is None:
            now_ms = (self.world.loop.now_ns - START_NS) / MS
            self.failure = Failure(invariant, now_ms, self._event, detail, tuple(self.world.trace.tail))
            self.failed.set()

    # --- when a write is sent ----------------------------------------------------------------------------------------

    def sent(self, life: Life, cluster: str, sent: Sent) -> None:
        if sent.resource is LEASES:
            return
        self._event = f"{life.name} sends {sent.verb} {sent.name} to {cluster}"
        view, now_ns = self.world.views[cluster], self.world.loop.now_ns
        if reason := self._tenures[cluster].objection(life.name, view.holder, now_ns):
            self.fail("I5", f"{life.name} sends {sent.verb} {sent.name} to cluster {cluster} although {reason}")
        judged = _Judged(now_ns, {})
        service, leaving = self._leaving(cluster, sent)
        for name, seen in leaving.items():
            if reason := life.ledger.may_leave(service, name, cluster, now_ns):
                judged.objections[name] = reason
            if seen.ready and self._counts(life, service, name, seen, now_ns):
                judged.uncorroborated.add(name)
        key = (cluster, life.name, sent.name, sent.version)
        self._judged[key] = judged
        self._order.append(key)
        if len(self._order) > _REMEMBERED:
            self._judged.pop(self._order.popleft(), None)

    def _leaving(self, cluster: str, sent: Sent) -> tuple[str, dict[str, Seen]]:
        """The service, and what the object that is to be changed holds now and would not hold then."""
        view = self.world.views[cluster]
        if sent.resource is SERVICES and sent.verb == "delete":
            return sent.name, view.served(sent.name)
        obj = view.get(ENDPOINT_SLICES, sent.name) if sent.resource is ENDPOINT_SLICES else None
        if obj is None or sent.verb == "create":
            return "", {}
        after = seen_in(read_slice(sent.object)) if sent.object is not None else {}
        before = seen_in(read_slice(obj))
        return service_of(obj) or "", {name: seen for name, seen in before.items() if name not in after}

    @staticmethod
    def _counts(life: Life, service: str, name: str, seen: Seen, now_ns: int) -> bool:
        """Whether its leaving is a removal in the budget's sense: no move, and not corroborated."""
        listed = life.ledger.listed(service)
        if name in listed or life.ledger.dead((service, name), now_ns) or life.ledger.went_dead(service, name):
            return False
        stays = life.shell.controller.services.instances(service)
        return name not in stays and seen.address not in {one.address for one in listed.values()}

    # --- when it is stored -------------------------------------------------------------------------------------------

    def changed(self, cluster: str, change: Change, before: Obj | None, after: Obj | None) -> None:
        self._event = f"{change.verb} {change.key[2]} in cluster {cluster} by {change.user or 'a hand'}"
        plural, _, name = change.key
        if plural == LEASES.plural:
            life = self.world.life(change.user)
            since_ns = life.since_ns if life is not None else 0
            self._tenures[cluster].stored(after, change.user, before, self.world.loop.now_ns, since_ns)
            return
        if plural == CONFIG_MAPS.plural and not change.user:
            self._spent[cluster].forget()
        if plural not in (SERVICES.plural, ENDPOINT_SLICES.plural):
            return
        if not change.user:
            self._hurt_by(cluster, plural, name, before or after, "a hand")
            return
        label = OWNER_LABEL if plural == SERVICES.plural else MANAGED_BY_LABEL
        if before is not None and labels_of(before).get(label) != MANAGER:
            self.fail("I5", f"{change.user} changed {plural} {name} in cluster {cluster}, which is not netctl's")
        if change.user != self.world.views[cluster].holder:
            self._hurt_by(cluster, plural, name, before or after, f"a late write of {change.user}'s")
        if before is not None:
            self._check_removal(cluster, change, plural, before, after)

    def _hurt_by(self, cluster: str, plural: str, name: str, obj: Obj | None, who: str) -> None:
        service = name if plural == SERVICES.plural else service_of(obj or {}) or ""
        self._hurt[cluster, service] = who

    def _check_removal(self, cluster: str, change: Change, plural: str, before: Obj, after: Obj | None) -> None:
        name, version = change.key[2], str(before["metadata"]["resourceVersion"])
        view = self.world.views[cluster]
        if plural == SERVICES.plural:
            if after is not None:
                return
            service, had = name, view.served(name)
            gone = had
        else:
            service = service_of(before) or ""
            left = view.served(service)
            had = {**seen_in(read_slice(before)), **left}
            gone = {n: seen for n, seen in seen_in(read_slice(before)).items() if n not in left}
            ready = any(seen.ready for seen in had.values())
            life = self.world.life(change.user)
            if (
                ready
                and not any(seen.ready for seen in left.values())
                and life is not None
                and (stays := life.ledger.staying(service))
            ):
                self.fail("I4", f"{change.user} left {service} in cluster {cluster} without a ready endpoint: {stays}")
        judged = self._judged.get((cluster, change.user, name, version))
        if judged is None:
            if gone:
                self.fail("simulation", f"{change.key} v{change.version}: nobody saw it being sent")
            return
        for instance in sorted(gone):
            if reason := judged.objections.get(instance):
                self.fail("I4", f"{change.user} took {service}/{instance} out of cluster {cluster}: {reason}")
        removed = len(judged.uncorroborated & gone.keys())
        if removed and (reason := self._spent[cluster].removed(removed, judged.sent_ns)):
            self.fail("I6", f"cluster {cluster}: {reason}")

    def restored(self, cluster: str) -> None:
        self._tenures[cluster].restored(self.world.loop.now_ns)
        self._spent[cluster].forget()

    # --- after every event -------------------------------------------------------------------------------------------

    def look(self, who: str, what: str) -> None:
        self._event = f"{who}: {what}"
        if self.failure is not None:
            return
        for cluster in site.CLUSTERS:
            self._check_owed(cluster)

    def _check_owed(self, cluster: str) -> None:
        world, now_ns = self.world, self.world.loop.now_ns
        life = self._able_leader(cluster)
        if life is None:
            for key in [key for key in self._owed if key[0] == cluster]:
                del self._owed[key]
            return
        owed = [service for where, service in self._owed if where == cluster]
        served = life.shell.controller.services.names()
        for service in sorted({*world.views[cluster].services(), *life.ledger.merger.services(), *served, *owed}):
            key = (cluster, service)
            reason = wrong(world, life, cluster, service)
            if not reason:
                self._owed.pop(key, None)
                self._hurt.pop(key, None)
                continue
            if key not in self._owed:
                self._owed[key] = now_ns, "I5" if key in self._hurt else "I8"
                world.at(now_ns + REPAIR_NS, lambda: self.look("clock", "deadline"))
            since_ns, invariant = self._owed[key]
            if now_ns >= since_ns + REPAIR_NS:
                late_s = (now_ns - since_ns) / SECOND
                by = f" (done by {self._hurt[key]})" if key in self._hurt else ""
                self.fail(invariant, f"for {late_s:.1f} s {life.name} could have mended it{by}: {reason}")

    def _able_leader(self, cluster: str) -> Life | None:
        """The cluster's leader, if it has been able for a while to do all that it should."""
        world, now_ns = self.world, self.world.loop.now_ns
        life = world.leader(cluster)
        way = world.ways.get((life.name, cluster)) if life is not None else None
        able = (
            life is not None
            and way is not None
            and world.runs(life.name)
            and life.shell is not None
            and way.clear
            and now_ns >= way.settled_ns
            and all(life.ledger.lost.get(source) is False for source in site.SOURCES)
        )
        if not able or life is None:
            self._able.pop(cluster, None)
            return None
        if cluster not in self._able or self._able[cluster][0] is not life:
            self._able[cluster] = life, now_ns
            world.at(now_ns + ABLE_NS, lambda: self.look("clock", "able"))
        return life if now_ns >= self._able[cluster][1] + ABLE_NS else None
