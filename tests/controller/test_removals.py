"""The removal budget of a cluster and its ConfigMap; fights; pauses."""

from __future__ import annotations

from netctl.controller.fights import PACE_NS, REPAIRS, WINDOW_NS, Fights
from netctl.controller.pauses import Pause, Retries
from netctl.controller.removals import Removals
from netctl.guard.shrink import ShrinkGuard
from netctl.guard.state import decode
from netctl.model.clock import MS, SECOND
from netctl.model.kube import BusyError, ConflictError, InvalidError, Obj, UnreachableError
from netctl.model.naming import Instance

WALL = 1_800_000_000.0
VM = {"vm1": Instance("orders", "vm1", "10.1.1.10", (("http", 80),), "a")}


def removals(*limits: tuple[int, int]) -> Removals:
    made = Removals("a", limits, ShrinkGuard(0.3), lambda now_ns: WALL + now_ns / SECOND)
    made.read(None, 0)
    return made


def test_the_first_removal_waits_for_the_debit_and_those_after_it_cost_no_write() -> None:
    budget = removals((60, 100))
    assert budget.save("vm", 3, 0) is None
    assert budget.spend("orders", 1, VM, 0) == "wait"
    write = budget.save("vm", 3, 0)
    assert write is not None
    assert write.verb == "create"
    assert write.object["metadata"]["annotations"] == {"netctl.io/epoch": "3"}
    assert sum(decode(write.object["data"]["state"]).debits.values()) == 10
    assert budget.save("vm", 3, 0) is None  # one at a time
    budget.saved(stored(write.object, 1), 0)
    assert budget.wake() == ["orders"]
    assert [budget.spend("orders", 1, VM, 0) for _ in range(11)] == ["granted"] * 10 + ["wait"]


def stored(obj: Obj, version: int) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def test_a_debit_whose_fate_is_unknown_is_not_spent_and_is_read_again() -> None:
    budget = removals((60, 100))
    budget.spend("orders", 1, VM, 0)
    write = budget.save("vm", 1, 0)
    assert write is not None
    assert budget.failed(0, "no answer")
    assert not budget.failed(0, "no answer")
    assert budget.spend("orders", 1, VM, 0) == "wait"
    assert budget.save("vm", 1, 0) is None
    assert not budget.read_due(0)
    assert budget.read_due(SECOND)
    budget.read(stored(write.object, 1), SECOND)
    assert budget.spend("orders", 1, VM, SECOND) == "wait"
    again = budget.save("vm", 1, SECOND)
    assert again is not None
    assert again.object["metadata"]["resourceVersion"] == "1"
    assert sum(decode(again.object["data"]["state"]).debits.values()) == 20  # never refunded


def test_over_the_limit_it_is_held_and_tried_again_when_there_is_room() -> None:
    budget = removals((60, 3))
    assert budget.spend("orders", 5, VM, 0) == "refused"
    assert budget.spend("orders", 3, VM, 0) == "wait"
    write = budget.save("vm", 1, 0)
    assert write is not None
    budget.saved(stored(write.object, 1), 0)
    assert budget.spend("orders", 3, VM, 0) == "granted"
    assert budget.spend("orders", 1, VM, 0) == "refused"
    hold = budget.hold("orders", VM, 0)
    assert (hold.kind, hold.cluster, hold.instances) == ("budget", "a", ("vm1",))
    assert budget.kept("orders", {}) == VM
    assert budget.retry(10 * SECOND) == []
    assert budget.retry(180 * SECOND) == ["orders"]
    assert budget.holds() == []


def test_what_is_held_by_the_budget_and_wanted_again_is_held_no_more() -> None:
    budget = removals((60, 0))
    budget.hold("orders", VM, 0)
    assert budget.kept("orders", VM) == {}
    assert budget.holds() == []


