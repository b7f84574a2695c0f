"""The FIB's planning against the fake kernel: what is written and when, refusals, repairs."""

from __future__ import annotations

import errno

import pytest

from netctl.fib.plan import Fib
from netctl.model.gateway import GROUP_ID_BASE
from netctl.model.prefix import parse_address
from netctl.model.routing import (
    DeleteNexthop,
    DeleteRoutes,
    KernelEvent,
    KernelOp,
    PutGroup,
    PutMember,
    PutRoutes,
    Via,
)
from tests.fib.nodes import IDS, PREFIXES, Node, over, put


def test_prefixes_with_the_same_members_share_one_group() -> None:
    node = Node()
    node.want(p0="ab", p1="ab", p2="c")
    node.settle()
    assert [node.via(number) for number in range(3)] == ["ab", "ab", "c"]
    assert len(node.kernel.nexthops().groups) == 2


def test_a_big_table_comes_in_bounded_steps_and_bounded_operations() -> None:
    fib = Fib()
    node = Node(fib=fib)
    table = [b"\x20" + number.to_bytes(4, "big") for number in range(20_000)]
    for prefix in table:
        fib.set_route(prefix, over("ab"))
    first = fib.pending_ops(10_000)
    assert [len(op.prefixes) for op in first if isinstance(op, PutRoutes)] == [4096, 4096, 1808]
    node.kernel.apply(first)
    node.settle()
    assert len(node.kernel.dump().routes) == 20_000


def test_nothing_is_written_when_nothing_changed() -> None:
    node = Node()
    node.want(p0="ab", p1="c")
    node.settle()
    node.ops.clear()
    node.want(p0="ab", p1="c")
    node.want(p1="a")
    node.want(p1="c")
    node.settle()
    assert node.ops == []


def test_a_group_that_no_route_needs_is_deleted_after_its_routes_have_moved() -> None:
    node = Node()
    node.fib.sweep()
    node.want(p0="ab", p1="ab")
    node.settle()
    node.want(p0="b", p1="b")
    node.ops.clear()
    node.settle()
    assert [type(op) for op in node.ops] == [PutGroup, PutRoutes, DeleteNexthop]
    assert list(node.kernel.nexthops().groups.values()) == [((IDS["b"], 1),)]


def test_routes_and_groups_survive_a_restart_and_are_swept_only_when_told() -> None:
    before = Node()
    before.want(p0="ab", p1="c")
    before.settle()
    after = Node(kernel=before.kernel, fib=Fib())
    after.want(p0="ab")
    after.settle()
    assert after.ops == []
    assert after.via(1) == "c"
    after.fib.sweep()
    after.settle()
    assert after.via(1) == ""
    assert [type(op) for op in after.ops] == [DeleteRoutes, DeleteNexthop]


def test_new_groups_never_take_an_id_that_the_kernel_still_uses() -> None:
    before = Node()
    before.want(p0="ab", p1="c")
    before.settle()
    after = Node(kernel=before.kernel, fib=Fib())
    after.want(p2="a")
    after.settle()
    assert [after.via(number) for number in range(3)] == ["ab", "c", "a"]
    assert all(identity > GROUP_ID_BASE for identity in after.kernel.nexthops().groups)


def test_a_route_waits_for_its_only_member_and_keeps_its_old_path_meanwhile() -> None:
    node = Node(members="a")
    node.want(p0="a", p1="c")
    node.settle()
    node.want(p0="c")
    node.settle()
    assert node.via(0) == "a"
    assert node.fib.counts().waiting == 2
    node.kernel.apply([put("c")])
    node.fib.retry()
    node.settle()
    assert (node.via(0), node.via(1)) == ("c", "c")
    assert node.fib.counts().waiting == 0


def test_a_missing_member_is_left_out_and_joins_later_without_touching_a_route() -> None:
    node = Node(members="a")
    node.want(p0="ab")
    node.settle()
    assert node.via(0) == "a"
    node.ops.clear()
    node.kernel.apply([put("b")])
    node.fib.retry()
    node.settle()
    assert node.via(0) == "ab"
    assert [type(op) for op in node.ops] == [PutGroup]


def test_carrier_loss_is_repaired_when_the_member_returns() -> None:
    node = Node()
    node.want(p0="ab", p1="a")
    node.settle()
    node.kernel.set_link("to-a", False)
    node.settle()
    assert (node.via(0), node.via(1)) == ("b", "")
    node.kernel.set_link("to-a", True)
    node.kernel.apply([put("a")])
    node.fib.retry()
    node.settle()
    assert (node.via(0), node.via(1)) == ("ab", "a")


def test_a_route_that_somebody_deletes_comes_back() -> None:
    node = Node()
    node.want(p0="ab")
    node.settle()
    node.kernel.forget(PREFIXES[0])
    assert node.via(0) == ""
    node.settle()
    assert node.via(0) == "ab"


