"""Two nodes with one BFD session between them, on a fake clock."""

from __future__ import annotations

import random
import struct
from collections import deque
from dataclasses import dataclass, field

from netctl.bfd.session import (
    Change,
    Session,
    Sessions,
    State,
)
from netctl.model.clock import MS, SECOND

LEFT, RIGHT = "10.0.0.1", "10.0.0.2"
LEFT_ID, RIGHT_ID = 0x11111111, 0x22222222


@dataclass
class Wire:
    """Two nodes with one session, 1 ms apart; ``cut`` holds the senders whose packets vanish."""

    multiplier: int = 3
    interval_ms: int = 50
    seed: int = 1
    cut: set[str] = field(default_factory=set)
    now_ns: int = 1000 * SECOND
    changes: list[tuple[int, str, Change]] = field(default_factory=list)
    sent: list[tuple[int, str, bytes]] = field(default_factory=list)
    flying: deque[tuple[int, str, bytes]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)
        self.left = Session(
            "r", RIGHT, "veth0", discriminator=LEFT_ID, interval_ms=self.interval_ms, multiplier=self.multiplier
        )
        self.right = Session(
            "l", LEFT, "veth1", discriminator=RIGHT_ID, interval_ms=self.interval_ms, multiplier=self.multiplier
        )
        self.nodes = {LEFT: Sessions(dice.random), RIGHT: Sessions(dice.random)}
        self.nodes[LEFT].add(self.left, self.now_ns)
        self.nodes[RIGHT].add(self.right, self.now_ns)

    def collect(self, node: str, changes: list[Change]) -> None:
        self.changes += [(self.now_ns, node, change) for change in changes]
        for session, data in self.nodes[node].take_packets():
            self.sent.append((self.now_ns, node, data))
            if node not in self.cut:
                self.flying.append((self.now_ns + MS, session.address, data))

    def run(self, duration_ms: float, stopped: str = "") -> None:
        """Advance; the node ``stopped`` neither sends nor receives meanwhile, packets wait for it."""
        end = self.now_ns + int(duration_ms * MS)
        while True:
            due = [(self.nodes[n].next_timer() or end + 1, n) for n in self.nodes if n != stopped]
            arrivals = [(when, "") for when, to, _ in self.flying if to != stopped]
            when, node = min(due + arrivals)
            if when > end:
                break
            self.now_ns = max(self.now_ns, when)
            if node:
                self.collect(node, self.nodes[node].handle_timer(self.now_ns))
            else:
                self.deliver(stopped)
        self.now_ns = end

    def deliver(self, stopped: str = "") -> None:
        """What has arrived by now, except at a node that is stopped."""
        for packet in list(self.flying):
            when, to, data = packet
            if when <= self.now_ns and to != stopped:
                self.flying.remove(packet)
                source = LEFT if to == RIGHT else RIGHT
                change = self.nodes[to].receive(data, 255, source, "", self.now_ns)
                self.collect(to, [change] if change else [])

    def up(self) -> Wire:
        self.run(3000)
        assert (self.left.state, self.right.state) == (State.UP, State.UP)
        self.changes.clear()
        self.sent.clear()
        return self


def packet(
    *,
    version: int = 1,
    diag: int = 0,
    state: State = State.UP,
    flags: int = 0,
    multiplier: int = 3,
    length: int = 24,
    mine: int = RIGHT_ID,
    yours: int = LEFT_ID,
    tx_us: int = 50_000,
    rx_us: int = 50_000,
) -> bytes:
    return struct.pack(
        ">BBBBIIIII", version << 5 | diag, state << 6 | flags, multiplier, length, mine, yours, tx_us, rx_us, 0
    )
