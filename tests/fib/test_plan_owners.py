"""The FIB's planning where somebody else has a route or a nexthop already."""

from __future__ import annotations

from netctl.model.gateway import GROUP_ID_BASE
from netctl.model.routing import PutGroup, PutRoutes
from tests.fib.nodes import IDS, PREFIXES, Node


def test_somebody_elses_route_stays_and_the_prefix_is_tried_again_until_it_is_gone() -> None:
    node = Node()
    node.kernel.put_foreign(PREFIXES[0], 12)
    node.want(p0="ab", p1="ab")
    node.settle()
    assert (node.via(0), node.via(1)) == ("", "ab")
    assert node.fib.counts().refused == 1
    assert node.fib.counts().reasons == ("a route of protocol bird is in the way",)
    assert node.fib.refusal(PREFIXES[0]) == "a route of protocol bird is in the way"
    node.want(p0="c", p2="c")
    node.fib.retry()
    node.settle()
    assert (node.via(0), node.via(2), node.kernel.foreign(PREFIXES[0])) == ("", "c", 12)
    node.kernel.put_foreign(PREFIXES[0], None)
    node.fib.retry()
    node.settle()
    assert node.via(0) == "c"
    assert (node.fib.counts().refused, node.fib.counts().reasons) == (0, ())


def test_a_route_that_was_gone_is_not_put_over_the_one_that_somebody_else_made_meanwhile() -> None:
    node = Node()
    node.want(p0="ab")
    node.settle()
    node.kernel.forget(PREFIXES[0])
    node.kernel.put_foreign(PREFIXES[0], 11)
    node.settle()
    assert node.kernel.foreign(PREFIXES[0]) == 11
    assert node.fib.programmed(PREFIXES[0]) is None


def test_a_route_of_ours_that_is_there_unknown_to_us_is_taken_over() -> None:
    node = Node()
    node.kernel.apply([PutGroup(GROUP_ID_BASE + 77, ((IDS["c"], 1),)), PutRoutes((PREFIXES[0],), GROUP_ID_BASE + 77)])
    node.want(p0="ab")
    node.settle()
    assert node.via(0) == "ab"


def test_a_group_whose_id_somebody_else_has_takes_another() -> None:
    node = Node()
    for number in range(1, 4):
        node.kernel.put_foreign(GROUP_ID_BASE + number, 11)
    node.want(p0="ab", p1="c")
    node.settle()
    assert (node.via(0), node.via(1)) == ("ab", "c")
    assert [node.kernel.foreign(GROUP_ID_BASE + number) for number in range(1, 4)] == [11] * 3
    assert node.fib.counts().refused == node.fib.counts().waiting == 0
