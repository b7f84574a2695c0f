"""What goes when a source no longer lists it, and what is held."""

from __future__ import annotations

import pytest

from netctl.guard.hold import Hold, hold_id
from netctl.guard.shrink import ShrinkGuard, Verdict
from netctl.model.clock import SECOND
from netctl.model.errors import UsageError
from netctl.model.naming import Instance
from tests.guard.one_service import MINUTE, Served, some


def held(verdict: Verdict) -> tuple[str, ...]:
    assert verdict.hold is not None
    return verdict.hold.instances


def test_one_that_is_no_longer_listed_goes_at_once() -> None:
    for number in (2, 3, 4, 10):
        verdict = Served(range(number)).list(range(1, number))
        assert verdict.gone == {"vm0"}
        assert verdict.hold is None
        assert set(verdict.effective) == set(some(range(1, number)))


def test_an_empty_source_removes_nothing_and_says_why() -> None:
    verdict = Served(range(4)).list(())
    assert verdict.gone == set()
    assert verdict.effective == some(range(4))
    assert verdict.hold == Hold(
        hold_id("orders", ["vm0", "vm1", "vm2", "vm3"]),
        "orders",
        "last",
        ("vm0", "vm1", "vm2", "vm3"),
        "4 of 4 instances no longer listed, which would leave none: "
        "the last ones go only when checks have called them failing for a minute, or when approved",
        1000.0,
    )


def test_a_source_that_shrinks_too_much_at_once_removes_nothing_and_says_why() -> None:
    service = Served(range(10))
    verdict = service.list(range(4, 10), after_ns=5 * SECOND)
    assert verdict.gone == set()
    assert held(verdict) == ("vm0", "vm1", "vm2", "vm3")
    assert verdict.hold is not None
    assert (verdict.hold.kind, verdict.hold.since_wall) == ("shrink", 1005.0)
    assert verdict.hold.reason == (
        "4 of 10 instances no longer listed, which would leave 6 of 10 within 10 min: "
        "at most 3 may go (30%) until checks call them failing for a minute"
    )


def test_exactly_the_allowed_share_goes() -> None:
    assert Served(range(10)).list(range(3, 10)).gone == {"vm0", "vm1", "vm2"}
    assert Served(range(30), max_shrink=0.1).list(range(3, 30)).hold is None
    assert Served(range(29), max_shrink=0.1).list(range(3, 29)).hold is not None


def test_what_goes_one_by_one_is_counted_against_the_maximum_of_ten_minutes() -> None:
    service = Served(range(10))
    for number in range(1, 4):
        assert service.list(range(number, 10), after_ns=MINUTE).hold is None
    assert held(service.list(range(4, 10), after_ns=MINUTE)) == ("vm3",)
    verdict = service.list(range(5, 10), after_ns=MINUTE)
    assert held(verdict) == ("vm3", "vm4")
    assert verdict.hold is not None
    assert verdict.hold.reason.startswith("2 of 7 instances no longer listed, which would leave 5 of 10 within 10 min")
    assert len(service.served) == 7


def test_the_maximum_is_forgotten_after_ten_minutes() -> None:
    for wait_ns, goes in ((10 * MINUTE - 1, False), (10 * MINUTE, True)):
        service = Served(range(10))
        service.list(range(3, 10))
        assert (service.list(range(4, 10), after_ns=wait_ns).gone == {"vm3"}) is goes


def test_the_last_instance_stays_however_slowly_the_others_went() -> None:
    service = Served(range(4))
    for number in range(1, 4):
        assert service.list(range(number, 4), after_ns=11 * MINUTE).hold is None
    verdict = service.list((), after_ns=11 * MINUTE)
    assert verdict.hold is not None
    assert verdict.hold.kind == "last"
    assert list(service.list((), after_ns=1000 * MINUTE).effective) == ["vm3"]


def test_what_checks_call_failing_goes_even_the_last() -> None:
    service = Served(range(4))
    service.list(())
    verdict = service.list((), ["vm1"])
    assert verdict.gone == {"vm1"}
    assert held(verdict) == ("vm0", "vm2", "vm3")
    verdict = service.list((), ["vm0", "vm2", "vm3"])
    assert verdict.gone == {"vm0", "vm2", "vm3"}
    assert (verdict.effective, verdict.hold) == ({}, None)


def test_the_last_that_can_serve_stays_when_those_that_remain_cannot() -> None:
    service = Served(range(4))
    verdict = service.list((1, 2, 3), ["vm1", "vm2", "vm3"])
    assert held(verdict) == ("vm0",)
    assert verdict.hold is not None
    assert "which would leave 3 that cannot serve" in verdict.hold.reason
    service = Served(range(2))
    assert held(service.list(some((1,), unhealthy=(1,)))) == ("vm0",)


def test_one_that_cannot_serve_itself_may_go_although_no_other_can() -> None:
    service = Served(range(2))
    service.list(some((0, 1), unhealthy=(0, 1)))
    assert service.list(some((1,), unhealthy=(1,))).gone == {"vm0"}


def test_a_hold_ends_when_its_instances_are_listed_again_and_keeps_its_name_meanwhile() -> None:
    service = Served(range(10))
    first = service.list(range(5, 10)).hold
    verdict = service.list(range(3, 10))
    assert held(verdict) == ("vm0", "vm1", "vm2")
    assert first is not None
    assert verdict.hold is not None
    assert verdict.hold.id == first.id
    assert service.list(range(10)).hold is None
    assert service.served == some(range(10))


def test_a_hold_does_not_end_by_time_nor_because_new_instances_came() -> None:
    service = Served(range(10))
    service.list(range(5, 10))
    assert held(service.list(range(5, 10), after_ns=10_000 * MINUTE)) == ("vm0", "vm1", "vm2", "vm3", "vm4")
    assert held(service.list(range(5, 100))) == ("vm0", "vm1", "vm2", "vm3", "vm4")


