# long because: what holds of one run holds of both worlds, and is said once
"""The simulator itself: deterministic, finds what is broken, shrinks it, replays it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import structs

from netctl.agent import events as e
from netctl.agent.shell import AgentShell
from netctl.ipc.messages import Arm
from netctl.liveness.events import Asked, Event, Point, Pointed
from netctl.liveness.shell import LivenessShell
from netctl.model.clock import MS, SECOND, Clock, Timer
from netctl.model.gateway import MEMBER_ID_BASE, Gateway
from netctl.model.ports import Kernel, Ports
from netctl.model.routing import DeleteRoutes, KernelOp, OpFailed, PutGroup, PutMember, PutRoutes
from netctl.sim.gateway import Programs
from netctl.sim.loop import START_NS
from netctl.sim.outcome import Outcome
from netctl.sim.play import play_provider_cut
from netctl.sim.run import shrunk, simulate
from netctl.sim.schedule import Fault, Schedule, generate

SEEDS = range(1, 13)


def explained(outcome: Outcome) -> str:
    failure = outcome.failure
    assert failure is not None
    return "\n".join((failure.invariant, failure.detail, *failure.tail, *map(str, outcome.schedule.faults)))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_invariant_holds_under_a_seeds_faults(seed: int) -> None:
    outcome = simulate(generate(seed))
    assert outcome.failure is None, explained(outcome)


FOUND = {
    # A member stayed at a survivor that had lost the way, although its own path was Up again.
    "stranded at a survivor, the own table not complete yet": (
        Fault("cut_to", "gb1-pb", 9_879, 100),
        Fault("stop", "gb1/speaker-pb", 12_200, 11_000),
        Fault("cut_to", "ga1-pa", 21_100, 159),
    ),
    "stranded at a survivor, the agent fresh": (
        Fault("cut_to", "ga1-pa", 27_100, 2_000),
        Fault("kill", "ga1/agent", 29_400, 8_300),
        Fault("cut_to", "gb1-pb", 35_200, 9_900),
    ),
    # An agent that had been stopped said "now" for an Up that was over: another Down had come meanwhile.
    "a member called home for an Up that is over": (
        Fault("cut_from", "ga1-pa", 23_800, 2_600),
        Fault("stop", "ga1/agent", 27_800, 13_800),
        Fault("cut", "ga1-pa", 37_700, 2_800),
    ),
    "stopped liveness and a half-cut link": (
        Fault("cut_from", "ga1-pa", 17_500, 1_700),
        Fault("stop", "ga1/liveness", 17_700, 900),
    ),
    "the agent was dead while the other path was lost": (
        Fault("cut", "ga1-pa", 17_700, 786),
        Fault("cut_to", "gb1-pb", 18_900, 12_100),
        Fault("kill", "gb1/agent", 20_000, 12_600),
    ),
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("interval_ms", [50, 300])
def test_what_a_seed_once_found_stays_mended(name: str, interval_ms: int) -> None:
    outcome = simulate(Schedule(10, interval_ms, 3, FOUND[name]))
    assert outcome.failure is None, explained(outcome)


def test_two_interpreters_with_different_hash_seeds_see_the_same_trace() -> None:
    script = (
        "from netctl.sim import simulate\n"
        "from netctl.sim.schedule import generate\n"
        "print([simulate(generate(seed)).digest for seed in (3, 4, 5)])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(digests) == 1
    assert "[" in digests.pop()


def test_another_seed_is_another_trace() -> None:
    assert simulate(generate(3)).digest != simulate(generate(4)).digest


BOOTED_NS = START_NS + 4 * SECOND
"""Every seed is at rest by then and no fault has begun."""
CUT = Schedule(1, 50, 3, (Fault("cut", "ga1-pa", 1_000, 3_000),))


class _Sieve:
    """A kernel that swallows some of what a program writes once the world has booted."""

    def __init__(self, ports: Ports, swallow: Callable[[KernelOp], bool]) -> None:
        self._kernel: Kernel = ports.kernel
        self._clock = ports.clock
        self._swallow = swallow
        for name in ("dump", "nexthops", "links", "watch", "close"):
            setattr(self, name, getattr(ports.kernel, name))

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        booted = self._clock.monotonic_ns() >= BOOTED_NS
        return self._kernel.apply([op for op in ops if not (booted and self._swallow(op))])


def sieved(shell: Callable[..., Any], swallow: Callable[[KernelOp], bool]) -> Callable[..., Any]:
    """The shell, on a kernel that swallows what ``swallow`` says."""

    def make(gateway: Gateway, ports: Ports, *rest: Any, **more: Any) -> Any:
        return shell(gateway, replace(ports, kernel=cast(Kernel, _Sieve(ports, swallow))), *rest, **more)

    return make


def broken_invariant(schedule: Schedule, programs: Programs) -> str:
    assert simulate(schedule).failure is None
    failure = simulate(schedule, programs).failure
    assert failure is not None
    return failure.invariant


def test_a_liveness_that_never_repoints_is_caught_and_shrunk_to_one_or_two_faults() -> None:
    broken = Programs(liveness=sieved(LivenessShell, lambda op: isinstance(op, PutMember)))
    noise = (
        Fault("kill", "gb1/agent", 500, 1_000),
        Fault("reset", "gb1-pb", 1_500, 0),
        Fault("loss", "ga1-pb", 4_000, 2_000, 1),
        Fault("stop", "gb1/speaker-pa", 9_000, 1_000),
    )
    outcome = simulate(Schedule(1, 50, 3, (Fault("cut", "ga1-pa", 3_000, 7_321), *noise)), broken)
    assert outcome.failure is not None
    assert outcome.failure.invariant == "I1"
    small = shrunk(outcome, broken, progress=lambda text: None)
    assert len(small.schedule.faults) <= 2
    assert small.failure is not None
    assert any(fault.kind.startswith("cut") for fault in small.schedule.faults)
    assert simulate(small.schedule, broken).failure == small.failure
    assert simulate(small.schedule).failure is None


class _LateClock:
    """Its timers fire 30 ms after their time."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.monotonic_ns, self.wall = clock, clock.monotonic_ns, clock.wall

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self._clock.call_at(when_ns + 30 * MS, callback)


