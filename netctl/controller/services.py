"""The services and the instances that serve them: what the sources list, and what the guard keeps though they do not.

``effective`` of a service is what is wanted everywhere. What the clusters serve already belongs to it until the guard
lets it go, so a controller that has just started removes nothing that it does not know better about, and knows from
the clusters alone what was served before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netctl.controller.health import Health
from netctl.guard.hold import Hold
from netctl.guard.shrink import ShrinkGuard, sockets
from netctl.model.naming import Instance
from netctl.names.catalog import Merger


class Services:
    """``judge`` a service whenever something about it changed; ``instances`` is the outcome."""

    def __init__(self, merger: Merger, guard: ShrinkGuard, health: Health) -> None:
        self.total = 0
        """How many instances are wanted in all."""
        self._merger = merger
        self._guard = guard
        self._health = health
        self._effective: dict[str, dict[str, Instance]] = {}
        self._corroborated: dict[str, set[str]] = {}
        self._holds: dict[str, Hold] = {}

    def names(self) -> Collection[str]:
        return self._effective.keys()

    def instances(self, service: str) -> Mapping[str, Instance]:
        """What is wanted, held instances included; empty: the service is gone."""
        return self._effective.get(service, {})

    def corroborated(self, service: str) -> Collection[str]:
        """Instances that went because checks had called them failing for long."""
        return self._corroborated.get(service, ())

    def hold(self, service: str) -> Hold | None:
        return self._holds.get(service)

    def judge(self, service: str, now_ns: int, wall: float, *, removable: bool) -> bool:
        """Whether ``instances`` is another than before. Not ``removable``: it is too early for anything to be gone."""
        listed = self._merger.instances(service)
        served = self._effective.get(service, {})
        # Of an entry that is there, though nobody can read it, what is known of the instance stands (unless another
        # one is listed at its address by now: that would be there twice).
        unread = {n: one for n, one in served.items() if n not in listed and self._merger.unreadable(service, n)}
        if unread:
            taken = sockets(listed.values())
            listed = {**listed, **{n: one for n, one in unread.items() if taken.isdisjoint(sockets([one]))}}
        dead = self._health.dead(service, served)
        verdict = self._guard.judge(
            service,
            listed,
            served,
            dead,
            unfit=self._health.unfit(service, {**served, **listed}),
            removable=removable,
            now_ns=now_ns,
            now_wall=wall,
        )
        self._holds.pop(service, None)
        if verdict.hold is not None:
            self._holds[service] = verdict.hold
        died = (self._corroborated.get(service, set()) | (verdict.gone & dead)) - verdict.effective.keys()
        if died:
            self._corroborated[service] = died
        else:
            self._corroborated.pop(service, None)
        if verdict.effective == served:
            return False
        self._replace(service, verdict.effective)
        return True

    def _replace(self, service: str, instances: dict[str, Instance]) -> None:
        self.total += len(instances) - len(self._effective.pop(service, ()))
        if instances:
            self._effective[service] = instances

    def adopt(self, service: str, found: Mapping[str, Instance]) -> bool:
        """A cluster serves these: whatever of them nobody lists is served, and not ours to drop without the guard."""
        known, listed = self._effective.get(service, {}), self._merger.instances(service)
        fresh = {name: one for name, one in found.items() if name not in known and name not in listed}
        if fresh:
            self._replace(service, {**known, **fresh})
        return bool(fresh)

    def release(self, service: str, cloud: str, found: Collection[str]) -> dict[str, Instance]:
        """Another controller leads the cluster of this cloud: what it let go there, nobody lists, and is not ``found``
        in its slices any more, is let go here too. Returns that."""
        known, listed = self._effective.get(service, {}), self._merger.instances(service)
        gone = {n: one for n, one in known.items() if one.cloud == cloud and n not in listed and n not in found}
        if gone:
            self._replace(service, {name: one for name, one in known.items() if name not in gone})
        return gone

    def settled(self, service: str, still_there: Collection[str]) -> None:
        """Forget of the dead those that no cluster has any more."""
        if left := self._corroborated.pop(service, set()).intersection(still_there):
            self._corroborated[service] = left
