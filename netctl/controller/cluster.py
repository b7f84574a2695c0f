# long because: what one cluster is told, decides and answers is one piece of state
"""One cluster: what it holds, what is wanted there, and the write that comes next for each service.

Serial within a service, parallel between services. After every answer the service is planned anew from what is known
then, so there is no long plan that could be out of date: a change that comes in between simply counts.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from netctl.controller.events import Effect, ListObjects, Note, ReadObject, SendWrite
from netctl.controller.fights import Fights
from netctl.controller.observed import Change, Observed, writer_of
from netctl.controller.pauses import FIRST_NS, Pause, Retries
from netctl.controller.queue import Queue
from netctl.controller.removals import GUARD_NAME, Removals
from netctl.controller.world import World
from netctl.kube.informer import Notice, Recovered, Relisted, Trouble
from netctl.kube.lease import LeaseMachine, Tenure
from netctl.model.clock import MS
from netctl.model.controller import ClusterSettings
from netctl.model.kube import (
    CONFIG_MAPS,
    SERVICES,
    BusyError,
    DeniedError,
    Foreign,
    InvalidError,
    KubeError,
    NotFoundError,
    Obj,
    Resource,
    UnreachableError,
    Write,
)
from netctl.model.naming import Instance
from netctl.sync.objects import epoch_of
from netctl.sync.want import Wanted

_HIGHEST_EPOCH = 1 << 30
"""Nothing of ours has a higher one: somebody's hand wrote it, and leaseTransitions (32 bits) has no room for it."""
_LEASE_POLL_NS = 20 * MS
ClusterState = Literal["starting", "leading", "standby", "unreachable"]


