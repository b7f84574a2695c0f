"""The invariants as code: looked at after every event of the simulated world.

I1  a prefix that a live path can reach is forwarded over live paths only, at most detection time + 10 ms after a
    failure. Who has to notice decides how long that may take: liveness (its own BFD session's deadline), the provider
    and the agent (the provider's deadline, and the withdrawal's way), or only a hold timer. Nothing is owed while the
    program that would have to act is dead, stopped or just starting, or while nothing usable is left. Several may
    have to act one after the other; each turn has its own exact bound (``turns``). And no member comes home from a
    way that works to a provider that does not know the far side's routes yet.
I2  no opinion removes the last path: liveness writes only members and leaves no prefix without a next hop; the agent
    deletes no route that a peer with a session has offered for a second, nor one whose speaker died less than a minute
    ago (that is no fact) before its successor knows better.
I3  an agent that ends and starts again in a world that is at rest writes nothing that changes the kernel.
I8  (``rest``) with the faults over, everything is as it was meant to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from netctl.bfd.session import State
from netctl.model.clock import MS, SECOND
from netctl.model.prefix import Prefix, format_prefix, parse_address
from netctl.model.routing import DeleteRoutes, KernelOp, KernelState, PutMember, Via
from netctl.sim.gateway import SimGateway
from netctl.sim.loop import START_NS
from netctl.sim.memory import Memory
from netctl.sim.outcome import Failure
from netctl.sim.rest import unrest
from netctl.sim.schedule import PROVIDERS, Fault
from netctl.sim.topology import remote_prefixes
from netctl.sim.turns import Turns
from netctl.sim.world import World

OFFERED_NS = 1 * SECOND


@dataclass(slots=True)
class Debt:
    """Bad forwarding that has to end: whose turn it is and since when, since when at all, when it is looked at next."""

    turn: str
    since: int
    first: int
    looked_at: int = 0


class Invariants:
    """Watches a world. ``failure`` is the first violation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failure: Failure | None = None
        self.failed = asyncio.Event()
        self._event = "start"
        self._owed: dict[tuple[str, Prefix, str], Debt] = {}
        self._memory = Memory(world)
        self._turns = Turns(world, self._memory)
        self._rest: dict[str, KernelState] = {}
        world.watchers.append(self.look)
        world.on_write = self.wrote
        world.on_fault = self.fault
        world.on_crash = lambda crash: self.fail("crash", crash)

    def fail(self, invariant: str, detail: str) -> None:
        if self.failure is None:
            now_ms = (self.world.loop.now_ns - START_NS) / MS
            self.failure = Failure(invariant, now_ms, self._event, detail, tuple(self.world.trace.tail))
            self.failed.set()

    # --- after every event ---

    def look(self, who: str, what: str) -> None:
        self._event = f"{who}: {what}"
        if self.failure is None:
            self._memory.update()
            for gateway in self.world.gateways.values():
                for prefix in remote_prefixes(gateway.name):
                    self._check_forwarding(gateway, prefix)

    # --- I1 ---

    def _check_forwarding(self, gateway: SimGateway, prefix: Prefix) -> None:
        now = self.world.loop.now_ns
        ways = self.world.walk(gateway.name, prefix)
        bad = dict(way for way in ways if way[1]) if ways else {"none": "no route"}
        good = [p for p in PROVIDERS if p not in bad and self._turns.usable(gateway, p, prefix)]
        for provider in (*PROVIDERS, "none"):
            key = (gateway.name, prefix, provider)
            due = self._turns.due(gateway, provider, prefix, good) if provider in bad and good else None
            if due is None:
                self._owed.pop(key, None)
                continue
            debt = self._owed.setdefault(key, Debt(due.turn, now, now))
            if debt.turn != due.turn:
                debt.turn, debt.since, debt.looked_at = due.turn, now, 0
            deadline = max(debt.since, due.not_before) + due.within
            if now >= deadline:
                self.fail(
                    "I1",
                    f"{gateway.name} still sends {format_prefix(prefix)} to {provider} ({bad[provider]}) after "
                    f"{(now - debt.first) / MS:.1f} ms although {', '.join(good)} can reach it; turn of {debt.turn}",
                )
            elif debt.looked_at <= now:
                debt.looked_at = deadline
                self.world.at(deadline, lambda: self.look("clock", "deadline"))

    # --- I2, I3: after every write ---

    def wrote(self, program: str, gateway: SimGateway, ops: Sequence[KernelOp], before: KernelState) -> None:
        self._event = f"{gateway.name}/{program} writes"
        self._memory.update()
        if program == "liveness":
            self._check_liveness_wrote(gateway, ops, before)
        elif program == "agent":
            self._check_agent_wrote(gateway, ops, before)

    def _check_liveness_wrote(self, gateway: SimGateway, ops: Sequence[KernelOp], before: KernelState) -> None:
        after = gateway.kernel.dump()
        if any(not isinstance(op, PutMember) for op in ops):
            self.fail("I2", f"liveness of {gateway.name} writes more than members: {ops}")
        if after.routes != before.routes or after.groups != before.groups:
            self.fail("I2", f"a write of liveness of {gateway.name} changed groups or routes")
        lost = [format_prefix(prefix) for prefix in before.routes if not gateway.kernel.lookup(prefix[1:])]
        if lost:
            self.fail("I2", f"liveness of {gateway.name} left {', '.join(lost)} without a next hop")
        homes = {
            peer.member_id: (peer.name, Via(parse_address(peer.address), peer.interface))
            for peer in gateway.settings.peers
        }
        for op in ops:
            if isinstance(op, PutMember) and op.id in before.members and op.id in homes:
                provider, home = homes[op.id]
                if op.via == home != before.members[op.id]:
                    self._check_return(gateway, provider, before.members[op.id], before)

    def _check_return(self, gateway: SimGateway, provider: str, away: Via, before: KernelState) -> None:
        """A member that comes home before it may must not leave a way that works, over a provider that is Up, for one
        that knows no way."""
        other = away.interface.removeprefix("gw-")
        survivor = gateway.bfd_session(other)
        if self._memory.may_return_since(gateway, provider) is not None:
            return
        if survivor is None or survivor.state is not State.UP:
            return
        for prefix in before.routes:
            knows = self.world.providers[provider].lookup(prefix) is not None
            offered = self._memory.offered(gateway.name, other, prefix)  # else a fact speaks against staying there
            if offered and not knows and not self.world.follow(gateway.name, away, prefix)[1]:
                self.fail(
                    "I1",
                    f"liveness of {gateway.name} brought the member of {provider} home too early: {provider} has no "
                    f"route to {format_prefix(prefix)}, and where it was pointed there was one",
                )

    def _check_agent_wrote(self, gateway: SimGateway, ops: Sequence[KernelOp], before: KernelState) -> None:
        deleted = {prefix for op in ops if isinstance(op, DeleteRoutes) for prefix in op.prefixes}
        for prefix in sorted(deleted & before.routes.keys()):
            offered = any(
                self._memory.offered(gateway.name, p, prefix, OFFERED_NS) or self._memory.left(gateway.name, p, prefix)
                for p in PROVIDERS
            )
            if offered and not gateway.kernel.lookup(prefix[1:]):
                self.fail("I2", f"agent of {gateway.name} removed the last path of {format_prefix(prefix)}")
        if gateway.name in self._rest and gateway.kernel.dump() != self._rest[gateway.name]:
            self.fail("I3", f"agent of {gateway.name} changed forwarding although only it was started again: {ops}")

    def fault(self, fault: Fault, begins: bool) -> None:
        """I3 applies from an agent's end in a world at rest until anything else goes wrong."""
        gateway, _, program = fault.where.partition("/")
        if not begins:
            return
        if program != "agent":
            self._rest.clear()
        elif not self.world.active and not unrest(self.world):
            self._rest[gateway] = self.world.gateways[gateway].kernel.dump()
