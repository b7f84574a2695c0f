"""Routes: what forwarding looks like after each event, and after a restart."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import pytest

from netctl.agent.events import (
    KernelChanged,
    LivenessSaid,
    Slept,
    SpeakerConnected,
    SpeakerLost,
    SpeakerSaid,
)
from netctl.agent.views import status
from netctl.ipc.messages import (
    Complete,
    MemberPointed,
    Routes,
    SessionState,
    Withdrawn,
)
from netctl.model.clock import SECOND
from netctl.model.gateway import (
    Gateway,
)
from netctl.model.prefix import parse_address, parse_prefix
from netctl.model.routing import KernelEvent, PutMember, PutRoutes, Via
from tests.agent.node import FA, FAR, PA, PB, Node, steady_node


@pytest.fixture
def node() -> Node:
    return steady_node()


# --- routes ----------------------------------------------------------------------------------------------------------


def test_equal_paths_of_two_providers_share_the_load(node: Node) -> None:
    assert node.forward() == ["gw-pa", "gw-pb"]


def test_the_shorter_as_path_wins_and_when_it_goes_the_longer_takes_over(node: Node) -> None:
    longer = Routes(parse_address(PB.address), (65002, 65003, 65200), FAR)
    node.says("pb", longer)
    assert node.forward() == ["gw-pa"]
    node.says("pa", Withdrawn(FAR))
    assert node.forward() == ["gw-pb"]


def test_a_fabric_route_beats_provider_routes(node: Node) -> None:
    node.says("fa", Routes(parse_address(FA.address), (65201, 1, 2, 3, 4), FAR))
    assert node.forward() == ["gw-fa"]


def test_bfd_down_moves_no_route_not_even_on_all_peers(node: Node) -> None:
    node.writes.clear()
    node.bfd("pa", "down", downs=1)
    node.bfd("pb", "down", downs=1)
    assert node.writes == []
    assert node.forward() == ["gw-pa", "gw-pb"]


def test_a_session_that_ends_as_a_fact_takes_its_paths_and_the_last_one_takes_the_route(node: Node) -> None:
    node.says("pa", SessionState("down", 1, 0.0, "hold timer expired"))
    assert node.forward() == ["gw-pb"]
    node.says("pb", SessionState("down", 1, 0.0, "Cease"))
    assert node.forward() == []


def test_the_end_of_a_session_moves_all_traffic_with_one_operation_before_any_route_is_moved() -> None:
    node = steady_node()
    prefixes = [parse_prefix(f"10.2.{n}.0/24") for n in range(100)]
    for peer, settings in (("pa", PA), ("pb", PB)):
        node.says(peer, Routes(parse_address(settings.address), (65001, 65200), b"".join(prefixes)))
    node.agent.handle(SpeakerSaid("pa", SessionState("down", 1, 0.0, "Cease")), node.now_ns)
    node.kernel.apply(node.agent.kernel_ops(1)[:1])
    assert {tuple(node.forward(f"10.2.{n}.5")) for n in range(100)} == {("gw-pb",)}


def test_a_session_that_comes_back_while_its_routes_are_moved_is_used_again_when_they_have_moved() -> None:
    node = steady_node()
    node.agent.handle(SpeakerSaid("pa", SessionState("down", 1, 0.0, "Cease")), node.now_ns)
    node.learn("pa", FAR, sessions=2)
    assert node.forward() == ["gw-pa", "gw-pb"]


def test_a_lost_speaker_takes_nothing_until_the_bound_and_then_only_what_was_its(node: Node) -> None:
    node.happen(SpeakerLost("pa"))
    node.wait(119)
    assert node.forward() == ["gw-pa", "gw-pb"]
    node.wait(2)
    assert node.forward() == ["gw-pb"]


def test_time_in_which_the_agent_itself_did_not_run_does_not_end_anybodys_bound(node: Node) -> None:
    node.happen(SpeakerLost("pa"))
    node.now_ns += 500 * SECOND
    node.happen(Slept(500 * SECOND))
    assert node.forward() == ["gw-pa", "gw-pb"]
    node.wait(121)
    assert node.forward() == ["gw-pb"]


def test_a_speaker_that_comes_back_with_the_same_table_causes_no_write(node: Node) -> None:
    node.writes.clear()
    node.happen(SpeakerLost("pa"))
    node.learn("pa", FAR)
    node.wait(300)
    assert node.writes == []


def test_a_speaker_that_comes_back_with_less_sweeps_the_rest_when_complete(node: Node) -> None:
    node.happen(SpeakerLost("pa"))
    node.happen(SpeakerConnected("pa"))
    node.says("pa", SessionState("up", 1, 0.0))
    assert node.forward() == ["gw-pa", "gw-pb"]
    node.says("pa", Complete(0))
    assert node.forward() == ["gw-pb"]


# --- restart and adoption --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("pa", "pb", "fa"), ("pb", "fa", "pa"), ("fa", "pb", "pa")])
def test_a_restart_with_nothing_changed_writes_nothing_whoever_tells_first(node: Node, order: Sequence[str]) -> None:
    again = Node(node.kernel)
    again.live()
    for peer in order:
        prefixes = (parse_prefix("10.1.1.0/24"),) if peer == "fa" else (FAR,)
        again.learn(peer, *prefixes, path=(65201,) if peer == "fa" else (65001, 65200))
    again.wait(300)
    assert again.writes == []
    assert again.forward() == ["gw-pa", "gw-pb"]


def test_a_restart_with_paths_of_different_length_writes_nothing_even_if_the_longer_comes_first(node: Node) -> None:
    node.says("pb", Routes(parse_address(PB.address), (65002, 65003, 65200), FAR))
    assert node.forward() == ["gw-pa"]
    again = Node(node.kernel)
    again.learn("pb", FAR, path=(65002, 65003, 65200))
    assert again.writes == []
    again.learn("pa", FAR)
    assert again.writes == []
    assert again.forward() == ["gw-pa"]


def test_what_a_peer_does_not_confirm_goes_when_its_table_is_complete(node: Node) -> None:
    again = Node(node.kernel)
    again.learn("pb", FAR)
    assert again.forward() == ["gw-pa", "gw-pb"]
    again.learn("pa")
    assert again.forward() == ["gw-pb"]


def test_a_peer_that_does_not_come_keeps_its_adopted_routes_until_its_start_up_bound(node: Node) -> None:
    again = Node(node.kernel)
    again.learn("pb", FAR)
    again.learn("fa", parse_prefix("10.1.1.0/24"), path=(65201,))
    again.wait(68)
    assert again.forward() == ["gw-pa", "gw-pb"]
    again.wait(2)
    assert again.forward() == ["gw-pb"]


def test_a_session_that_ended_while_the_agent_was_away_is_a_fact_at_once(node: Node) -> None:
    again = Node(node.kernel)
    again.learn("pb", FAR)
    again.happen(SpeakerConnected("pa"))
    again.says("pa", SessionState("down", 1, 0.0, "hold timer expired"))
    assert again.forward() == ["gw-pb"]


def test_routes_of_a_peer_that_is_no_longer_configured_go_only_after_all_others_are_complete(node: Node) -> None:
    smaller = Gateway("ga1", "a", 65100, "10.0.1.1", "/run/netctl/ga1", (PA, PB))
    again = Node(node.kernel, smaller)
    assert again.forward("10.1.1.5") == ["gw-fa"]
    again.learn("pa", FAR)
    assert again.forward("10.1.1.5") == ["gw-fa"]
    again.learn("pb", FAR)
    assert again.forward("10.1.1.5") == []
    assert again.forward() == ["gw-pa", "gw-pb"]


# --- the kernel ------------------------------------------------------------------------------------------------------


def test_a_route_that_somebody_deletes_comes_back(node: Node) -> None:
    node.kernel.forget(FAR)
    assert node.forward() == []
    node.happen(KernelChanged(KernelEvent("route_gone", prefix=FAR)))
    node.wait(1)
    assert node.forward() == ["gw-pa", "gw-pb"]


def test_routes_come_back_after_a_link_lost_its_carrier_and_returned(node: Node) -> None:
    node.says("pb", SessionState("down", 1, 0.0, "hold timer expired"))
    node.set_link("gw-pa", up=False)
    assert node.forward() == []
    node.set_link("gw-pa", up=True)
    node.kernel.apply([PutMember(PA.member_id, Via(parse_address(PA.address), PA.interface))])
    node.happen(LivenessSaid(MemberPointed("pa", "pa", 9)))
    node.wait(6)
    assert node.forward() == ["gw-pa"]


def test_a_refusal_is_counted_shown_and_tried_again() -> None:
    node = Node()
    node.live()
    node.kernel.fail_next(PutRoutes, errno.ENOSPC)
    node.learn("pa", FAR)
    assert node.forward() == []
    assert status(node.agent, {}, node.now_ns)["fib"]["refused_total"] == {os.strerror(errno.ENOSPC): 1}
    node.wait(6)
    assert node.forward() == ["gw-pa"]
