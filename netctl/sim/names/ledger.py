"""What one life of a controller was told, and what it may therefore let go: worked out once more, by the rule's words.

"Missing = served - listed. A missing instance that checks have called failing for a minute, while they see others of
its cloud pass, may go. Others may go only if (the maximum
served within 10 minutes) - (what would remain) <= max(1, max_shrink x that maximum), and never so that none is left.
Else all of them are held." One whose address answers on under another name has moved. One whose entry is there but
cannot be read is not missing. What a source that is away said before still stands, and before all have spoken nothing
is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from netctl.controller.health import LASTING_NS
from netctl.ipc.messages import Verdicts
from netctl.model.clock import SECOND
from netctl.model.naming import Instance, InstanceId
from netctl.model.ports import Changed, Listed, RegistryEvent
from netctl.names.catalog import Merger
from netctl.sim.names.view import Seen

WINDOW_NS = 600 * SECOND


def _seen(one: Instance) -> Seen:
    return Seen(one.address, one.ports, one.cloud, one.healthy)


@dataclass(slots=True)
class _Account:
    """One service's."""

    served: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    counts: deque[tuple[int, int]] = field(default_factory=deque)
    """(when it became so many, how many)."""


class Ledger:
    """``in_slices``: a service's instances in all clusters' slices. ``let_go``: what lives before it let go. ``held``:
    what stored holds name."""

    def __init__(
        self,
        merger: Merger,
        max_shrink: float,
        *,
        services: Callable[[], Iterable[str]],
        in_slices: Callable[[str], dict[str, Seen]],
        let_go: Mapping[str, set[str]],
        held: Mapping[str, set[str]],
    ) -> None:
        self.merger = merger
        """It says what is listed; how it merges is not judged here."""
        self.known: dict[InstanceId, Seen] = {}
        """Each instance as it was last listed or served."""
        self._verdicts: dict[InstanceId, tuple[str, bool]] = {}
        """What checks last said: where they found it, and whether it passes."""
        self._since: dict[InstanceId, tuple[str, int]] = {}
        """Where and since when it has been failing."""
        self._blind: dict[str, int] = {}
        """Cloud → when its checker was last known to see nothing pass."""
        self._max_shrink = max_shrink
        self._services = services
        self._in_slices = in_slices
        self._let_go = {service: set(names) for service, names in let_go.items()}
        self._keys: dict[str, set[str]] = {}
        self._lately: dict[InstanceId, int] = {}
        """When it was last found that it may leave: a write is decided a turn of the loop before it is sent."""
        self._dead: dict[str, set[str]] = {}
        """Service → those that were let go because checks had called them failing for long."""
        self._accounts: dict[str, _Account] = {}
        for service, names in held.items():
            self._accounts[service] = _Account(held=set(names))
        self.lost: dict[str, bool] = {}

    # --- what it was told --------------------------------------------------------------------------------------------

    def said(self, source: str, event: RegistryEvent, now_ns: int) -> None:
        self.merger.take(source, event)
        self.lost[source] = not isinstance(event, Listed | Changed)
        keys = self._keys.setdefault(source, set())
        if isinstance(event, Listed):
            keys.clear()
            keys.update(event.entries)
        elif isinstance(event, Changed):
            keys.difference_update(event.deletes)
            keys.update(event.puts)
        self.judge_all(now_ns)

    def heard(self, verdicts: Verdicts, now_ns: int) -> None:
        self._look_around(now_ns)
        for said in verdicts.verdicts:
            instance = (said.service, said.instance)
            known = self.known.get(instance)
            if known is None or known.place != said.for_target:
                continue
            self._verdicts[instance] = said.for_target, said.passing
            if said.passing:
                self._since.pop(instance, None)
            elif self._since.get(instance, ("", 0))[0] != said.for_target:
                self._since[instance] = said.for_target, now_ns
        self._look_around(now_ns)
        if verdicts.verdicts:
            self.judge_all(now_ns)

    # --- what follows ------------------------------------------------------------------------------------------------

    def listed(self, service: str) -> Mapping[str, Instance]:
        return self.merger.instances(service)

    def failing(self, instance: InstanceId) -> bool:
        known = self.known.get(instance)
        return known is not None and self._verdicts.get(instance) == (known.place, False)

    def dead(self, instance: InstanceId, now_ns: int) -> bool:
        """Failing for so long, while its cloud's checker is not blind, that it may go."""
        if not self.failing(instance):
            return False
        since_ns = max(self._since[instance][1], self._blind.get(self.known[instance].cloud, 0))
        return now_ns - since_ns >= LASTING_NS

    def _look_around(self, now_ns: int) -> None:
        verdicts = self.verdicts()
        clouds: dict[str, bool] = {}
        for service, account in self._accounts.items():
            for name in account.served & {known for of, known in self.known if of == service}:
                cloud = self.known[service, name].cloud
                clouds[cloud] = clouds.get(cloud, False) or verdicts.get((service, name), False)
        self._blind.update({cloud: now_ns for cloud, sees in clouds.items() if not sees})

    def verdicts(self) -> dict[InstanceId, bool]:
        """What checkers said last, of all that are still where it was said of."""
        return {i: ok for i, (place, ok) in self._verdicts.items() if i in self.known and self.known[i].place == place}

    def unreadable(self, service: str, name: str) -> bool:
        """Whether a source has an entry of that name, whatever it says."""
        return any(f"{service}/{name}" in keys for keys in self._keys.values())

    def may_leave(self, service: str, name: str, cloud: str, now_ns: int) -> str:
        """Why an instance must not leave the slices of ``cloud``'s cluster; "" when it may."""
        self._judge(service, now_ns)  # time alone may have let it go
        listed = self.listed(service).get(name)
        if name in self._let_go.get(service, ()) or self._lately.get((service, name), -1) == now_ns:
            return ""
        if listed is not None:
            return f"{name} is listed, and at home in cloud {cloud}" if listed.cloud == cloud else ""
        account = self._accounts.get(service)
        known = self.known.get((service, name))
        if account is not None and name in account.served and known is not None and known.cloud != cloud:
            return ""  # it is kept at home and only stops to help out here
        if not self.merger.listed:
            return f"not every source has spoken yet, so {name} is not missing"
        if self.unreadable(service, name):
            return f"the entry of {name} is there, though it cannot be read"
        return f"{name} is missing uncorroborated, and too many are (or it is the last one)"

    def judge_all(self, now_ns: int) -> None:
        for service in sorted({*self._services(), *self.merger.services(), *self._accounts}):
            self._judge(service, now_ns)

    def _judge(self, service: str, now_ns: int) -> None:
        account = self._accounts.setdefault(service, _Account())
        listed, gone = self.listed(service), self._let_go.setdefault(service, set())
        in_slices = self._in_slices(service)
        gone.difference_update(listed)
        self.known.update({(service, name): seen for name, seen in in_slices.items() if name not in listed})
        self.known.update({one.id: _seen(one) for one in listed.values()})
        served = (account.served | in_slices.keys()) - gone
        self._count(account, len(served), now_ns)
        missing = served - listed.keys()
        if not self.merger.listed:
            account.served = served | listed.keys()
            return
        dead = {name for name in missing if self.dead((service, name), now_ns)}
        sockets = {(one.address, port) for one in listed.values() for _, port in one.ports}
        moved = {name for name in missing if self._is_at(service, name, sockets)}
        broken = {name for name in missing if self.unreadable(service, name)} - dead - moved
        held = (account.held & missing) - dead - moved - broken
        fresh = missing - dead - broken - moved - held
        remain = listed.keys() | held | broken
        if fresh and not self._may_go(account, service, remain, now_ns):
            held |= fresh
            fresh = set()
        gone |= dead | moved | fresh
        self._lately.update({(service, name): now_ns for name in gone})
        self._dead[service] = (self._dead.get(service, set()) | dead) & gone
        for name in dead | moved | fresh:  # who comes back is checked anew
            self._verdicts.pop((service, name), None)
            self._since.pop((service, name), None)
        account.held = held
        account.served = set(listed) | held | broken
        self._count(account, len(account.served), now_ns)

    def _is_at(self, service: str, name: str, sockets: set[tuple[str, int]]) -> bool:
        known = self.known.get((service, name))
        return known is not None and any((known.address, port) in sockets for _, port in known.ports)

    def _may_go(self, account: _Account, service: str, remain: set[str], now_ns: int) -> bool:
        if all(self.failing((service, name)) for name in remain):
            return False
        peak = self._peak(account, now_ns)
        return peak - len(remain) <= max(1.0, self._max_shrink * peak) + 1e-9

    @staticmethod
    def _count(account: _Account, number: int, now_ns: int) -> None:
        if not account.counts or account.counts[-1][1] != number:
            account.counts.append((now_ns, number))

    @staticmethod
    def _peak(account: _Account, now_ns: int) -> int:
        counts = account.counts
        while len(counts) > 1 and counts[1][0] <= now_ns - WINDOW_NS:
            counts.popleft()
        return max(number for _, number in counts)

    def went_dead(self, service: str, name: str) -> bool:
        """Whether checks had called it failing for long when it was let go."""
        return name in self._dead.get(service, ())

    def gone(self) -> dict[str, set[str]]:
        """Service → what was let go."""
        return self._let_go

    def staying(self, service: str) -> list[str]:
        """Who is to be served."""
        account = self._accounts.get(service)
        return sorted(account.served) if account is not None else []
