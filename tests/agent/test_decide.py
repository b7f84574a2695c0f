"""Members, announcements, nonsense and questions: what the core says to whom."""

from __future__ import annotations

import pytest

from netctl.agent.events import (
    CheckRan,
    Event,
    LivenessConnected,
    LivenessLost,
    LivenessSaid,
    SpeakerConnected,
    SpeakerLost,
    SpeakerSaid,
)
from netctl.agent.explain import explain
from netctl.agent.views import status
from netctl.ipc.messages import (
    Arm,
    Armed,
    Complete,
    MemberPointed,
    Routes,
    SessionState,
    Withdrawn,
)
from netctl.model.errors import PeerError
from netctl.model.prefix import parse_address, parse_prefix
from tests.agent.node import DEFAULT, FAR, OWN, PA, PB, Node, announced, last_arm, steady_node


@pytest.fixture
def node() -> Node:
    return steady_node()


# --- members ---------------------------------------------------------------------------------------------------------


def test_liveness_is_armed_above_every_generation_it_has_told(node: Node) -> None:
    arm = last_arm(node)
    assert arm.generation > 7
    assert [(s.peer, s.survivors, s.restore) for s in arm.sessions] == [
        ("pa", ("pb",), "hold"),
        ("pb", ("pa",), "hold"),
    ]


def test_a_refused_arm_is_said_again_above_the_generation_that_was_told(node: Node) -> None:
    node.told(Arm)
    node.happen(LivenessSaid(Armed(90, "a newer agent has armed")))
    assert last_arm(node).generation == 91


def test_an_arm_that_liveness_refuses_for_its_content_is_shown_as_not_armed(node: Node) -> None:
    node.happen(LivenessSaid(Armed(1, "no such peer: pc")))
    view = status(node.agent, {}, node.now_ns)
    assert (view["liveness"]["armed"], view["liveness"]["arming_refused"]) == (False, "no such peer: pc")
    assert not view["steady"]
    node.happen(LivenessSaid(Armed(2)))
    assert status(node.agent, {}, node.now_ns)["liveness"]["armed"]


def test_the_member_goes_home_when_the_session_is_up_anew_and_complete(node: Node) -> None:
    node.bfd("pa", "down", downs=1)
    node.happen(LivenessSaid(MemberPointed("pa", "pb", 9)))
    node.says("pa", SessionState("down", 1, 0.0, "hold timer expired"))
    node.bfd("pa", "up", ups=2, downs=1)
    node.says("pa", SessionState("up", 2, 0.0))
    assert [s.restore for s in last_arm(node).sessions] == ["hold", "hold"]
    node.says("pa", Routes(parse_address(PA.address), (65001, 65200), FAR), Complete(1))
    assert [s.restore for s in last_arm(node).sessions] == ["now", "hold"]
    node.happen(LivenessSaid(MemberPointed("pa", "pa", 9)))
    assert [s.restore for s in last_arm(node).sessions] == ["hold", "hold"]


def test_the_member_goes_home_when_the_session_survived_a_hold_time_after_bfd_up(node: Node) -> None:
    node.bfd("pa", "down", downs=1)
    node.happen(LivenessSaid(MemberPointed("pa", "pb", 9)))
    node.bfd("pa", "up", ups=2, downs=1)
    node.told(Arm)
    node.wait(8)
    assert node.told(Arm) == []
    node.wait(2)
    assert [s.restore for s in last_arm(node).sessions] == ["now", "hold"]


def test_a_member_that_points_where_nothing_leads_on_goes_home_as_soon_as_bfd_is_up(node: Node) -> None:
    node.bfd("pa", "down", downs=1)
    node.happen(LivenessSaid(MemberPointed("pa", "pb", 9)))
    node.says("pb", SessionState("down", 1, 0.0, "hold timer expired"))
    assert [s.restore for s in last_arm(node).sessions] == ["hold", "hold"]
    node.bfd("pa", "up", ups=2, downs=1)
    assert [(s.peer, s.restore) for s in last_arm(node).sessions] == [("pa", "now"), ("pb", "hold")]