class Cluster:
    """Says what to send next (``work``), given what is told."""

    def __init__(
        self, settings: ClusterSettings, lease: LeaseMachine, removals: Removals, world: World, wall: float
    ) -> None:
        self.settings = settings
        self.since_wall = wall
        """Since when it is led, or not led."""
        self.lease = lease
        self.removals = removals
        self.observed = Observed()
        self.pause = Pause()
        self.fights = Fights()
        self.leading = False
        self._term: int | None = None
        """The epoch in which we lead."""
        self.wanted: dict[str, Wanted] = {}
        self.foreign: dict[str, tuple[Foreign, ...]] = {}
        self.refused: dict[str, tuple[str, str, str]] = {}
        """Service → (resource, name, reason)."""
        self.rewrite: dict[str, set[str]] = {}
        """Service → names of objects that somebody with another epoch wrote while we lead."""
        self.trouble: dict[str, str] = {}
        """Plural → why it cannot be watched now."""
        self.let_go: deque[tuple[int, str, dict[str, Instance]]] = deque()
        """(when, service, instances) let go of late because who leads here had."""
        self.writes_total = 0
        self._world = world
        self._retries = Retries()
        self._queue = Queue()

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def pending(self) -> int:
        """Services that are not known to be as they should."""
        return len(self._queue.pending(self.removals.waiting))

    def is_pending(self, service: str) -> bool:
        return service in self._queue.pending(self.removals.waiting)

    @property
    def is_led_by_another(self) -> bool:
        """Whether what goes there went by the judgement of another controller. Else it was somebody's hand, or the API
        server came back without it, and that tells nothing about the instances."""
        return not self.leading and self.lease.tenure is Tenure.OTHERS

    def state(self) -> ClusterState:
        if self.trouble or (self.lease.problem and not self.leading):
            return "unreachable"
        if not self.observed.complete or not self.lease.holder:
            return "starting"
        return "leading" if self.leading else "standby"

    def reason(self) -> str:
        """What is wrong with it, in one line; "" when nothing is."""
        reasons = [*self.trouble.values(), self.lease.problem, self.pause.reason, self.removals.problem]
        if self.removals.damaged:
            reasons.append(
                f"ConfigMap {GUARD_NAME} cannot be read ({self.removals.damaged}): removals are slow for now"
            )
        return next((reason for reason in reasons if reason), "")

    def refusals(self, now_ns: int) -> list[tuple[str, str, str]]:
        """(resource, name, reason) of what cannot be written, or not at full speed."""
        fights = ((service, self.fights.reason(service, now_ns)) for service in self.fights.services())
        return [*self.refused.values(), *((SERVICES.plural, service, why) for service, why in fights if why)]

    # --- what is told ------------------------------------------------------------------------------------------------

    def mark(self, service: str, *, drift: bool = False, unsettled: bool = True) -> None:
        """The service is to be looked at, once we lead. Not ``unsettled``: nothing happened in the cluster itself, so
        it need not be planned if the same is wanted as before."""
        if unsettled:
            self._queue.settle(service, settled=False)
        if self.leading:
            self._queue.mark(service, drift=drift)

    def _try_at(self, service: str, due_ns: int) -> None:
        if self.leading:
            self._queue.later[service] = due_ns

    def lease_turned(self, wall: float) -> list[Effect]:
        """Notice that the Lease has been won or lost."""
        term = self.lease.epoch if self.lease.leading else None
        if term == self._term:
            return []
        leads, self._term = term is not None, term
        self.leading, self.since_wall = leads, wall
        fields = {"cluster": self.name, "epoch": self.lease.epoch, "holder": self.lease.holder}
        if not leads:
            self._queue.forget()
            self.pause.succeeded()
            self.removals.abandon()
            for shown in (self.wanted, self.foreign, self.refused, self.rewrite):
                shown.clear()
            return [Note("warning", "no longer leading", {**fields, "why": self.lease.problem})]
        self.removals.forget()
        self._mark_all()
        return [Note("info", "leading", fields)]

    def said(self, resource: Resource, notice: Notice) -> tuple[set[str], list[Effect]]:
        """Returns the services that are concerned, if it tells anything new."""
        match notice:
            case Trouble(reason):
                # One line, though both watches notice: they fail for the same reason.
                told = resource.plural not in self.trouble and bool(self.trouble)
                self.trouble[resource.plural] = reason
                note = Note("warning", "cluster in trouble", {"cluster": self.name, "why": reason})
                return set(), [] if told else [note]
            case Recovered():
                self.trouble.pop(resource.plural, None)
                notes = [] if self.trouble else [Note("info", "cluster back", {"cluster": self.name})]
                # What it was away for may have been a restored backup, and not every one shows by its versions.
                return set(), [*notes, ListObjects(self.name, resource)]
            case Relisted():
                return self._listed(resource, notice)
        self._heed_epoch(notice.object)
        changes = self.observed.take(resource, notice)
        for change in changes:
            self._changed_by_others(resource, change, notice.object)
        return {service for service, _ in changes}, []

    def _listed(self, resource: Resource, listed: Relisted) -> tuple[set[str], list[Effect]]:
        self.trouble.pop(resource.plural, None)
        first = not self.observed.complete
        for item in listed.items:
            self._heed_epoch(item)
        version, restored = listed.resource_version, listed.restored
        changes, doubtful = self.observed.relist(resource, listed.items, version, restored=restored)
        if not first:
            for change in changes:
                self._changed_by_others(resource, change)
        elif self.observed.complete:
            self._mark_all()
        effects: list[Effect] = []
        for service, name in doubtful:
            if service not in self._queue.busy:
                self._queue.busy.add(service)
                effects.append(self._read(resource, service, name))
        return {service for service, _ in changes}, effects

    def _heed_epoch(self, obj: Obj) -> None:
        """So that a Lease that has to be made anew goes on from the highest epoch that there was."""
        epoch = epoch_of(obj) or 0
        if epoch <= _HIGHEST_EPOCH:
            self.lease.epoch_floor = max(self.lease.epoch_floor, epoch)

    def _mark_all(self) -> None:
        for service in sorted({*self._world.service_names(), *self.observed.names()}):
            self.mark(service)

    def _changed_by_others(self, resource: Resource, change: Change, obj: Obj | None = None) -> None:
        if not self.leading:
            return
        service, name = change
        stored = self.observed.get(resource, name)
        if stored is not None and epoch_of(stored) != self.lease.epoch:
            self.rewrite.setdefault(service, set()).add(name)
        self.fights.changed(service, writer_of(stored or obj or {}))
        self.mark(service, drift=True)

    # --- the next writes ---------------------------------------------------------------------------------------------

    def work(self, now_ns: int, limit: int) -> list[Effect]:
        """Plan up to ``limit`` services; returns what to send."""
        effects: list[Effect] = []
        self._queue.ripen(now_ns)
        for service in self.removals.retry(now_ns):
            self.mark(service)
        if not self._may_work(now_ns):
            return effects
        if self.removals.read_due(now_ns):
            effects.append(self._read(CONFIG_MAPS, "", GUARD_NAME))
        for service in self._queue.next(limit):
            if self._queue.full:
                break
            effects += self._next(service, now_ns)
        if write := self.removals.save(self.settings.namespace, self.lease.epoch, now_ns):
            effects.append(SendWrite(self.name, "", write))
        elif self.removals.stuck:
            self._resume()
        return effects

    def _resume(self) -> None:
        """Those that waited for the ConfigMap ask again."""
        for service in self.removals.wake():
            self.mark(service)

    def more(self, now_ns: int) -> bool:
        """Whether another ``work`` now would do something."""
        return self._may_work(now_ns) and not self._queue.full and bool(self._queue.next(1))

    def _may_work(self, now_ns: int) -> bool:
        return (
            self.leading
            and self.observed.complete
            and self._world.ready_to_write()
            and now_ns >= self.pause.until_ns
            and self.lease.may_write(now_ns)
        )

    def next_timer(self, now_ns: int) -> int | None:
        """When something is to be tried again; None while only an event can change anything."""
        if not (self.leading and self.observed.complete):
            return None
        if not self.lease.may_write(now_ns):
            # After a gap of our own, until the Lease is renewed or over; nobody tells when a renewal ends a short one.
            return now_ns + _LEASE_POLL_NS if self.pending else None
        due = [*self._queue.later.values()]
        if (removals_ns := self.removals.next_timer()) is not None:
            due.append(removals_ns)
        if now_ns < self.pause.until_ns:
            return self.pause.until_ns if due or self._queue.waits else None
        return min(due, default=None) if self._world.ready_to_write() else None

    def _next(self, service: str, now_ns: int) -> list[Effect]:
        drift = self._queue.pop(service)
        wanted = self._world.wanted(service, self)
        if self._queue.settled(service) and wanted == self.wanted.get(service):
            return []
        self._queue.settle(service, settled=False)
        if wanted is None:
            self.wanted.pop(service, None)
        else:
            self.wanted[service] = wanted
        plan = self._world.plan(service, self, wanted)
        if plan.foreign:
            self.foreign[service] = plan.foreign
        else:
            self.foreign.pop(service, None)
        if not plan.writes:
            self.rewrite.pop(service, None)
            self.refused.pop(service, None)
            self._retries.succeeded(service)
            self.removals.done(service)
            self._world.settled(service)
            self._queue.settle(service, settled=True)
            return []
        if drift and (until_ns := self.fights.may_repair(service, now_ns)):
            self._try_at(service, until_ns)
            return []
        write = plan.writes[0]
        if write.removes:
            match self.removals.spend(service, write.removes, plan.removed, now_ns):
                case "wait":
                    return []
                case "refused":
                    self.removals.hold(service, self._world.leaving(service, self, plan.removed), now_ns)
                    self.mark(service)
                    return []
        self._queue.busy.add(service)
        return [SendWrite(self.name, service, write)]

    # --- answers -----------------------------------------------------------------------------------------------------

    def wrote(self, service: str, write: Write, stored: Obj | None, now_ns: int) -> list[Effect]:
        """A write was applied."""
        self._queue.busy.discard(service)
        self.pause.succeeded()
        self.writes_total += 1
        if write.resource is CONFIG_MAPS:
            self.removals.saved(stored, now_ns)
            self._resume()
            return []
        self._retries.succeeded(service)
        self.refused.pop(service, None)
        self.rewrite.get(service, set()).discard(write.name)
        if stored is None:
            self.observed.deleted(write.resource, write.name)
        else:
            self.observed.stored(write.resource, stored)
        self.mark(service)
        return []

    def write_failed(self, service: str, write: Write, error: KubeError | None, now_ns: int) -> list[Effect]:
        """A write was not applied, or nobody knows."""
        self._queue.busy.discard(service)
        guard = write.resource is CONFIG_MAPS
        if error is None:
            if guard:
                self.removals.unsent()
            else:
                self.mark(service)
            return []
        why = {"cluster": self.name, "write": write.verb, "name": write.name, "why": str(error)}
        note = Note("warning", "write failed", why)
        news = not guard or self.removals.failed(now_ns, str(error))
        if isinstance(error, UnreachableError | BusyError):
            first = not self.pause.reason
            self.pause.failed(error, now_ns)
            if not guard:
                self.mark(service)
            return [note] if first else []
        if guard:
            self._resume()
            return [note] if news else []
        for_all = isinstance(error, DeniedError) or (isinstance(error, NotFoundError) and write.verb == "create")
        if for_all or isinstance(error, InvalidError):
            refusal = (write.resource.plural, write.name, str(error))
            news = self.refused.get(service) != refusal and not (for_all and self.pause.reason)
            if for_all:  # forbidden, or there is no namespace: one line says so for all services
                self.pause.failed(error, now_ns)
            self.refused[service] = refusal
            self._try_at(service, now_ns + self._retries.failed(service, error))
            return [note] if news else []
        if wait_ns := self._retries.failed(service, error):
            self._try_at(service, now_ns + wait_ns)
            return [note]
        self._queue.busy.add(service)  # it is another version than we knew, or nobody knows: read it
        return [self._read(write.resource, service, write.name)]

    def read(self, resource: Resource, service: str, name: str, stored: Obj | None, now_ns: int) -> list[Effect]:
        """The answer to a ReadObject."""
        self.pause.succeeded()
        if resource is CONFIG_MAPS:
            self._world.restored(self.removals.read(stored, now_ns))
            self._resume()
            return []
        self._queue.busy.discard(service)
        for change in self.observed.read(resource, name, stored):
            self.mark(change[0])
        self.mark(service)
        return []

    def read_failed(self, resource: Resource, service: str, name: str, error: KubeError, now_ns: int) -> list[Effect]:
        """Nobody knows what is there: plan with what was known; a write that is out of date is refused as such."""
        if isinstance(error, UnreachableError | BusyError):
            self.pause.failed(error, now_ns)
        news = True
        if resource is CONFIG_MAPS:
            news = self.removals.failed(now_ns, str(error))
        else:
            self._queue.busy.discard(service)
            self._try_at(service, now_ns + self._retries.failed(service, error) + FIRST_NS)
        note = Note("warning", "read failed", {"cluster": self.name, "name": name, "why": str(error)})
        return [note] if news else []

    def _read(self, resource: Resource, service: str, name: str) -> ReadObject:
        return ReadObject(self.name, service, resource, name)
