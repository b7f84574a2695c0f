"""The vm-death drill, played on the simulator: an instance dies, and leaves the answers of both clouds by health."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from netctl.model.clock import MS, SECOND
from netctl.model.errors import ObjectiveMissedError
from netctl.sim.names import site
from netctl.sim.names.faults import Disturbances
from netctl.sim.names.invariants import NamesInvariants
from netctl.sim.names.rest import unrest
from netctl.sim.names.run import BOOT_S, REST_S, rests
from netctl.sim.names.schedule import NamesFault, NamesSchedule
from netctl.sim.names.world import NamesWorld

_SETTLE_MS = 1_000
_DEAD_MS = 5_000


@dataclass(frozen=True)
class PlayedAnswer:
    """One cloud's name. ``stale_ms``: how long its slices named the dead instance as ready after it died."""

    cloud: str
    service: str
    stale_ms: float


@dataclass(frozen=True)
class PlayedDeath:
    """What the played drill showed."""

    instance: str
    answers: list[PlayedAnswer]
    rest_s: float
    """From the instance's return until everything was as before."""
    simulated: bool = True


def play_vm_death(instance: str = "ledger/b1", seed: int = 1) -> PlayedDeath:
    """The instance answers no more for some seconds. Raises ObjectiveMissedError when an invariant is broken, or the
    simulated site does not come up or back."""
    fault = NamesFault("death", instance, _SETTLE_MS, _DEAD_MS)
    world = NamesWorld(NamesSchedule(seed, 30, (100, 300), (fault,)))
    invariants = NamesInvariants(world)
    try:
        answers, rest_s = world.loop.run_until_complete(_play(world, invariants, instance))
    finally:
        world.loop.discard()
    if invariants.failure is not None:
        raise ObjectiveMissedError(f"{invariants.failure.invariant}: {invariants.failure.detail}")
    return PlayedDeath(instance, answers, rest_s)


async def _play(world: NamesWorld, invariants: NamesInvariants, instance: str) -> tuple[list[PlayedAnswer], float]:
    world.start()
    if not await rests(world, invariants, BOOT_S):
        raise ObjectiveMissedError(f"the simulated site does not come up: {unrest(world)}")
    service, _, name = instance.partition("/")
    died_ns = world.loop.now_ns + _SETTLE_MS * MS
    stale = dict.fromkeys(site.CLUSTERS, 0.0)

    def look(who: str, what: str) -> None:
        for cluster, view in world.views.items():
            seen = view.served(service).get(name)
            if seen is not None and seen.ready and died_ns <= world.loop.now_ns < over_ns:
                named.add(cluster)
            elif cluster in named:
                named.discard(cluster)
                stale[cluster] = (world.loop.now_ns - died_ns) / MS

    named: set[str] = set()
    over_ns = Disturbances(world).plan(world.loop.now_ns)
    world.watchers.append(look)
    await asyncio.sleep((over_ns - world.loop.now_ns) / SECOND)
    if not await rests(world, invariants, REST_S):
        raise ObjectiveMissedError(f"the simulated site does not come back: {unrest(world)}")
    return [PlayedAnswer(cluster, service, ms) for cluster, ms in stale.items()], (world.loop.now_ns - over_ns) / SECOND
