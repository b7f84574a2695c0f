"""A world for the core of liveness on a fake clock: real BFD at the far ends, a kernel that is a dictionary."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from netctl.bfd.session import Session, Sessions, State
from netctl.ipc.messages import (
    Arm,
    ArmedSession,
    Message,
)
from netctl.liveness.decide import Liveness
from netctl.liveness.events import (
    Adopt,
    Arrived,
    Asked,
    Effect,
    Event,
    Exit,
    Point,
    Pointed,
    Send,
    Tell,
    Tick,
)
from netctl.model.clock import MS, SECOND
from netctl.model.gateway import BfdSettings, Gateway, Peer, PeerKind
from netctl.model.ports import Datagram
from netctl.model.routing import OpFailed, Via

OWN = {"pa": "10.0.1.1", "pb": "10.0.2.1", "pc": "10.0.3.1", "fab": "10.0.9.1", "pn": "10.0.4.1"}


def make_peer(name: str, number: int, kind: PeerKind = "provider", bfd: bool = True) -> Peer:
    return Peer(
        name=name,
        kind=kind,
        interface=f"gw-{name}",
        local=OWN[name],
        address=OWN[name][:-1] + "2",
        asn=65000 + number,
        bfd=BfdSettings(50, 3) if bfd else None,
        member_id=1000 + number,
    )


PA, PB, PC = make_peer("pa", 1), make_peer("pb", 2), make_peer("pc", 3)
FABRIC, NO_BFD = make_peer("fab", 9, "fabric"), make_peer("pn", 4, bfd=False)


def via_of(peer: Peer) -> Via:
    return Via(bytes(int(part) for part in peer.address.split(".")), peer.interface)


@dataclass
class World:
    """One core, one far end for each peer with BFD, and the members in the kernel."""

    peers: tuple[Peer, ...] = (PA, PB, PC, FABRIC, NO_BFD)
    kernel: dict[int, Via] = field(default_factory=dict)
    now_ns: int = 1000 * SECOND
    cut: set[str] = field(default_factory=set)
    down_links: set[str] = field(default_factory=set)
    told: list[Tell] = field(default_factory=list)
    writes: list[tuple[str, str]] = field(default_factory=list)
    exited: bool = False

    def __post_init__(self) -> None:
        self.gateway = Gateway("ga1", "a", 65100, "10.0.1.1", "/run/x", self.peers)
        self.start()
        self.far: dict[str, Sessions] = {}
        for number, peer in enumerate(self.peers, 1):
            if peer.bfd is not None:
                session = Session("us", peer.local, "", discriminator=number, interval_ms=50, multiplier=3)
                self.far[peer.name] = Sessions(random.Random(number).random)
                self.far[peer.name].add(session, self.now_ns)

    def start(self) -> None:
        """Start the core (again)."""
        ids = iter(range(500, 600))
        self.core = Liveness(self.gateway, random.Random(7).random, ids, lambda: 1.8e9, self.now_ns)
        self.do(Adopt(dict(self.kernel)))

    def peer(self, name: str) -> Peer:
        return next(peer for peer in self.peers if peer.name == name)

    def do(self, event: Event) -> None:
        self.perform(self.core.handle(event, self.now_ns))

    def perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Point):
                refused = None
                if effect.op.via.interface in self.down_links:
                    refused = OpFailed(effect.op, 100, "Network is down")
                else:
                    self.kernel[effect.op.id] = effect.op.via
                    self.writes.append((effect.peer, effect.at))
                self.do(Pointed(effect.peer, effect.at, refused, 123_000))
            elif isinstance(effect, Send):
                self.to_far(effect)
            elif isinstance(effect, Tell):
                self.told.append(effect)
            elif isinstance(effect, Exit):
                self.exited = True

    def to_far(self, send: Send) -> None:
        if send.peer not in self.cut:
            self.far[send.peer].receive(send.data, 255, self.peer(send.peer).local, "", self.now_ns)
            self.from_far(send.peer)

    def from_far(self, name: str) -> None:
        peer = self.peer(name)
        for _, data in self.far[name].take_packets():
            if name not in self.cut:
                self.do(Arrived([Datagram(data, peer.address, 50000, 255, peer.interface)]))

    def run(self, duration_ms: float) -> None:
        end = self.now_ns + int(duration_ms * MS)
        while True:
            due = [(self.core.next_timer(), "")] + [
                (far.next_timer() or end + 1, name) for name, far in self.far.items()
            ]
            when, name = min(due)
            if when > end:
                break
            self.now_ns = max(self.now_ns, when)
            if name:
                self.far[name].handle_timer(self.now_ns)
                self.from_far(name)
            else:
                self.do(Tick())
        self.now_ns = end

    def arm(self, generation: int = 1, **sessions: tuple[tuple[str, ...], str]) -> None:
        armed = tuple(
            ArmedSession(peer=peer, survivors=survivors, restore="now" if restore == "now" else "hold")
            for peer, (survivors, restore) in sessions.items()
        )
        self.do(Asked(1, Arm(generation=generation, sessions=armed)))

    def at(self, name: str) -> str:
        """Whose address the member holds in the kernel."""
        via = self.kernel[self.peer(name).member_id]
        return next(peer.name for peer in self.peers if via_of(peer) == via)

    def where(self) -> dict[str, str]:
        return {peer.name: self.at(peer.name) for peer in self.peers}

    def messages(self, kind: type[Message]) -> list[Message]:
        return [tell.message for tell in self.told if isinstance(tell.message, kind)]


HOME = {name: name for name in ("pa", "pb", "pc", "fab", "pn")}


def up(**changes: object) -> World:
    world = World(**changes)  # type: ignore[arg-type]
    world.run(3000)
    assert all(s.state is State.UP for far in world.far.values() for s in far._by_discriminator.values())
    world.told.clear()
    world.writes.clear()
    return world
