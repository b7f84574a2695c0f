"""Sessions and tables: what makes routes fresh, stale, gone."""

from __future__ import annotations

from itertools import product

import pytest

from netctl.agent.peers import SESSION_TABLE, PeerState
from netctl.ipc.messages import Complete, Routes, SessionState
from netctl.model.clock import SECOND
from netctl.model.errors import PeerError
from netctl.model.gateway import Peer
from netctl.model.prefix import Prefix, parse_prefix

HOME = parse_prefix("10.2.0.0/16")
OTHER = parse_prefix("10.3.0.0/16")
NEXT_HOP = bytes((10, 0, 1, 2))


def make_peer(kind: str = "provider") -> PeerState:
    settings = Peer("pa", "fabric" if kind == "fabric" else "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001)
    return PeerState(settings, 0, 120.0, 0)


def up(sessions: int = 1, reason: str = "") -> SessionState:
    return SessionState("up", sessions, 0.0, reason)


def down(sessions: int = 1, *, fact: bool = True) -> SessionState:
    return SessionState("down", sessions, 0.0, "hold timer expired", fact)


def routes(*prefixes: Prefix, path: tuple[int, ...] = (65001, 65200)) -> Routes:
    return Routes(NEXT_HOP, path, b"".join(prefixes))


def loaded_peer() -> PeerState:
    peer = make_peer()
    peer.session_changed(up(), 0)
    peer.learn(routes(HOME, OTHER))
    peer.completed(Complete(2), 0)
    return peer


def test_the_end_of_a_session_as_a_fact_takes_all_its_routes_at_once() -> None:
    peer = loaded_peer()
    gone = peer.session_changed(down(), 1)
    assert gone is not None
    assert set(gone) == {HOME, OTHER}
    assert peer.path(HOME) is None


def test_the_end_of_a_session_through_our_own_program_leaves_its_routes_stale_until_the_bound() -> None:
    peer = loaded_peer()
    assert peer.session_changed(down(fact=False), SECOND) is None
    assert peer.held
    assert peer.path(HOME) is not None
    assert peer.deadline_passed(120 * SECOND) is None
    assert set(peer.deadline_passed(121 * SECOND) or ()) == {HOME, OTHER}
    assert peer.path(HOME) is None


def test_a_new_speaker_that_has_not_had_a_session_yet_takes_nothing() -> None:
    peer = loaded_peer()
    peer.lost(0)
    assert peer.session_changed(SessionState("down", 0, 0.0, "starting"), 1) is None
    assert peer.session_changed(SessionState("connecting", 0, 0.0, "refused"), 2) is None
    assert peer.path(HOME) is not None


def test_after_a_new_session_is_complete_only_what_was_not_told_again_goes() -> None:
    peer = loaded_peer()
    peer.lost(0)
    peer.session_changed(up(), 1)
    assert peer.learn(routes(HOME)) == []  # told again, unchanged: nothing to decide
    assert list(peer.completed(Complete(1), 2) or ()) == [OTHER]
    assert peer.deadline_ns is None


def test_a_remark_on_the_same_session_leaves_its_routes_fresh() -> None:
    peer = loaded_peer()
    assert peer.session_changed(up(reason="the peer announces more than max_prefixes"), 1) is None
    assert not peer.stale
    assert peer.phase == "complete"


def test_a_speaker_that_sends_all_again_has_to_confirm_all() -> None:
    peer = loaded_peer()
    peer.session_changed(up(), 1)
    assert peer.phase == "loading"
    assert [peer.stale.get(prefix) is not None for prefix in (HOME, OTHER)] == [True, True]


def test_a_path_of_another_length_has_to_be_decided_again_and_one_of_the_same_not() -> None:
    peer = loaded_peer()
    assert peer.learn(routes(HOME, path=(65001, 65009, 65200))) == [HOME]
    assert peer.learn(routes(HOME, path=(65001, 65008, 65200))) == []
    path = peer.path(HOME)
    assert path is not None
    assert path.as_path == (65001, 65008, 65200)


def test_fabric_routes_rank_before_provider_routes_of_any_length() -> None:
    fabric, provider = make_peer("fabric"), make_peer()
    for peer in (fabric, provider):
        peer.session_changed(up(), 0)
    fabric.learn(routes(HOME, path=tuple(range(1, 200))))
    provider.learn(routes(HOME, path=(65001,)))
    ranks = [path.rank for path in (fabric.path(HOME), provider.path(HOME)) if path is not None]
    assert ranks[0] < ranks[1]


def test_routes_without_a_session_and_cut_off_keys_are_refused_and_change_nothing() -> None:
    peer = make_peer()
    with pytest.raises(PeerError, match="routes_without_session"):
        peer.learn(routes(HOME))
    peer.session_changed(up(), 0)
    with pytest.raises(PeerError, match="routes_malformed"):
        peer.learn(Routes(NEXT_HOP, (1,), HOME[:-1]))
    assert not peer.table


def test_a_state_that_cannot_follow_is_refused_and_changes_nothing() -> None:
    peer = loaded_peer()
    with pytest.raises(PeerError, match="waiting while complete"):
        peer.session_changed(SessionState("connecting", 0, 0.0), 1)
    assert peer.session == up()
    assert peer.path(HOME) is not None


def test_every_pair_of_the_table_is_decided_or_an_error() -> None:
    phases, inputs = {p for p, _ in SESSION_TABLE}, {i for _, i in SESSION_TABLE}
    missing = {pair for pair in product(phases, inputs) if pair not in SESSION_TABLE}
    impossible = {("loading", "waiting"), ("complete", "waiting")}  # a session that is up has been counted
    assert missing == {("unknown", "whole"), ("idle", "whole")} | impossible
    with pytest.raises(PeerError, match="session_out_of_order"):
        make_peer().completed(Complete(0), 0)


def test_a_peer_that_never_answers_is_given_up_after_its_start_up_bound() -> None:
    peer = make_peer()
    assert peer.deadline_ns == 69 * SECOND
    peer.deadline_passed(69 * SECOND)
    assert peer.settled


def flap(peer: PeerState, sessions: int, at_s: int) -> None:
    """The speaker is lost and comes back; its new session tells one of the two routes and is not complete."""
    peer.lost(at_s * SECOND)
    peer.session_changed(up(sessions), (at_s + 1) * SECOND)
    peer.learn(routes(HOME))


def test_a_speaker_that_comes_and_goes_for_ever_does_not_keep_a_route_stale_for_ever() -> None:
    peer = loaded_peer()
    swept: dict[Prefix, int] = {}
    for second in range(1300):
        if second % 65 == 0:
            flap(peer, 2 + second // 65, second)
        for prefix in peer.deadline_passed(second * SECOND) or ():
            swept.setdefault(prefix, second)
    assert swept == {OTHER: 130}  # its bound of 120 s, and the loading that was under way then
    assert peer.path(HOME) is not None  # told again each time


def test_sessions_that_follow_each_other_without_an_end_extend_nothing_either() -> None:
    peer = loaded_peer()
    peer.lost(0)
    for number in range(4):
        peer.session_changed(up(2 + number), (30 + 65 * number) * SECOND)
    assert set(peer.deadline_passed(225 * SECOND) or ()) == {HOME, OTHER}


def test_a_table_that_is_being_loaded_when_the_bound_ends_is_waited_for_once() -> None:
    peer = loaded_peer()
    peer.lost(0)
    peer.session_changed(up(2), 110 * SECOND)
    assert peer.deadline_passed(121 * SECOND) is None
    assert peer.path(OTHER) is not None
    assert set(peer.deadline_passed(230 * SECOND) or ()) == {HOME, OTHER}


def test_a_route_told_again_meanwhile_has_a_whole_bound_of_its_own_when_its_speaker_is_lost_again() -> None:
    peer = loaded_peer()
    flap(peer, 2, 0)
    peer.lost(60 * SECOND)
    assert set(peer.deadline_passed(120 * SECOND) or ()) == {OTHER}
    assert peer.deadline_passed(179 * SECOND) is None
    assert set(peer.deadline_passed(180 * SECOND) or ()) == {HOME}
    assert peer.deadline_ns is None


def test_losses_that_follow_each_other_closely_share_a_deadline() -> None:
    peer = loaded_peer()
    for tenth in range(100):
        peer.lost(tenth * SECOND // 10)
        peer.session_changed(up(2 + tenth), tenth * SECOND // 10 + 1)
        peer.learn(routes(parse_prefix(f"10.4.{tenth}.0/24")))
        peer.lost(tenth * SECOND // 10 + 2)
    assert len(peer.stale) == 102
    assert len(list(peer.deadline_passed(120 * SECOND) or ())) == 102


def test_the_wait_for_a_first_table_is_not_extended_by_a_speaker_that_comes_and_goes() -> None:
    peer = make_peer()
    for number, second in enumerate(range(0, 66, 5)):
        peer.session_changed(up(1 + number), second * SECOND)
        peer.lost((second + 1) * SECOND)
    assert peer.deadline_ns == 69 * SECOND
    peer.deadline_passed(69 * SECOND)
    assert peer.settled


def test_time_in_which_nobody_listened_does_not_make_routes_older() -> None:
    peer = loaded_peer()
    peer.lost(0)
    peer.slept(50 * SECOND)
    assert peer.deadline_passed(169 * SECOND) is None
    assert set(peer.deadline_passed(170 * SECOND) or ()) == {HOME, OTHER}
