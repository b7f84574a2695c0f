"""The provider-cut drill, played on the simulator: for machines that refuse namespaces.

The same agents and liveness as in a real gateway, on virtual time; every flow's way is walked after every event, so an
outage is exact and owes nothing to the machine that computes it. It shows what the logic does, not what a machine can.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from netctl.model.clock import MS, SECOND
from netctl.model.errors import ObjectiveMissedError
from netctl.sim.invariants import Invariants
from netctl.sim.rest import unrest
from netctl.sim.run import BOOT_S, REST_S, rests
from netctl.sim.schedule import GATEWAYS, Fault, Schedule
from netctl.sim.topology import own_prefixes
from netctl.sim.world import World

_SETTLE_MS = 1_000


@dataclass
class PlayedFlow:
    """One one-way flow. ``outage_ms`` is the longest time in which its packets did not arrive."""

    name: str
    direction: str
    provider_before: str
    outage_ms: float = 0.0
    broken_since_ns: int | None = None

    def saw(self, arrives: bool, now_ns: int) -> None:
        if not arrives and self.broken_since_ns is None:
            self.broken_since_ns = now_ns
        elif arrives and self.broken_since_ns is not None:
            self.outage_ms = max(self.outage_ms, (now_ns - self.broken_since_ns) / MS)
            self.broken_since_ns = None


@dataclass(frozen=True)
class Play:
    """What the played drill showed."""

    provider: str
    interval_ms: int
    multiplier: int
    cut_ms: int
    flows: list[PlayedFlow]
    rest_s: float
    """From the return of the provider until everything was as before."""
    simulated: bool = True
    worst_ms: dict[str, float] = field(default_factory=dict)
    """By direction (``a_to_b``, ``b_to_a``)."""


def play_provider_cut(
    provider: str = "pa",
    *,
    flows: int = 16,
    cut_ms: int = 3_000,
    interval_ms: int = 50,
    multiplier: int = 3,
    seed: int = 1,
) -> Play:
    """Cut everything on all of one provider's links, without a sign, and give it back. ``flows``: in each direction.

    Raises ObjectiveMissedError when the simulated network does not come up or does not come back.
    """
    cuts = tuple(Fault("cut", f"{gateway}-{provider}", _SETTLE_MS, cut_ms) for gateway in GATEWAYS)
    world = World(Schedule(seed, interval_ms, multiplier, cuts))
    invariants = Invariants(world)
    try:
        played, rest_s = world.loop.run_until_complete(_play(world, invariants, flows))
    finally:
        world.loop.discard()
    if invariants.failure is not None:
        raise ObjectiveMissedError(f"{invariants.failure.invariant}: {invariants.failure.detail}")
    worst = {d: max(flow.outage_ms for flow in played if flow.direction == d) for d in ("a_to_b", "b_to_a")}
    return Play(provider, interval_ms, multiplier, cut_ms, played, rest_s, worst_ms=worst)


async def _play(world: World, invariants: Invariants, count: int) -> tuple[list[PlayedFlow], float]:
    world.start()
    if not await rests(invariants, BOOT_S):
        raise ObjectiveMissedError(f"the simulated network does not come up: {unrest(world)}")
    flows: list[PlayedFlow] = []
    for source, far, direction in (("ga1", "gb1", "a_to_b"), ("gb1", "ga1", "b_to_a")):
        prefix = own_prefixes(far)[0]
        ways = world.walk(source, prefix)
        for number in range(count):
            flow = PlayedFlow(f"{direction}-{number}", direction, ways[number % len(ways)][0])
            flows.append(flow)
            world.watchers.append(partial(_follow, world, source, prefix, number, flow))
    over_ns = world.plan(world.loop.now_ns)
    await asyncio.sleep((over_ns - world.loop.now_ns) / SECOND)
    if not await rests(invariants, REST_S):
        raise ObjectiveMissedError(f"the simulated network does not come back: {unrest(world)}")
    return flows, (world.loop.now_ns - over_ns) / SECOND


def _follow(world: World, source: str, prefix: bytes, number: int, flow: PlayedFlow, _who: str, _what: str) -> None:
    """A flow keeps to one place of its group, as the kernel's hash does."""
    ways = world.walk(source, prefix)
    arrives = bool(ways) and ways[number % len(ways)][1] == ""
    flow.saw(arrives, world.loop.now_ns)