def test_a_group_that_somebody_deletes_comes_back_with_its_routes() -> None:
    node = Node()
    node.want(p0="ab", p1="ab", p2="c")
    node.settle()
    identity = node.kernel.dump().routes[PREFIXES[0]]
    node.kernel.forget(identity)
    node.settle()
    assert [node.via(number) for number in range(3)] == ["ab", "ab", "c"]


def test_an_old_event_about_a_route_that_has_moved_changes_nothing() -> None:
    node = Node()
    node.want(p0="ab")
    node.settle()
    node.ops.clear()
    node.fib.event(KernelEvent("route_gone", prefix=PREFIXES[0], nexthop=GROUP_ID_BASE + 999))
    node.fib.event(KernelEvent("route_gone", prefix=PREFIXES[5]))
    node.settle()
    assert node.ops == []


def test_lost_events_lead_to_a_dump_that_repairs_everything() -> None:
    node = Node()
    node.want(p0="ab", p1="c")
    node.settle()
    node.mine.close()  # hears nothing
    node.kernel.forget(PREFIXES[0])
    node.fib.event(KernelEvent("overrun"))
    node.settle()
    assert (node.via(0), node.via(1)) == ("ab", "c")


def test_a_withdrawal_before_the_sweep_survives_a_dump() -> None:
    node = Node()
    node.want(p0="ab")
    node.settle()
    node.want(p0="")
    node.fib.event(KernelEvent("overrun"))
    node.settle()
    assert node.via(0) == ""


@pytest.mark.parametrize("kind", [PutGroup, PutRoutes, DeleteRoutes, DeleteNexthop])
def test_a_refusal_takes_no_path_away_does_not_spin_and_is_mended_by_a_retry(kind: type[KernelOp]) -> None:
    node = Node()
    node.fib.sweep()
    node.want(p0="ab", p1="ab", p2="c")
    node.settle()
    node.kernel.fail_next(kind, errno.ENOMEM)
    node.want(p0="b", p1="b", p2="", p3="a")
    node.settle()
    assert node.via(0) in ("ab", "b")
    assert node.via(1) in ("ab", "b")
    node.fib.retry()
    node.settle()
    assert [node.via(number) for number in range(4)] == ["b", "b", "", "a"]
    assert len(node.kernel.nexthops().groups) == 2
    counts = node.fib.counts()
    assert (counts.wanted, counts.programmed, counts.pending, counts.waiting, counts.refused) == (3, 3, 0, 0, 0)


@pytest.mark.parametrize("kind", [PutGroup, PutRoutes, DeleteRoutes, DeleteNexthop])
def test_a_refusal_that_lasts_is_left_alone_until_the_next_retry(kind: type[KernelOp]) -> None:
    node = Node()
    node.fib.sweep()
    node.want(p0="ab", p2="c")
    node.settle()
    node.kernel.fail_next(kind, errno.ENOSPC, times=1000)
    node.want(p0="b", p2="")
    node.settle()
    tried = len(node.ops)
    node.fib.event(KernelEvent("link"))
    node.settle()
    assert len(node.ops) == tried
    assert node.via(0) in ("ab", "b")


def test_routes_refused_because_their_group_went_unnoticed_come_with_its_return() -> None:
    node = Node()
    node.want(p0="ab")
    node.settle()
    node.mine.close()  # hears nothing
    node.kernel.forget(node.kernel.dump().routes[PREFIXES[0]])
    node.want(p1="ab")
    node.settle()
    assert (node.via(0), node.via(1)) == ("ab", "ab")


def test_what_was_wanted_before_the_first_dump_finds_its_group_in_the_kernel() -> None:
    before = Node()
    before.want(p0="c", p1="ab")
    before.settle()
    fib = Fib()
    fib.set_route(PREFIXES[1], over("ab"))
    fib.set_route(PREFIXES[0], over("c"))
    after = Node(kernel=before.kernel, fib=fib)
    assert after.ops == []


@pytest.mark.parametrize("wanted", ["ab", "bc"])
def test_a_group_wanted_before_the_first_dump_never_moves_the_routes_of_another(wanted: str) -> None:
    before = Node()
    before.want(p0="c")
    before.settle()
    fib = Fib()
    fib.set_route(PREFIXES[1], over(wanted))
    after = Node(kernel=before.kernel, fib=fib)
    assert (after.via(0), after.via(1)) == ("c", wanted)


def test_a_group_that_lost_a_member_keeps_its_id_and_its_routes_through_a_dump() -> None:
    node = Node()
    node.want(p0="ab")
    node.settle()
    node.ops.clear()
    node.kernel.set_link("to-a", False)
    node.fib.event(KernelEvent("overrun"))
    node.settle()
    node.kernel.set_link("to-a", True)
    node.kernel.apply([put("a")])
    node.fib.retry()
    node.settle()
    assert node.via(0) == "ab"
    assert [type(op) for op in node.ops] == [PutGroup]


def test_an_operation_that_is_not_the_fibs_is_an_error() -> None:
    node = Node()
    (failure,) = node.kernel.apply([PutMember(1, Via(parse_address("10.0.0.1"), "nowhere"))])
    with pytest.raises(ValueError, match="none of the FIB's operations"):
        node.fib.failed(failure)
