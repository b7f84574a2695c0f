"""BFD sessions against each other on a fake clock."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest

from netctl.bfd.session import (
    DEMAND,
    FINAL,
    POLL,
    TRANSITIONS,
    Diagnostic,
    Event,
    Session,
    State,
)
from netctl.model.clock import MS, SECOND
from tests.bfd.wire import LEFT, RIGHT, Wire, packet


def test_two_sessions_come_up_within_two_slow_intervals() -> None:
    wire = Wire()
    wire.run(2000)
    assert (wire.left.state, wire.right.state) == (State.UP, State.UP)
    assert wire.left.detection_ns == 150 * MS
    assert wire.left.transmit_ns == 50 * MS


def test_no_session_sends_faster_than_once_a_second_until_it_is_up() -> None:
    wire = Wire(cut={LEFT, RIGHT})
    wire.run(10_000)
    times = [when for when, node, _ in wire.sent if node == LEFT]
    assert len(times) >= 10
    assert min(b - a for a, b in itertools.pairwise(times)) >= 750 * MS
    assert all(struct.unpack_from(">I", data, 12)[0] >= 1_000_000 for _, _, data in wire.sent)


def test_up_announces_the_short_interval_with_a_poll_that_a_final_ends() -> None:
    wire = Wire()
    wire.run(3000)
    assert any(data[1] & POLL for _, node, data in wire.sent if node == LEFT)
    assert any(data[1] & FINAL for _, node, data in wire.sent if node == RIGHT)
    assert not any(data[1] & POLL and data[1] & FINAL for _, _, data in wire.sent)
    wire.sent.clear()
    wire.run(1000)
    assert not any(data[1] & (POLL | FINAL) for _, _, data in wire.sent)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_jitter_stays_within_the_bounds_of_the_rfc(multiplier: int) -> None:
    # One lost packet more must not matter here: with multiplier 1 the wire's delay alone would expire nothing.
    wire = Wire(multiplier=multiplier).up()
    wire.run(20_000)
    times = [when for when, node, _ in wire.sent if node == LEFT]
    gaps = [(b - a) / MS for a, b in itertools.pairwise(times)]
    assert min(gaps) >= 37.5
    assert max(gaps) <= (45 if multiplier == 1 else 50)
    assert max(gaps) - min(gaps) > (6 if multiplier == 1 else 11)  # spread over the range, not merely inside it


def test_silence_is_detected_after_the_detection_time_and_not_before() -> None:
    wire = Wire().up()
    wire.run(67)
    last_heard = max(when for when, node, _ in wire.sent if node == RIGHT)
    wire.cut = {LEFT, RIGHT}
    wire.run(400)
    (when, _, change) = next(c for c in wire.changes if c[1] == LEFT)
    assert change.failure
    assert change.cause == "expired"
    assert wire.left.diagnostic is Diagnostic.EXPIRED
    assert 150 <= (when - last_heard) / MS <= 152
    assert wire.left.remote_discriminator == 0


def test_a_cut_of_one_direction_takes_both_ends_down_and_names_the_reasons() -> None:
    wire = Wire().up()
    wire.cut = {RIGHT}
    wire.run(300)
    causes = {node: change.cause for _, node, change in wire.changes}
    assert causes == {LEFT: "expired", RIGHT: "neighbor_down"}
    assert all(change.failure for _, _, change in wire.changes)
    assert wire.right.diagnostic is Diagnostic.NEIGHBOR_DOWN


def test_a_session_comes_back_after_a_cut() -> None:
    wire = Wire().up()
    wire.cut = {LEFT, RIGHT}
    wire.run(1000)
    assert wire.left.state is State.DOWN
    wire.cut = set()
    wire.run(3000)
    assert (wire.left.state, wire.right.state, wire.left.ups) == (State.UP, State.UP, 2)


def test_a_neighbours_admin_down_is_no_failure_of_the_path() -> None:
    wire = Wire().up()
    wire.collect(RIGHT, wire.nodes[RIGHT].admin_down(wire.now_ns))
    wire.run(500)
    (change,) = [change for _, node, change in wire.changes if node == LEFT]
    assert (change.old, change.new, change.cause) == (State.UP, State.DOWN, "neighbor_admin_down")
    assert not change.failure
    assert wire.left.remote_state is State.ADMIN_DOWN


def test_a_session_that_is_admin_down_hears_nothing_and_stays() -> None:
    wire = Wire().up()
    wire.collect(LEFT, wire.nodes[LEFT].admin_down(wire.now_ns))
    wire.run(3000)
    assert wire.left.state is State.ADMIN_DOWN
    assert wire.nodes[LEFT].discarded["admin_down"] > 0


def test_a_gap_of_our_own_restarts_detection_instead_of_declaring_down() -> None:
    wire = Wire().up()
    wire.run(500, stopped=LEFT)  # nothing of what waits is read: the worst case, a host that was paused as a whole
    wire.flying.clear()
    wire.collect(LEFT, wire.nodes[LEFT].handle_timer(wire.now_ns))
    assert wire.left.state is State.UP
    assert wire.nodes[LEFT].own_gaps == 1
    wire.cut = {RIGHT, LEFT}
    wire.run(151)
    assert wire.changes[-1][2].cause in {
        "expired",
        "neighbor_down",
    }  # a real silence is still found, one detection time later


def test_the_peers_longer_interval_decides_how_often_we_send() -> None:
    wire = Wire().up()
    wire.nodes[LEFT].receive(packet(rx_us=400_000), 255, RIGHT, "", wire.now_ns)
    assert wire.left.transmit_ns == 400 * MS


def test_a_peer_that_asks_for_packets_more_often_gets_the_next_one_sooner() -> None:
    wire = Wire().up()
    node = wire.nodes[LEFT]
    node.receive(packet(rx_us=5_000_000, tx_us=10_000_000), 255, RIGHT, "", wire.now_ns)
    node.handle_timer(wire.now_ns + 60 * MS)
    node.take_packets()
    assert wire.left.next_send_ns > wire.now_ns + SECOND
    node.receive(packet(tx_us=10_000_000), 255, RIGHT, "", wire.now_ns + 70 * MS)
    assert (node.next_timer() or 0) <= wire.now_ns + 120 * MS


@pytest.mark.parametrize("quiet", [{"rx_us": 0}, {"flags": DEMAND}])
def test_a_peer_that_wants_no_periodic_packets_gets_none(quiet: dict[str, Any]) -> None:
    wire = Wire().up()
    node = wire.nodes[LEFT]
    node.receive(packet(tx_us=10_000_000, **quiet), 255, RIGHT, "", wire.now_ns)
    for step in range(1, 20):
        node.handle_timer(wire.now_ns + step * 100 * MS)
    assert node.take_packets() == []
    node.receive(packet(tx_us=10_000_000), 255, RIGHT, "", wire.now_ns + 2 * SECOND)
    assert (node.next_timer() or 0) <= wire.now_ns + 2 * SECOND + 50 * MS


def test_our_packets_say_that_we_survive_the_control_plane_and_want_neither_echo_nor_demand() -> None:
    wire = Wire().up()
    wire.run(100)
    for _, _, data in wire.sent:
        assert data[1] & 0x0F == 0x08
        assert data[20:24] == b"\0\0\0\0"
        assert len(data) == data[3] == 24


def test_the_table_lacks_only_what_cannot_happen() -> None:
    events: list[Event] = ["got_admin_down", "got_down", "got_init", "got_up", "expired", "admin_down"]
    missing = [(state, event) for state in State for event in events if (state, event) not in TRANSITIONS]
    assert {state for state, _ in missing} == {State.ADMIN_DOWN}
    session = Session("x", RIGHT, "", discriminator=1, interval_ms=50, multiplier=3)
    session.state = State.ADMIN_DOWN
    with pytest.raises(KeyError):
        session.step("expired")