def test_a_liveness_that_is_30_ms_late_is_caught() -> None:
    def late(gateway: Gateway, ports: Ports, *rest: Any, **more: Any) -> LivenessShell:
        return LivenessShell(gateway, replace(ports, clock=_LateClock(ports.clock)), *rest, **more)

    # Any packet of the other peer makes it look at its timers, so the phase of the cut decides how late it really is.
    cuts = [Schedule(1, 50, 3, (Fault("cut", "ga1-pa", at_ms, 3_000),)) for at_ms in range(1_000, 1_050, 10)]
    assert [simulate(cut).failure for cut in cuts] == [None] * len(cuts)
    assert {f.invariant for cut in cuts if (f := simulate(cut, Programs(liveness=late)).failure) is not None} == {"I1"}


def test_a_liveness_that_never_points_home_again_is_caught() -> None:
    homes = {MEMBER_ID_BASE + 1: "gw-pa", MEMBER_ID_BASE + 2: "gw-pb"}
    stays = sieved(LivenessShell, lambda op: isinstance(op, PutMember) and homes[op.id] == op.via.interface)
    assert broken_invariant(CUT, Programs(liveness=stays)) == "I8"


def test_a_liveness_that_points_home_before_the_provider_can_know_the_way_is_caught() -> None:
    class Hasty(LivenessShell):
        def _turn(self, events: Iterable[Event]) -> None:
            super()._turn([self._hurried(event) for event in events])

        def _hurried(self, event: Event) -> Event:
            if not isinstance(event, Asked) or not isinstance(event.message, Arm):
                return event
            sessions = tuple(structs.replace(session, restore="now") for session in event.message.sessions)
            return replace(event, message=structs.replace(event.message, sessions=sessions))

    # Both links of pa come back together: it knows no way to the far cloud before its BGP session there is up again.
    provider_cut = Schedule(1, 50, 3, tuple(Fault("cut", link, 1_000, 3_000) for link in ("ga1-pa", "gb1-pa")))
    assert broken_invariant(provider_cut, Programs(liveness=Hasty)) == "I1"


