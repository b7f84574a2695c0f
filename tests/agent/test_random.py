"""Random lives of a gateway: only facts remove paths, and in the end the kernel has what the peers told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netctl.agent.events import KernelChanged, KernelRead, LivenessLost, LivenessSaid, SpeakerConnected, SpeakerLost
from netctl.ipc.messages import Complete, MemberPointed, Routes, SessionState, Withdrawn
from netctl.model.prefix import Prefix, format_address, parse_prefix
from netctl.model.routing import KernelEvent
from tests.agent.node import GATEWAY, Node

PREFIXES = [parse_prefix(f"10.2.{n}.0/24") for n in range(4)]
PEERS = [peer.name for peer in GATEWAY.peers]
INTERFACES = {peer.name: peer.interface for peer in GATEWAY.peers}

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["learn", "withdraw", "end", "stop", "lose", "again", "bfd", "move", "forget", "restart", "wait"]
        ),
        st.sampled_from(PEERS),
        st.sampled_from(PREFIXES),
        st.integers(0, 3),
    ),
    max_size=40,
)


class World:
    """What is true outside: each speaker's session and table, which outlive agents."""

    def __init__(self) -> None:
        self.node = Node()
        self.sessions = dict.fromkeys(PEERS, 0)
        self.up = dict.fromkeys(PEERS, False)
        self.tables: dict[str, dict[Prefix, int]] = {peer: {} for peer in PEERS}
        for peer in PEERS:
            self.come_up(peer)
        self.node.live()

    def routes(self, prefix: Prefix, length: int) -> Routes:
        return Routes(bytes(4), tuple(range(1, length + 2)), prefix)

    def come_up(self, peer: str) -> None:
        self.sessions[peer] += 1
        self.up[peer] = True
        self.tell_all(peer)

    def tell_all(self, peer: str) -> None:
        node = self.node
        node.happen(SpeakerConnected(peer))
        if not self.up[peer]:
            node.says(peer, SessionState("down", self.sessions[peer], 0.0, "ended"))
            return
        node.says(peer, SessionState("up", self.sessions[peer], 0.0))
        for prefix, length in self.tables[peer].items():
            node.says(peer, self.routes(prefix, length))
        node.says(peer, Complete(len(self.tables[peer])))

    def best(self, prefix: Prefix) -> list[str]:
        paths = {peer: table[prefix] for peer, table in self.tables.items() if prefix in table}
        ranks = {peer: length - 100 * (peer == "fa") for peer, length in paths.items()}
        return sorted(INTERFACES[peer] for peer, rank in ranks.items() if rank == min(ranks.values()))

    def do(self, what: str, peer: str, prefix: Prefix, number: int) -> None:
        node = self.node
        if what == "learn" and self.up[peer]:
            self.tables[peer][prefix] = number
            node.says(peer, self.routes(prefix, number))
        elif what == "withdraw" and self.up[peer]:
            self.tables[peer].pop(prefix, None)
            node.says(peer, Withdrawn(prefix))
        elif what in {"end", "stop"} and self.up[peer]:
            self.up[peer] = False
            self.tables[peer] = {}
            node.says(peer, SessionState("down", self.sessions[peer], 0.0, "ended", fact=what == "end"))
        elif what == "lose":
            node.happen(SpeakerLost(peer))
            self.tell_all(peer)
        elif what == "again" and not self.up[peer]:
            self.come_up(peer)
        else:
            self.trouble(what, peer, prefix, number)

    def trouble(self, what: str, peer: str, prefix: Prefix, number: int) -> None:
        node = self.node
        if what == "bfd" and peer != "fa":
            node.bfd(peer, "up" if number % 2 else "down", ups=1 + number, downs=number)
        elif what == "move" and peer != "fa":
            node.happen(LivenessSaid(MemberPointed(peer, "pa" if number % 2 else "pb", number)))
        elif what == "forget":
            node.kernel.forget(prefix)
            node.happen(KernelChanged(KernelEvent("route_gone", prefix=prefix)))
        elif what == "restart":
            self.node = Node(node.kernel)
            for each in PEERS:
                self.tell_all(each)
        elif what == "wait":
            node.happen(LivenessLost(), KernelRead(node.kernel.dump()))
            node.wait(number * 50.0)


def forwards(world: World, prefix: Prefix) -> list[str]:
    return world.node.forward(format_address(prefix[1:4] + b"\x05"))


@settings(max_examples=150, deadline=None)
@given(steps)
def test_in_the_end_the_kernel_has_the_best_paths_of_what_the_peers_told(
    life: list[tuple[str, str, Prefix, int]],
) -> None:
    world = World()
    for step in life:
        world.do(*step)
    for peer in PEERS:
        if not world.up[peer]:
            world.come_up(peer)
    world.node.wait(300)
    assert {p: forwards(world, p) for p in PREFIXES} == {p: world.best(p) for p in PREFIXES}


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_opinion_no_restart_and_no_death_of_our_own_takes_the_last_path(
    life: list[tuple[str, str, Prefix, int]],
) -> None:
    world = World()
    for step in life:
        before = {prefix for prefix in PREFIXES if forwards(world, prefix)}
        world.do(*step)
        if step[0] in {"bfd", "move", "lose", "restart", "forget", "stop", "learn", "again"}:
            kept = {prefix for prefix in before if world.best(prefix) or step[0] in {"bfd", "move", "stop", "learn"}}
            assert kept <= {prefix for prefix in PREFIXES if forwards(world, prefix)}
