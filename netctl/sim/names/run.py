"""One run of a naming schedule, from boot to rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from netctl.model.clock import SECOND
from netctl.sim.loop import START_NS, SimulationError
from netctl.sim.names.faults import Disturbances
from netctl.sim.names.invariants import NamesInvariants
from netctl.sim.names.rest import unrest
from netctl.sim.names.schedule import NamesSchedule
from netctl.sim.names.world import NamesPrograms, NamesWorld
from netctl.sim.outcome import Outcome

BOOT_S = 30
"""Within this time after power-on everything must be up for the first time."""
REST_S = 60
"""I8's bound: the longest wait that there is is that of a service whose writes were denied (30 s)."""
_LOOK_S = 0.25


def simulate_names(schedule: NamesSchedule, programs: NamesPrograms | None, interrupted: Callable[[], bool]) -> Outcome:
    """As ``netctl.sim.run.simulate``, which holds back interrupts."""
    world = NamesWorld(schedule, programs)
    world.loop.interrupted = interrupted
    invariants = NamesInvariants(world)
    rest_s = 0.0
    try:
        rest_s = world.loop.run_until_complete(_drive(world, invariants))
    except SimulationError as stuck:
        invariants.fail("simulation", str(stuck))
    except KeyboardInterrupt:
        world.loop.discard()
        raise
    for error in (*world.loop.errors, *world.loop.fallen()):
        invariants.fail("crash", error)
    virtual_s = (world.loop.now_ns - START_NS) / SECOND
    outcome = Outcome(schedule, invariants.failure, world.trace.digest(), world.trace.lines, virtual_s, rest_s)
    world.loop.discard()
    return outcome


async def _drive(world: NamesWorld, invariants: NamesInvariants) -> float:
    world.start()
    if not await rests(world, invariants, BOOT_S):
        invariants.fail("boot", f"not up within {BOOT_S} s: {unrest(world)}")
        return 0.0
    world.trace.add("world", "at rest")
    over_ns = Disturbances(world).plan(world.loop.now_ns)
    with suppress(TimeoutError):
        async with asyncio.timeout_at(over_ns / SECOND):
            await invariants.failed.wait()
    if not await rests(world, invariants, REST_S):
        invariants.fail("I8", f"{REST_S} s after the last fault: {unrest(world)}")
    return (world.loop.now_ns - over_ns) / SECOND


async def rests(world: NamesWorld, invariants: NamesInvariants, within_s: float) -> bool:
    """Wait until the world has been at rest for a second; True also when there is a failure already."""
    rested_s, waited_s = 0.0, 0.0
    while waited_s < within_s and rested_s < 1:
        if invariants.failed.is_set():
            return True
        await asyncio.sleep(_LOOK_S)
        waited_s += _LOOK_S
        rested_s = rested_s + _LOOK_S if not unrest(world) else 0.0
    return rested_s >= 1