def test_a_lost_liveness_changes_nothing_and_is_armed_again_when_it_returns(node: Node) -> None:
    node.writes.clear()
    node.told(Arm)
    node.happen(LivenessLost())
    assert (node.writes, node.told(Arm)) == ([], [])
    node.live()
    assert len(last_arm(node).sessions) == 2


# --- announcements ---------------------------------------------------------------------------------------------------


def test_announcements_go_out_once_and_again_to_a_speaker_that_reconnects(node: Node) -> None:
    assert announced(node) == {"pa": [OWN], "pb": [OWN], "fa": [DEFAULT]}
    node.says("pa", Routes(parse_address(PA.address), (65001, 65200), FAR))
    assert announced(node) == {}
    node.happen(SpeakerLost("pa"), SpeakerConnected("pa"))
    assert announced(node) == {"pa": [OWN]}


def test_a_failing_check_withdraws_and_a_passing_one_announces_again(node: Node) -> None:
    announced(node)
    node.happen(CheckRan("ingress", False, "refused"))
    assert announced(node) == {"pa": [], "pb": []}
    node.happen(CheckRan("ingress", True, "connected"))
    assert announced(node) == {"pa": [OWN], "pb": [OWN]}


def test_a_restart_never_announces_less_on_the_way(node: Node) -> None:
    again = Node(node.kernel)
    again.happen(LivenessConnected())
    for peer in ("pa", "pb", "fa"):
        again.happen(SpeakerConnected(peer))
        again.says(peer, SessionState("up", 1, 0.0))
    assert announced(again) == {}
    again.live()
    again.learn("pb", FAR)
    again.happen(CheckRan("ingress", True, "connected"))
    again.learn("pa", FAR)
    again.learn("fa", parse_prefix("10.1.1.0/24"), path=(65201,))
    assert announced(again) == {"pa": [OWN], "pb": [OWN], "fa": [DEFAULT]}
    again.wait(10)
    assert announced(again) == {}


def test_a_provider_without_a_route_to_the_cloud_ends_the_default(node: Node) -> None:
    announced(node)
    node.says("pa", Withdrawn(FAR))
    assert announced(node) == {}
    node.says("pb", Withdrawn(FAR))
    assert announced(node) == {"fa": []}


# --- nonsense and questions ------------------------------------------------------------------------------------------


def test_nonsense_is_counted_and_changes_nothing(node: Node) -> None:
    node.writes.clear()
    nonsense: list[Event] = [
        SpeakerSaid("pa", Arm(1, ())),
        SpeakerSaid("pa", Withdrawn(b"123")),
        LivenessSaid(Complete(1)),
        LivenessSaid(MemberPointed("px", "pa", 1)),
    ]
    for event in nonsense:
        with pytest.raises(PeerError):
            node.agent.handle(event, node.now_ns)
    node.pump()
    assert node.writes == []
    assert sum(node.agent.refused.values()) == 4


def test_status_is_steady_only_when_nothing_is_in_doubt(node: Node) -> None:
    assert status(node.agent, {}, node.now_ns)["steady"]
    node.bfd("pa", "down", downs=1)
    view = status(node.agent, {}, node.now_ns)
    assert not view["steady"]
    assert [p["bfd"] for p in view["peers"]] == ["down", "up", "none"]


def test_explain_says_why_a_path_is_not_used_and_what_would_happen(node: Node) -> None:
    node.says("pb", Routes(parse_address(PB.address), (65002, 65003, 65200), FAR))
    view = explain(node.agent, "10.2.0.5", node.kernel.dump(), node.now_ns)
    assert view["prefix"] == "10.2.0.0/16"
    assert [(p["peer"], p["used"], p["why"]) for p in view["paths"]] == [
        ("pa", True, "shortest AS path"),
        ("pb", False, "its AS path is longer (3)"),
        ("fa", False, "it announces no such route"),
    ]
    assert view["if_failed"][0] == {
        "peer": "pa",
        "bfd_down": "its member is pointed at pb at once",
        "session_ends": "the route uses pb",
    }
    assert [m["peer"] for m in view["kernel"]["members"]] == ["pa"]
    assert not explain(node.agent, "192.0.2.1", node.kernel.dump(), node.now_ns)["found"]
