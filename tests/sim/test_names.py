"""The naming world: every invariant holds, and every invariant catches a controller that is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from netctl.controller.cluster import Cluster
from netctl.controller.shell import ControllerShell
from netctl.guard.budget import Budget
from netctl.guard.shrink import ShrinkGuard, Verdict
from netctl.kube.lease import LeaseMachine
from netctl.model.kube import Plan
from netctl.sim.names.play import play_vm_death
from netctl.sim.names.schedule import HANDS, NamesFault, NamesSchedule, generate_names
from netctl.sim.names.world import NamesPrograms
from netctl.sim.outcome import Outcome
from netctl.sim.run import shrunk, simulate

SEEDS = range(1, 37)
CALM = (100, 300)


def explained(outcome: Outcome) -> str:
    failure = outcome.failure
    assert failure is not None
    return "\n".join((failure.invariant, failure.detail, *failure.tail, *map(str, outcome.schedule.faults)))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_naming_invariant_holds_under_a_seeds_faults(seed: int) -> None:
    outcome = simulate(generate_names(seed))
    assert outcome.failure is None, explained(outcome)


FOUND = {
    # Two removals of one service that the budget refused took turns in being held, for ever and in no time.
    "two holds of one budget": (90, (1, 2), (NamesFault("registry_shrink", "vms", 1_000, 2_000, 60),)),
    # What cluster a alone told made two of three missing (held); then b's one was little, and the last one went.
    "a fresh controller that has not read all clusters": (
        30,
        CALM,
        (
            NamesFault("term", "c1", 1_000, 6_000),
            NamesFault("term", "c2", 2_000, 600),
            NamesFault("registry_shrink", "legacy", 2_100, 4_000, 60),
        ),
    ),
    # The guard had let go what a stored hold names before the ConfigMap was read.
    "a hold that is read late": (
        50,
        CALM,
        (NamesFault("registry_shrink", "vms", 1_000, 6_000, 30), NamesFault("kill", "c1", 2_000, 1_000)),
    ),
    # After a restart nothing is known of an instance whose entry cannot be read.
    "an unreadable entry and a fresh controller": (
        30,
        CALM,
        (
            NamesFault("bad_entry", "orders/b2", 1_000, 9_000),
            NamesFault("kill", "c1", 1_500, 1_000),
            NamesFault("kill", "c2", 1_500, 1_000),
        ),
    ),
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_naming_seed_once_found_stays_mended(name: str, seed: int) -> None:
    max_shrink, budget, faults = FOUND[name]
    outcome = simulate(NamesSchedule(seed, max_shrink, budget, faults))
    assert outcome.failure is None, explained(outcome)


def test_two_interpreters_with_different_hash_seeds_see_the_same_names_trace() -> None:
    script = (
        "from netctl.sim import simulate\n"
        "from netctl.sim.names.schedule import generate_names\n"
        "print([simulate(generate_names(seed)).digest for seed in range(1, 10)])"
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
        for hash_seed in ("0", "4711")
    }
    assert len(digests) == 1
    assert "[" in digests.pop()


# --- every invariant catches somebody --------------------------------------------------------------------------------


class _NoGuard(ShrinkGuard):
    """Whatever is not listed goes."""

    def judge(self, service: str, listed: Any, served: Any, dead: Any, **_: Any) -> Verdict:
        return Verdict(dict(listed), frozenset(served.keys() - listed.keys()), None)


def unguarded(settings: Any, **ports: Any) -> ControllerShell:
    shell = ControllerShell(settings, **ports)
    shell.controller.services._guard = _NoGuard(1.0)
    return shell


class _Bold(LeaseMachine):
    """Never gives its Lease up by itself."""

    def may_write(self, now_ns: int) -> bool:
        return self.tenure.value in ("ours", "doubted") or self._granted_ns > 0


def leaseless(settings: Any, **ports: Any) -> ControllerShell:
    shell = ControllerShell(settings, **ports)
    for cluster in shell.controller.clusters.values():
        cluster.lease.__class__ = _Bold
        cluster.lease_turned = lambda wall, c=cluster: _leads_for_ever(c, wall)  # type: ignore[method-assign, misc]
    return shell


def _leads_for_ever(cluster: Cluster, wall: float) -> list[Any]:
    if cluster.lease.leading or not cluster.leading:
        return Cluster.lease_turned(cluster, wall)
    return []


class _NoBudget(Budget):
    """Has room for everything."""

    def take(self, number: int, minute: int) -> bool:
        return True


def spendthrift(settings: Any, **ports: Any) -> ControllerShell:
    shell = ControllerShell(settings, **ports)
    for cluster in shell.controller.clusters.values():
        cluster.removals.budget.__class__ = _NoBudget
    return shell


def lazy(settings: Any, **ports: Any) -> ControllerShell:
    """It repairs nothing that somebody else changed."""
    shell = ControllerShell(settings, **ports)
    for cluster in shell.controller.clusters.values():
        cluster._changed_by_others = lambda *_: None  # type: ignore[method-assign]
    return shell


def grabby(settings: Any, **ports: Any) -> ControllerShell:
    """It takes every Service of the right name for its own."""
    shell = ControllerShell(settings, **ports)
    plan: Callable[..., Plan] = shell.controller.plan

    def grab(service: str, cluster: Cluster, wanted: Any) -> Plan:
        found = cluster.observed.services.get(service)
        if found is not None:
            found["metadata"].setdefault("labels", {})["app.kubernetes.io/managed-by"] = "netctl"
        return plan(service, cluster, wanted)

    shell.controller.plan = grab  # type: ignore[method-assign]
    return shell


def deaf(settings: Any, **ports: Any) -> ControllerShell:
    """It does not care what checkers say."""
    shell = ControllerShell(settings, **ports)
    shell.controller.health.said = lambda *_: set()  # type: ignore[method-assign]
    return shell


BROKEN = {
    "without a shrink guard": (unguarded, "I4", 30, CALM, (NamesFault("registry_wipe", "vms", 1_000, 3_000),)),
    "without a shrink guard, two thirds gone": (
        unguarded,
        "I4",
        30,
        CALM,
        (NamesFault("registry_shrink", "vms", 1_000, 3_000, 60),),
    ),
    "that ignores its Lease": (
        leaseless,
        "I5",
        30,
        CALM,
        (
            NamesFault("stop", "c1", 1_000, 6_000),
            NamesFault("deregister", "orders/a1", 4_500, 1_000),
            NamesFault("stop", "c2", 20_000, 6_000),
            NamesFault("deregister", "orders/a1", 23_500, 1_000),
        ),
    ),
    "without a removal budget": (
        spendthrift,
        "I6",
        90,
        (1, 2),
        (NamesFault("registry_shrink", "vms", 1_000, 2_000, 60),),
    ),
    "that repairs nothing": (
        lazy,
        "I5",
        30,
        CALM,
        (NamesFault("hand", "a/orders", 9_000, 5_000, HANDS.index("unready")),),
    ),
    "that takes what is not its own": (grabby, "I5", 30, CALM, (NamesFault("foreign", "a/orders", 1_000, 3_000),)),
    "that does not listen to checkers": (deaf, "I8", 30, CALM, (NamesFault("death", "orders/a1", 9_000, 9_000),)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_controller_is_caught(name: str) -> None:
    make, invariant, max_shrink, budget, faults = BROKEN[name]
    schedules = [NamesSchedule(seed, max_shrink, budget, faults) for seed in range(1, 5)]
    assert [simulate(schedule).failure for schedule in schedules] == [None] * len(schedules)
    failures = [simulate(schedule, NamesPrograms(make)).failure for schedule in schedules]
    assert {failure.invariant for failure in failures if failure is not None} == {invariant}


def test_a_failing_names_schedule_shrinks_to_the_fault_that_matters() -> None:
    noise = (
        NamesFault("kill", "checker-a", 500, 1_000),
        NamesFault("move", "cart/a1", 700, 1_500),
        NamesFault("kube_compact", "a", 1_200, 300),
    )
    programs = NamesPrograms(unguarded)
    outcome = simulate(NamesSchedule(1, 30, CALM, (*noise, NamesFault("registry_wipe", "vms", 3_000, 3_000))), programs)
    assert outcome.failure is not None
    small = shrunk(outcome, programs, progress=lambda text: None)
    assert [fault.kind for fault in small.schedule.faults] == ["registry_wipe"]
    assert small.failure is not None
    assert small.failure.invariant == outcome.failure.invariant


def test_a_controller_that_breaks_is_a_failure_that_names_it() -> None:
    class Breaks(ControllerShell):
        async def run(self) -> None:
            raise ZeroDivisionError("on purpose")

    outcome = simulate(NamesSchedule(1, 30, CALM, ()), NamesPrograms(Breaks))
    assert outcome.failure is not None
    assert outcome.failure.invariant == "crash"
    assert "on purpose" in outcome.failure.detail


def test_the_played_death_leaves_both_clouds_answers_within_a_second() -> None:
    played = play_vm_death("ledger/b1")
    assert played.simulated
    assert {answer.cloud for answer in played.answers} == {"a", "b"}
    assert all(0 < answer.stale_ms < 1_000 for answer in played.answers)
