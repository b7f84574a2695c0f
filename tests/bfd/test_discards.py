"""What a BFD session discards, by which clause, and that nothing else can hurt it."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.bfd.session import (
    DISCARDS,
    Session,
    State,
)
from netctl.model.clock import SECOND
from tests.bfd.wire import LEFT, LEFT_ID, RIGHT, RIGHT_ID, Wire, packet

GARBAGE: list[tuple[str, bytes, int, str, str]] = [
    ("ttl", packet(), 254, RIGHT, ""),
    ("ttl", packet(), -1, RIGHT, ""),
    ("truncated", b"", 255, RIGHT, ""),
    ("truncated", packet()[:23], 255, RIGHT, ""),
    ("version", packet(version=0), 255, RIGHT, ""),
    ("version", packet(version=2), 255, RIGHT, ""),
    ("length", packet(length=23), 255, RIGHT, ""),
    ("length", packet(length=25, flags=0x04) + b"\0\0", 255, RIGHT, ""),
    ("payload", packet(length=25), 255, RIGHT, ""),
    ("multiplier", packet(multiplier=0), 255, RIGHT, ""),
    ("multipoint", packet(flags=0x01), 255, RIGHT, ""),
    ("my_discriminator", packet(mine=0), 255, RIGHT, ""),
    ("your_discriminator", packet(yours=0x33333333), 255, RIGHT, ""),
    ("your_discriminator_zero", packet(yours=0, state=State.UP), 255, RIGHT, ""),
    ("your_discriminator_zero", packet(yours=0, state=State.INIT), 255, RIGHT, ""),
    ("no_session", packet(yours=0, state=State.DOWN), 255, "10.0.0.9", ""),
    ("no_session", packet(yours=0, state=State.DOWN), 255, RIGHT, "eth9"),
    ("source", packet(), 255, "10.0.0.9", ""),
    ("source", packet(), 255, RIGHT, "eth9"),
    ("authentication", packet(flags=0x04, length=26) + b"\x01\x02", 255, RIGHT, ""),
]


def facts(session: Session) -> dict[str, object]:
    return {name: value for name, value in vars(session).items() if name != "_packet"}


@pytest.mark.parametrize(("reason", "data", "ttl", "source", "interface"), GARBAGE)
def test_a_bad_packet_is_counted_by_its_clause_and_changes_nothing(
    reason: str, data: bytes, ttl: int, source: str, interface: str
) -> None:
    wire = Wire().up()
    node = wire.nodes[LEFT]
    node.discarded.clear()
    before = facts(wire.left)
    assert node.receive(data, ttl, source, interface, wire.now_ns) is None
    assert node.discarded == {reason: 1}
    assert facts(wire.left) == before
    assert node.take_packets() == []


def test_every_reason_to_discard_names_its_clause_and_has_a_test() -> None:
    assert {reason for reason, *_ in GARBAGE} | {"admin_down"} == set(DISCARDS)
    assert all(clause.startswith("RFC 588") for clause in DISCARDS.values())


def test_the_first_fault_of_a_packet_with_several_is_the_one_that_counts() -> None:
    node = Wire().up().nodes[LEFT]
    faults: dict[str, Any] = {"multiplier": 0, "mine": 0, "yours": 5}
    expected = ["version", "length", "multiplier", "my_discriminator", "your_discriminator"]
    mended: list[dict[str, Any]] = [
        {"version": 0, "length": 3},
        {"length": 3},
        {},
        {"multiplier": 3},
        {"multiplier": 3, "mine": 7},
    ]
    for reason, change in zip(expected, mended, strict=True):
        node.discarded.clear()
        node.receive(packet(**{**faults, **change}), 255, RIGHT, "", 0)
        assert node.discarded == {reason: 1}


@given(st.binary(max_size=80), st.sampled_from([255, 254, 0, -1]), st.sampled_from([RIGHT, "10.0.0.9"]))
def test_no_bytes_make_receive_raise_and_what_is_discarded_changes_nothing(data: bytes, ttl: int, source: str) -> None:
    wire = Wire().up()
    node = wire.nodes[LEFT]
    before, count = facts(wire.left), sum(node.discarded.values())
    change = node.receive(data, ttl, source, "", wire.now_ns)
    if sum(node.discarded.values()) > count:
        assert change is None
        assert facts(wire.left) == before


@given(
    st.lists(
        st.builds(
            packet,
            diag=st.integers(0, 31),
            state=st.sampled_from(State),
            flags=st.integers(0, 63),
            multiplier=st.integers(0, 255),
            mine=st.sampled_from([0, 1, RIGHT_ID, 0xFFFFFFFF]),
            yours=st.sampled_from([0, 1, LEFT_ID]),
            tx_us=st.integers(0, 0xFFFFFFFF),
            rx_us=st.integers(0, 0xFFFFFFFF),
        ),
        max_size=30,
    ),
    st.lists(st.integers(0, 3 * SECOND), min_size=30, max_size=30),
)
def test_well_formed_nonsense_never_breaks_a_session(packets: list[bytes], gaps: list[int]) -> None:
    wire = Wire()
    node = wire.nodes[LEFT]
    now = wire.now_ns
    for data, gap in zip(packets, gaps, strict=False):
        now += gap
        node.handle_timer(now)
        node.receive(data, 255, RIGHT, "", now)
        timer = node.next_timer()
        assert timer is None or timer > 0
        for session, sent in node.take_packets():
            assert session is wire.left
            assert len(sent) == 24
    now += 300 * 0xFFFFFFFF * 1000
    node.handle_timer(now - 1)
    wire.cut, wire.now_ns, wire.flying = set(), now, deque()
    node.handle_timer(now)
    wire.run(5000)
    assert wire.left.state is State.UP  # and a real neighbour still gets its session
