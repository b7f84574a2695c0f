"""What a cluster's removal budget lets go, what waits for it, and the ConfigMap in which guards remember.

The ConfigMap ``netctl-guard`` is written before a removal that the tokens debited so far do not pay for, and when the
shrink guard's holds change; never otherwise, so a restart with nothing changed writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from netctl.guard.budget import MINUTE_S, Budget, Usage
from netctl.guard.hold import Hold, budget_hold
from netctl.guard.shrink import ShrinkGuard, sockets
from netctl.guard.state import GuardState, decode, encode
from netctl.model.clock import SECOND
from netctl.model.kube import CONFIG_MAPS, EPOCH_ANNOTATION, MANAGER, OWNER_LABEL, Obj, Write
from netctl.model.naming import Instance

GUARD_NAME = "netctl-guard"
_KEY = "state"
_REREAD_NS = SECOND // 2
_RETRY_NS = 5 * SECOND
"""How often a removal that waits for the budget asks again."""


@dataclass(slots=True)
class _Kept:
    hold: Hold
    instances: dict[str, Instance]
    until_ns: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    """How many endpoints shall go, and whether an operator said so."""

    number: int
    approved: bool


class Removals:
    """``spend`` before each write that removes; ``save`` is the ConfigMap's write that is due."""

    def __init__(
        self, cluster: str, limits: Sequence[tuple[int, int]], guard: ShrinkGuard, wall_of: Callable[[int], float]
    ) -> None:
        self.budget = Budget(limits)
        self.loaded = False
        self.damaged = ""
        """Why the stored state could not be read."""
        self.problem = ""
        """Why the ConfigMap cannot be read or written at the moment: until then nothing is removed."""
        self._cluster = cluster
        self._guard = guard
        self._wall_of = wall_of
        self._object: Obj | None = None
        self._stored = GuardState()
        self._saving: GuardState | None = None
        self.waiting: dict[str, _Waiting] = {}
        """Services that wait for an answer about the ConfigMap."""
        self._kept: dict[str, _Kept] = {}
        self._approved: dict[str, frozenset[str]] = {}
        """Service → the instances that an operator lets go, this once."""
        self._outdated = False
        self._reading = False
        self._retry_ns = 0
        """When the ConfigMap may be asked for again after a failure."""

    # --- spending ----------------------------------------------------------------------------------------------------

    def spend(
        self, service: str, number: int, names: Collection[str], now_ns: int
    ) -> Literal["granted", "wait", "refused"]:
        """Whether ``number`` ready endpoints may go; ``names`` are all that shall leave the service, those included.
        ``wait``: for an answer about the ConfigMap."""
        minute = self._minute(now_ns)
        if self.loaded and self.budget.take(number, minute):
            return "granted"
        approved = self._approved.get(service, frozenset()).issuperset(names)
        if self.loaded and self.budget.debit(number, minute, approved=approved) is None:
            return "refused"
        self.waiting[service] = _Waiting(number, approved)
        return "wait"

    def done(self, service: str) -> None:
        """It is as it is wanted: who was approved has gone, or is wanted again."""
        self._approved.pop(service, None)

    def wake(self) -> list[str]:
        """The services that waited; they are to ask again."""
        services = list(self.waiting)
        self.waiting.clear()
        return services

    @property
    def stuck(self) -> bool:
        """Somebody waits, and nothing is under way that they could wait for."""
        return bool(self.waiting) and self.loaded and self._saving is None

    # --- holds -------------------------------------------------------------------------------------------------------

    def hold(self, service: str, leaving: Mapping[str, Instance], now_ns: int) -> Hold:
        """Keep what the budget does not let go, until it has room."""
        before = self._kept.get(service)
        leaving = (
            {**before.instances, **leaving} if before is not None else leaving
        )  # the plan names the fresh ones alone
        usage = self.budget.usage(self._minute(now_ns))
        full = next((u for u in usage if u.used + len(leaving) > u.limit), None)
        numbers = f"{full.used} of {full.limit} in {full.window_s} s are used" if full else "its budget is used up"
        fits = all(len(leaving) <= u.limit for u in usage)
        reason = (
            f"{len(leaving)} instances would go from cluster {self._cluster}, and {numbers}: they go "
            f"{'when there is room again, ' if fits else ''}when checks have called them failing for a minute, "
            "or when approved"
        )
        since = before.hold.since_wall if before is not None else self._wall_of(now_ns)
        hold = budget_hold(self._cluster, service, leaving, reason, since)
        self._kept[service] = _Kept(hold, dict(leaving), now_ns + _RETRY_NS)
        return hold

    def kept(self, service: str, wanted: Mapping[str, Instance]) -> Mapping[str, Instance]:
        """What this cluster keeps beside what is ``wanted``; empty when nothing is held."""
        kept = self._kept.get(service)
        if kept is None:
            return {}
        taken = sockets(wanted.values())
        kept.instances = {
            name: one
            for name, one in kept.instances.items()
            if name not in wanted and taken.isdisjoint(sockets([one]))  # else it was renamed, and would be there twice
        }
        if not kept.instances:
            del self._kept[service]
        elif len(kept.instances) < len(kept.hold.instances):
            kept.hold = replace(kept.hold, instances=tuple(sorted(kept.instances)))
        return kept.instances

    def holds(self) -> list[Hold]:
        return [kept.hold for _, kept in sorted(self._kept.items())]

    def approve(self, hold_id: str) -> Hold | None:
        """Let a budget hold go; None: there is none of that name here."""
        for service, kept in self._kept.items():
            if kept.hold.id == hold_id:
                self._approved[service] = frozenset(kept.hold.instances)
                del self._kept[service]
                return kept.hold
        return None

    def retry(self, now_ns: int) -> list[str]:
        """The services whose held removals are to be tried again now."""
        due = [service for service, kept in self._kept.items() if kept.until_ns <= now_ns]
        for service in due:
            kept = self._kept[service]
            if self.budget.room(self._minute(now_ns)) >= len(kept.instances):
                del self._kept[service]
            else:
                kept.until_ns = now_ns + _RETRY_NS
        return [service for service in due if service not in self._kept]

    def next_timer(self) -> int | None:
        times = [kept.until_ns for kept in self._kept.values()]
        if not self.loaded and not self._reading:
            times.append(self._retry_ns)
        return min(times, default=None)

    # --- the ConfigMap -----------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Somebody else may have written it: read it again before anything is spent."""
        self.loaded = self._reading = False
        self._saving = None

    def abandon(self) -> None:
        """Another one leads: what is held here is its business."""
        self.waiting.clear()
        self._kept.clear()
        self._approved.clear()

    def read_due(self, now_ns: int) -> bool:
        """Whether to read the ConfigMap now; the answer goes to ``read`` or ``failed``."""
        due = not self.loaded and not self._reading and now_ns >= self._retry_ns
        self._reading = self._reading or due
        return due

    def read(self, stored: Obj | None, now_ns: int) -> list[str]:
        """The ConfigMap as it is, None: there is none. Returns the services that its holds are about."""
        self._object, self._saving = stored, None
        data = (stored or {}).get("data")
        state = decode(data.get(_KEY) if isinstance(data, dict) else None)
        self._stored, self.damaged = state, state.damaged
        self.budget.load(state, self._minute(now_ns))
        if not self.loaded:
            self._guard.restore(state.holds, state.approved)
        self.loaded, self._reading, self.problem = True, False, ""
        self._outdated = True
        return sorted({*(hold.service for hold in state.holds), *state.approved})

    def outdated(self) -> None:
        """The shrink guard's holds may have changed."""
        self._outdated = True

    def save(self, namespace: str, epoch: int, now_ns: int) -> Write | None:
        """The write that is due, if any; its answer goes to ``saved``, ``read`` or ``failed``."""
        if self._saving is not None or not self.loaded:
            return None
        debits = self._debits(now_ns)
        if debits is None and not self._outdated:
            return None
        self._outdated = False
        holds = self._guard.holds(), self._guard.approved()
        if debits is None:
            if holds == (self._stored.holds, self._stored.approved):
                return None
            debits = self.budget.debits(self._minute(now_ns))
        self._saving = GuardState(debits, *holds)
        metadata = dict((self._object or {}).get("metadata", {"name": GUARD_NAME, "namespace": namespace}))
        metadata["labels"] = {**metadata.get("labels", {}), OWNER_LABEL: MANAGER}
        metadata["annotations"] = {**metadata.get("annotations", {}), EPOCH_ANNOTATION: str(epoch)}
        obj = {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": metadata,
            "data": {_KEY: encode(self._saving)},
        }
        verb: Literal["create", "replace"] = "create" if self._object is None else "replace"
        return Write(verb, CONFIG_MAPS, GUARD_NAME, obj, "removal budget and holds")

    def saved(self, stored: Obj | None, now_ns: int) -> None:
        """``save``'s write was applied."""
        if self._saving is not None:
            self.budget.debited(self._saving.debits, self._minute(now_ns))
            self._stored = self._saving
        self._object, self._saving = stored, None
        self.damaged = self.problem = ""

    def unsent(self) -> None:
        """``save``'s write was not sent: it is due again, and who waited for it goes on waiting."""
        self._saving, self._outdated = None, True

    def failed(self, now_ns: int, reason: str) -> bool:
        """A read or write of it failed, or nobody knows: nothing of it may be spent. Read it (again), a bit later.
        Returns whether ``reason`` is news."""
        news = reason != self.problem
        self.problem = reason
        self.forget()
        self._outdated = True
        self._retry_ns = now_ns + _REREAD_NS
        return news

    def usage(self, now_ns: int) -> tuple[Usage, ...]:
        return self.budget.usage(self._minute(now_ns))

    def _debits(self, now_ns: int) -> dict[int, int] | None:
        """For all that wait, if there is room for all, else for the first."""
        if not self.waiting:
            return None
        minute, waiting = self._minute(now_ns), list(self.waiting.values())
        first = waiting[0]
        return self.budget.debit(sum(one.number for one in waiting), minute) or self.budget.debit(
            first.number, minute, approved=first.approved
        )

    def _minute(self, now_ns: int) -> int:
        return int(self._wall_of(now_ns)) // MINUTE_S