def test_an_approved_removal_goes_over_the_limit() -> None:
    budget = removals((60, 0))
    assert budget.spend("orders", 1, VM, 0) == "refused"
    hold = budget.hold("orders", VM, 0)
    assert budget.approve(hold.id) == hold
    assert budget.approve(hold.id) is None
    assert budget.spend("orders", 1, VM, 0) == "wait"
    write = budget.save("vm", 1, 0)
    assert write is not None
    budget.saved(stored(write.object, 1), 0)
    assert budget.spend("orders", 1, VM, 0) == "granted"


def test_an_approval_is_for_those_instances_and_for_once() -> None:
    budget = removals((60, 0))
    assert budget.approve(budget.hold("orders", VM, 0).id) is not None
    assert budget.spend("orders", 2, {"vm1", "vm2"}, 0) == "refused"  # vm2 was in no hold that anybody saw
    assert budget.spend("orders", 1, VM, 0) == "wait"
    budget.wake()
    budget.done("orders")
    assert budget.spend("orders", 1, VM, 0) == "refused"


def test_a_debit_that_the_lease_did_not_let_out_is_due_again_and_who_waits_gets_it() -> None:
    budget = removals((60, 100))
    assert budget.spend("orders", 1, VM, 0) == "wait"
    assert budget.save("vm", 1, 0) is not None
    budget.unsent()
    again = budget.save("vm", 1, SECOND)
    assert again is not None
    assert sum(decode(again.object["data"]["state"]).debits.values()) == 10
    budget.saved(stored(again.object, 1), SECOND)
    assert budget.wake() == ["orders"]
    assert budget.spend("orders", 1, VM, SECOND) == "granted"


def test_repairs_are_made_at_once_until_they_are_too_many_then_at_a_slow_pace() -> None:
    fights = Fights()
    for number in range(REPAIRS):
        fights.changed("orders", "kubectl-edit")
        assert fights.may_repair("orders", number * MS) == 0
    assert "somebody else (kubectl-edit) keeps changing it" in fights.reason("orders", SECOND)
    due_ns = fights.may_repair("orders", SECOND)
    assert due_ns == (REPAIRS - 1) * MS + PACE_NS
    assert fights.may_repair("orders", due_ns) == 0
    assert fights.reason("orders", due_ns + WINDOW_NS) == ""
    assert fights.services() == []


def test_a_pause_grows_with_each_failure_up_to_a_second_and_one_success_ends_it() -> None:
    pause, now_ns, waits = Pause(), 0, []
    for _ in range(8):
        pause.failed(UnreachableError("away"), now_ns)
        waits.append(pause.until_ns - now_ns)
        now_ns = pause.until_ns
    assert waits[:3] == [50 * MS, 100 * MS, 200 * MS]
    assert waits[-1] == SECOND
    pause.succeeded()
    assert (pause.until_ns, pause.reason) == (0, "")


def test_failures_of_requests_that_were_under_way_together_count_once() -> None:
    pause = Pause()
    for _ in range(16):
        pause.failed(BusyError("busy", 500), 0)
    assert pause.until_ns == 50 * MS


def test_a_conflict_is_tried_again_at_once_but_not_for_ever_and_a_refusal_late() -> None:
    retries = Retries()
    assert [retries.failed("orders", ConflictError("changed")) for _ in range(4)] == [0, 0, 50 * MS, 100 * MS]
    retries.succeeded("orders")
    assert retries.failed("orders", ConflictError("changed")) == 0
    assert retries.failed("orders", InvalidError("no")) == 30 * SECOND


def test_a_budget_hold_does_not_promise_to_end_by_itself_when_the_limit_never_lets_so_many_go() -> None:
    many = {
        f"vm{number}": Instance("orders", f"vm{number}", f"10.1.1.{number}", (("http", 80),), "a") for number in (1, 2)
    }
    assert "when there is room again" in removals((60, 2)).hold("orders", many, 0).reason
    assert "when there is room again" not in removals((60, 1)).hold("orders", many, 0).reason