def test_a_liveness_that_removes_routes_is_caught() -> None:
    class Removes(LivenessShell):
        def _point(self, points: list[Point], decided_ns: int) -> list[Pointed]:
            self._ports.kernel.apply([DeleteRoutes(tuple(self._ports.kernel.dump().routes))])
            return super()._point(points, decided_ns)

    failure = simulate(CUT, Programs(liveness=Removes)).failure
    assert failure is not None
    assert failure.invariant == "I2"


def test_an_agent_that_does_not_follow_a_withdrawal_is_caught() -> None:
    far_cut = Schedule(1, 50, 3, (Fault("cut", "gb1-pa", 1_000, 5_000),))
    deaf = sieved(AgentShell, lambda op: isinstance(op, PutRoutes | PutGroup))
    assert broken_invariant(far_cut, Programs(agent=deaf)) == "I1"


def test_an_agent_that_takes_the_death_of_its_speakers_for_a_fact_is_caught() -> None:
    class Hasty(AgentShell):
        def _handle(self, event: e.Event) -> None:
            if isinstance(event, e.SpeakerLost):
                peer = self.agent.peers[event.peer]
                self.agent.chooser.later(iter(list(peer.table)))
                peer.table.clear()
            super()._handle(event)

    both = Schedule(1, 50, 3, tuple(Fault("kill", f"ga1/speaker-{peer}", 2_000, 0) for peer in ("pa", "pb")))
    assert broken_invariant(both, Programs(agent=Hasty)) == "I2"


class _Flushes(AgentShell):
    """Begins with a clean table, as it must not."""

    async def run(self) -> None:
        if self.ports.clock.monotonic_ns() > BOOTED_NS:
            self._begin_clean()
        await super().run()

    def _begin_clean(self) -> None:
        self.ports.kernel.apply([DeleteRoutes(tuple(self.ports.kernel.dump().routes))])


class _Repaints(_Flushes):
    """Puts every route into a new group of its own, of the same members: no path is lost, but forwarding is touched."""

    def _begin_clean(self) -> None:
        state = self.ports.kernel.dump()
        (group,) = state.groups.values()
        self.ports.kernel.apply([PutGroup(0x6E1FFFFF, group), PutRoutes(tuple(state.routes), 0x6E1FFFFF)])


@pytest.mark.parametrize(("agent", "invariant"), [(_Flushes, "I2"), (_Repaints, "I3")])
def test_an_agent_whose_restart_changes_the_kernel_is_caught(agent: type[AgentShell], invariant: str) -> None:
    restart = Schedule(1, 50, 3, (Fault("kill", "ga1/agent", 1_000, 1_000),))
    assert broken_invariant(restart, Programs(agent=agent)) == invariant


def test_a_program_that_breaks_is_a_failure_that_names_it() -> None:
    class Breaks(AgentShell):
        async def run(self) -> None:
            raise ZeroDivisionError("on purpose")

    outcome = simulate(Schedule(1, 50, 3, ()), Programs(agent=Breaks))
    assert outcome.failure is not None
    assert outcome.failure.invariant == "crash"
    assert "on purpose" in outcome.failure.detail


def test_a_world_that_never_comes_up_is_a_failure() -> None:
    class Sleeps(AgentShell):
        async def run(self) -> None:
            await self._stopping.wait()

    outcome = simulate(Schedule(1, 50, 3, ()), Programs(agent=Sleeps))
    assert outcome.failure is not None
    assert outcome.failure.invariant == "boot"


@pytest.mark.parametrize("provider", ["pa", "pb"])
def test_the_played_provider_cut_stays_within_detection_and_a_reaction(provider: str) -> None:
    played = play_provider_cut(provider, interval_ms=50, multiplier=3)
    assert played.simulated
    concerned = [flow for flow in played.flows if flow.provider_before == provider]
    others = [flow for flow in played.flows if flow.provider_before != provider]
    assert concerned
    assert others
    assert all(50 < flow.outage_ms <= 160 for flow in concerned)
    assert all(flow.outage_ms == 0 for flow in others)


def test_the_simulator_needs_no_root_and_no_network(tmp_path: Path) -> None:
    script = "from netctl.sim import play_provider_cut; print(play_provider_cut().worst_ms)"
    unshared = ["unshare", "--user", "--net", "--map-current-user", sys.executable, "-c", script]
    done = subprocess.run(unshared, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a_to_b" in done.stdout
