"""What a checker keeps of controllers that come and go."""

from __future__ import annotations

import pytest

from netctl.checker.decide import KEPT_NS, Core
from netctl.health.schedule import TICK_NS
from netctl.ipc.messages import CheckTarget, CheckTargets, Verdict
from netctl.model.clock import SECOND
from netctl.model.errors import PeerError

START = 1000 * SECOND
VM1 = CheckTarget("orders", "vm1", tcp="10.1.0.1:80", rise=1)
VM2 = CheckTarget("orders", "vm2", tcp="10.1.0.2:80", rise=1)


@pytest.fixture
def core() -> Core:
    core = Core("a", ["one", "two"], START)
    core.connected("one", "c1", 0.0)
    core.told("one", CheckTargets("a", (VM1, VM2), full=True), START)
    return core


def run_all(core: Core, now: int) -> list[str]:
    told: list[str] = []
    for run in core.begin(now):
        told += core.ended(run, passed=True, detail="connected", now=now)
    return told


def test_a_verdict_waits_for_each_controller_that_wants_it_and_the_latest_wins(core: Core) -> None:
    assert run_all(core, START + SECOND) == ["one", "one"]
    for run in core.begin(START + 2 * SECOND):
        core.ended(run, passed=False, detail="refused", now=START + 2 * SECOND)
    for run in core.begin(START + 3 * SECOND):
        core.ended(run, passed=False, detail="refused", now=START + 3 * SECOND)
    assert core.unsaid("one", 10) == (
        Verdict("orders", "vm1", False, "10.1.0.1:80", "refused"),
        Verdict("orders", "vm2", False, "10.1.0.2:80", "refused"),
    )
    assert core.unsaid("one", 10) == ()


def test_verdicts_are_taken_in_portions(core: Core) -> None:
    run_all(core, START + SECOND)
    assert len(core.unsaid("one", 1)) == 1
    assert len(core.unsaid("one", 5)) == 1


def test_a_controller_that_comes_later_is_told_what_is_known(core: Core) -> None:
    run_all(core, START + SECOND)
    core.connected("two", "c2", 0.0)
    core.told("two", CheckTargets("a", (VM2,), full=True), START + SECOND)
    assert [verdict.instance for verdict in core.unsaid("two", 10)] == ["vm2"]


def test_targets_of_a_controller_that_went_away_are_checked_for_ten_minutes(core: Core) -> None:
    core.disconnected("one", "gone", START + SECOND, 0.0)
    core.tick(START + KEPT_NS)
    assert len(core.schedule) == 2
    core.tick(START + KEPT_NS + SECOND + TICK_NS)
    assert len(core.schedule) == 0


def test_a_controller_that_failed_to_come_back_again_and_again_does_not_prolong_it(core: Core) -> None:
    core.disconnected("one", "gone", START + SECOND, 0.0)
    core.disconnected("one", "refused", START + KEPT_NS, 0.0)
    core.tick(START + KEPT_NS + SECOND + TICK_NS)
    assert len(core.schedule) == 0


def test_a_full_set_after_a_reconnection_says_otherwise(core: Core) -> None:
    run_all(core, START + SECOND)
    core.disconnected("one", "gone", START + SECOND, 0.0)
    core.connected("one", "c1", 0.0)
    core.told("one", CheckTargets("a", (VM2,), full=True), START + 2 * SECOND)
    assert len(core.schedule) == 1
    assert [verdict.instance for verdict in core.unsaid("one", 10)] == ["vm2"]


def test_what_one_controller_drops_is_checked_for_the_other(core: Core) -> None:
    core.connected("two", "c2", 0.0)
    core.told("two", CheckTargets("a", (VM1,), full=True), START)
    core.told("one", CheckTargets("a", (), (("orders", "vm1"), ("orders", "vm2"))), START)
    assert len(core.schedule) == 1
    assert run_all(core, START + SECOND) == ["two"]


def test_two_controllers_may_know_an_instance_at_two_addresses(core: Core) -> None:
    moved = CheckTarget("orders", "vm1", tcp="10.1.9.9:80", rise=1)
    core.connected("two", "c2", 0.0)
    core.told("two", CheckTargets("a", (moved,), full=True), START)
    run_all(core, START + SECOND)
    assert {verdict.for_target for verdict in core.unsaid("one", 10)} == {"10.1.0.1:80", "10.1.0.2:80"}
    assert {verdict.for_target for verdict in core.unsaid("two", 10)} == {"10.1.9.9:80"}


def test_nothing_of_a_message_for_another_cloud_or_with_a_bad_target_is_taken(core: Core) -> None:
    with pytest.raises(PeerError, match="cloud 'b'"):
        core.told("one", CheckTargets("b", (), full=True), START)
    with pytest.raises(PeerError, match="bad_target"):
        core.told("one", CheckTargets("a", (CheckTarget("s", "i"),), full=True), START)
    assert len(core.schedule) == 2