def test_a_hold_that_grows_has_another_name_so_that_nobody_approves_what_he_has_not_seen() -> None:
    service = Served(range(10))
    seen = service.list(range(5, 10)).hold
    grown = service.list(()).hold
    assert seen is not None
    assert grown is not None
    assert grown.id != seen.id
    assert grown.since_wall == seen.since_wall
    with pytest.raises(UsageError, match="there is no hold"):
        service.guard.approve(seen.id)


def test_approved_instances_go_once() -> None:
    service = Served(range(10))
    hold = service.list(range(5, 10)).hold
    assert hold is not None
    assert service.guard.approve(hold.id) == hold
    assert service.guard.approved() == {"orders": hold.instances}
    verdict = service.list(range(5, 10))
    assert verdict.gone == set(hold.instances)
    assert service.guard.approved() == {}
    service.list(range(10))
    assert service.list(range(5, 10)).hold is not None


def test_an_approval_lets_even_the_last_go_and_ends_when_they_are_listed_again() -> None:
    service = Served(range(2))
    hold = service.list(()).hold
    assert hold is not None
    service.guard.approve(hold.id)
    service.list(range(2))
    assert service.guard.approved() == {}
    hold = service.list(()).hold
    assert hold is not None
    service.guard.approve(hold.id)
    assert service.list(()).effective == {}


def test_what_an_operator_approved_is_not_held_against_what_goes_next() -> None:
    service = Served(range(20))
    hold = service.list(range(10, 20)).hold
    assert hold is not None
    service.guard.approve(hold.id)
    service.list(range(10, 20))
    assert service.list(range(11, 20)).gone == {"vm10"}


def test_a_renamed_instance_is_no_loss() -> None:
    service = Served(range(10))
    renamed = {f"new{n}": Instance("orders", f"new{n}", f"10.1.0.{n}", (("http", 80),), "a") for n in range(5)}
    verdict = service.list(renamed)
    assert verdict.gone == {"vm0", "vm1", "vm2", "vm3", "vm4"}
    assert held(verdict) == ("vm5", "vm6", "vm7", "vm8", "vm9")


def test_one_that_shares_an_address_and_a_port_with_a_new_name_is_not_held_beside_it() -> None:
    service = Served(range(3))
    both = (("http", 80), ("metrics", 9100))
    taken_over = {f"new{n}": Instance("orders", f"new{n}", f"10.1.0.{n}", both, "a") for n in range(3)}
    verdict = service.list(taken_over)
    assert verdict.hold is None
    assert verdict.effective == taken_over


def test_a_stored_hold_of_the_same_instances_counts_with_its_date_also_when_it_is_read_late() -> None:
    service = Served(range(4))
    service.list(())
    (found,) = service.guard.holds()
    stored = Hold(found.id, "orders", "last", found.instances, "as it was", 1.0)
    service.guard.restore([stored], {})
    service.list(())
    assert service.guard.holds() == (stored,)


def test_a_moved_instance_is_not_missing() -> None:
    service = Served(range(2))
    moved = {
        name: Instance("orders", name, f"10.9.0.{n}", (("http", 80),), "b") for n, name in enumerate(service.served)
    }
    assert service.list(moved).effective == moved


def test_nothing_goes_before_everything_was_listed_not_even_what_is_called_failing() -> None:
    service = Served(range(4))
    verdict = service.list((3,), ["vm0"], removable=False)
    assert verdict.gone == set()
    assert verdict.hold is None
    assert verdict.effective == some(range(4))
    assert service.list((1, 2, 3)).gone == {"vm0"}


def test_a_restart_lifts_no_hold() -> None:
    service = Served(range(10))
    service.list(range(4, 10))
    before = service.list(range(3, 10)).hold
    assert before is not None
    served = service.served
    service.guard = ShrinkGuard(0.3)
    service.guard.restore([before], {})
    service.list((), removable=False)
    assert service.served == served
    assert service.list(range(3, 10)).hold == before


def test_a_hold_outlives_a_start_at_which_nothing_is_known_yet() -> None:
    hold = Served(range(4)).list(()).hold
    assert hold is not None
    guard = ShrinkGuard(0.3)
    guard.restore([hold], {})
    assert guard.judge("orders", {}, {}, (), removable=False, now_ns=0).effective == {}
    assert guard.judge("orders", {}, some(range(4)), (), removable=True, now_ns=0).hold == hold


def test_an_approval_survives_a_restart() -> None:
    service = Served(range(4))
    hold = service.list(()).hold
    assert hold is not None
    service.guard.approve(hold.id)
    approved = service.guard.approved()
    service.guard = ShrinkGuard(0.3)
    service.guard.restore([], approved)
    assert service.list(()).effective == {}


def test_holds_that_two_clusters_remember_are_one() -> None:
    one = Hold("orders-1", "orders", "shrink", ("vm1", "vm2"), "x", 5.0)
    two = Hold("orders-2", "orders", "shrink", ("vm2", "vm3"), "y", 3.0)
    guard = ShrinkGuard(0.3)
    guard.restore([one], {})
    guard.restore([one, two], {})
    (hold,) = guard.holds()
    assert (hold.instances, hold.since_wall) == (("vm1", "vm2", "vm3"), 3.0)


def test_hold_names_are_the_same_everywhere_and_short() -> None:
    assert hold_id("orders", ["vm2", "vm1"]) == hold_id("orders", ["vm1", "vm2"])
    assert hold_id("orders", ["vm1"]).startswith("orders-")
    assert len(hold_id("orders", ["vm1"])) == len("orders-1a2b")
    assert hold_id("orders", ["vm1"], "a").startswith("orders@a-")
