"""One run of a schedule, from boot to rest; many runs; what a failure looks like."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from netctl.model.clock import SECOND
from netctl.sim.gateway import Programs
from netctl.sim.interrupts import held_interrupts
from netctl.sim.invariants import Invariants
from netctl.sim.loop import START_NS, SimulationError
from netctl.sim.names.run import simulate_names
from netctl.sim.names.schedule import NamesSchedule, generate_names
from netctl.sim.names.world import NamesPrograms
from netctl.sim.outcome import Outcome
from netctl.sim.rest import unrest
from netctl.sim.schedule import Schedule, generate
from netctl.sim.shrink import shrink
from netctl.sim.world import World

BOOT_S = 60
"""Within this time after power-on everything must be up for the first time."""
REST_S = 90
"""I8's bound: a fresh agent's start-up bound (60 s and a hold time) is the longest wait that there is."""
_LOOK_S = 0.25


WORLDS = ("routing", "names")
AnySchedule = Schedule | NamesSchedule
AnyPrograms = Programs | NamesPrograms


def simulate(schedule: AnySchedule, programs: AnyPrograms | None = None) -> Outcome:
    """Boot the schedule's world, let the faults happen, wait for rest. Stops at the first violation. Raises
    KeyboardInterrupt with nothing left that could complain later."""
    with held_interrupts() as interrupted:
        if isinstance(schedule, NamesSchedule):
            assert not isinstance(programs, Programs)
            return simulate_names(schedule, programs, interrupted)
        assert not isinstance(programs, NamesPrograms)
        return _simulate(schedule, programs, interrupted)


def _simulate(schedule: Schedule, programs: Programs | None, interrupted: Callable[[], bool]) -> Outcome:
    world = World(schedule, programs)
    world.loop.interrupted = interrupted
    invariants = Invariants(world)
    rest_s = 0.0
    try:
        rest_s = world.loop.run_until_complete(_drive(world, invariants))
    except SimulationError as stuck:
        invariants.fail("simulation", str(stuck))
    except KeyboardInterrupt:
        world.loop.discard()
        raise
    for error in world.loop.errors:
        invariants.fail("crash", error)
    virtual_s = (world.loop.now_ns - START_NS) / SECOND
    for name, link in world.wires.links.items():
        world.trace.add(name, " ".join(f"{way.carried}+{way.lost}" for way in link.ways))
    outcome = Outcome(schedule, invariants.failure, world.trace.digest(), world.trace.lines, virtual_s, rest_s)
    world.loop.discard()
    return outcome


async def _drive(world: World, invariants: Invariants) -> float:
    world.start()
    if not await rests(invariants, BOOT_S):
        invariants.fail("boot", f"not up within {BOOT_S} s: {unrest(invariants.world)}")
        return 0.0
    world.trace.add("world", "at rest")
    over_ns = world.plan(world.loop.now_ns)
    with suppress(TimeoutError):
        async with asyncio.timeout_at(over_ns / SECOND):
            await invariants.failed.wait()
    if not await rests(invariants, REST_S):
        invariants.fail("I8", f"{REST_S} s after the last fault: {unrest(invariants.world)}")
    return (world.loop.now_ns - over_ns) / SECOND


async def rests(invariants: Invariants, within_s: float) -> bool:
    """Wait until the world has been at rest for a second; True also when there is a failure already."""
    rested_s, waited_s = 0.0, 0.0
    while waited_s < within_s and rested_s < 1:
        if invariants.failed.is_set():
            return True
        await asyncio.sleep(_LOOK_S)
        waited_s += _LOOK_S
        rested_s = rested_s + _LOOK_S if not unrest(invariants.world) else 0.0
    return rested_s >= 1


def shrunk(outcome: Outcome, programs: AnyPrograms | None = None, progress: Callable[[str], None] = print) -> Outcome:
    """A failing outcome's schedule, made as small as it can be while the same invariant is broken."""
    assert outcome.failure is not None
    wanted = outcome.failure.invariant

    def fails(schedule: AnySchedule) -> bool:
        failure = simulate(schedule, programs).failure
        return failure is not None and failure.invariant == wanted

    return simulate(shrink(outcome.schedule, fails, progress), programs)


def scheduled(world: str, seed: int) -> AnySchedule:
    """A seed's schedule in one of WORLDS."""
    return generate(seed) if world == "routing" else generate_names(seed)


def run_seeds(seeds: Iterable[int], worlds: Iterable[str] = WORLDS) -> Iterable[Outcome]:
    """One outcome for each seed in each world, as they come."""
    for seed in seeds:
        for world in worlds:
            yield simulate(scheduled(world, seed))
