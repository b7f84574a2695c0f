"""When a member goes home, and who stands in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netctl.agent.arming import Return, armed_sessions, survivors
from netctl.agent.peers import PeerState, Phase
from netctl.model.clock import SECOND
from netctl.model.gateway import BfdSettings, Peer


def make(name: str, index: int = 0, kind: str = "provider", phase: Phase = "complete") -> PeerState:
    settings = Peer(
        name,
        "fabric" if kind == "fabric" else "provider",
        f"gw-{name}",
        "10.0.1.1",
        "10.0.1.2",
        65001,
        BfdSettings(50, 3),
        hold_time_s=9,
    )
    state = PeerState(settings, index, 120.0, 0)
    state.phase = phase
    state.member_at = name
    return state


@pytest.fixture
def follow() -> Return:
    """A peer whose session has been up for long, whose BFD has just gone down and whose member points elsewhere."""
    follow = Return(make("pa"))
    follow.session_known(0)
    follow.bfd_changed(up=True, went_down=False, now_ns=0)
    follow.bfd_changed(up=False, went_down=True, now_ns=100 * SECOND)
    follow.peer.member_at = "pb"
    follow.pointed(home=False)
    return follow


def test_a_member_stays_away_while_bfd_is_down_whatever_bgp_does(follow: Return) -> None:
    follow.session(came_up=True, now_ns=101 * SECOND)
    follow.review(200 * SECOND)
    assert follow.position == "away"


def test_it_returns_when_the_session_came_up_anew_and_its_table_is_complete(follow: Return) -> None:
    follow.session(came_up=False, now_ns=101 * SECOND)
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.peer.phase = "loading"
    follow.session(came_up=True, now_ns=103 * SECOND)
    seen = []
    follow.review(103 * SECOND)
    seen.append(follow.position)
    follow.peer.phase = "complete"
    follow.review(104 * SECOND)
    seen.append(follow.position)
    follow.pointed(home=True)
    assert [*seen, follow.position] == ["away", "returning", "home"]


def test_it_returns_when_the_session_survived_a_hold_time_since_bfd_was_up(follow: Return) -> None:
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.review(102 * SECOND)
    assert (follow.position, follow.due_ns()) == ("away", 111 * SECOND)
    follow.review(111 * SECOND)
    assert follow.position == "returning"


@pytest.mark.parametrize(("session_up_s", "position"), [(101, "returning"), (99, "away")])
def test_an_agent_that_comes_late_tells_a_session_newer_than_the_down_from_an_older_one(
    session_up_s: int, position: str
) -> None:
    follow = Return(make("pa"))
    follow.bfd_changed(up=False, went_down=True, now_ns=110 * SECOND, down_ns=100 * SECOND)
    follow.peer.member_at = "pb"
    follow.pointed(home=False)
    follow.session_known(111 * SECOND, up_ns=session_up_s * SECOND)
    follow.bfd_changed(up=True, went_down=False, now_ns=112 * SECOND, down_ns=100 * SECOND)
    follow.review(112 * SECOND)
    assert follow.position == position


def test_another_down_while_it_waits_starts_the_wait_again(follow: Return) -> None:
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.bfd_changed(up=True, went_down=True, now_ns=105 * SECOND)
    follow.review(111 * SECOND)
    assert (follow.position, follow.due_ns()) == ("away", 114 * SECOND)


def test_a_down_while_it_returns_keeps_it_away(follow: Return) -> None:
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.review(111 * SECOND)
    follow.bfd_changed(up=False, went_down=True, now_ns=112 * SECOND)
    assert follow.position == "away"


def test_a_member_that_had_no_survivor_and_never_left_is_home_without_an_answer(follow: Return) -> None:
    follow.peer.member_at = "pa"
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.review(111 * SECOND)
    assert follow.position == "home"


def test_an_agent_that_finds_a_member_away_waits_a_hold_time_since_it_knows_the_session() -> None:
    follow = Return(make("pa"))
    follow.peer.member_at = "pb"
    follow.pointed(home=False)
    follow.bfd_changed(up=True, went_down=False, now_ns=10 * SECOND)
    follow.session_known(11 * SECOND)
    follow.review(11 * SECOND)
    assert (follow.position, follow.due_ns()) == ("away", 20 * SECOND)


def test_survivors_are_of_the_same_kind_complete_ones_first_and_rotated() -> None:
    a, b, c, d = make("pa", 0), make("pb", 1), make("pc", 2, phase="idle"), make("pd", 3)
    fabric = make("fa", 4, "fabric")
    everyone = (a, b, c, d, fabric)
    assert survivors(a, everyone) == ("pb", "pd", "pc")
    assert survivors(b, everyone) == ("pd", "pa", "pc")
    assert survivors(d, everyone) == ("pa", "pb", "pc")
    assert survivors(fabric, everyone) == ()


def test_only_a_returning_member_is_armed_to_go_home_at_once(follow: Return) -> None:
    peers = (follow.peer, make("pb", 1))
    returns = {"pa": follow, "pb": Return(peers[1])}
    assert [s.restore for s in armed_sessions(peers, returns)] == ["hold", "hold"]
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.review(111 * SECOND)
    assert [s.restore for s in armed_sessions(peers, returns)] == ["now", "hold"]


def test_without_a_hold_time_a_session_has_to_survive_the_default_one() -> None:
    follow = Return(make("pa"))
    follow.peer.settings = replace(follow.peer.settings, hold_time_s=0)
    follow.session_known(0)
    follow.bfd_changed(up=False, went_down=True, now_ns=100 * SECOND)
    follow.pointed(home=False)
    follow.peer.member_at = "pb"
    follow.bfd_changed(up=True, went_down=False, now_ns=102 * SECOND)
    follow.review(102 * SECOND)
    assert (follow.position, follow.due_ns()) == ("away", 111 * SECOND)
