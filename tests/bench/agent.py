"""How long the agent's core takes for a table from two providers, its longest single step, and its memory.

``python tests/bench/agent.py [PREFIXES]``: no kernel, no sockets, one process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

from netctl.agent.decide import Agent
from netctl.agent.events import KernelRead, OpsApplied, SpeakerConnected, SpeakerSaid
from netctl.ipc.messages import Complete, Message, Routes, SessionState
from netctl.model.clock import SECOND
from netctl.model.gateway import MEMBER_ID_BASE, CloudSettings, Gateway, Peer
from netctl.model.prefix import parse_prefix
from netctl.model.routing import KernelState, Via

CHUNK = 2048
PEERS = tuple(
    Peer(name, "provider", f"gw-{name}", f"10.0.{n}.1", f"10.0.{n}.2", 65000 + n, member_id=MEMBER_ID_BASE + n)
    for n, name in ((1, "pa"), (2, "pb"))
)
GATEWAY = Gateway("g", "a", 65100, "10.0.1.1", "/run/g", PEERS, (CloudSettings("b", (parse_prefix("10.2.0.0/16"),)),))
MEMBERS = {peer.member_id: Via(bytes(4), peer.interface) for peer in PEERS}


class Run:
    """One agent; remembers its longest step."""

    def __init__(self, kernel: KernelState) -> None:
        self.agent = Agent(GATEWAY, 0)
        self.longest_ms = 0.0
        self.writes = 0
        self.step(lambda: self.agent.handle(KernelRead(kernel), 0))

    def step(self, do: Callable[[], object]) -> None:
        began = time.perf_counter()
        do()
        self.longest_ms = max(self.longest_ms, (time.perf_counter() - began) * 1e3)

    def say(self, peer: str, message: Message) -> None:
        self.step(lambda: self.agent.handle(SpeakerSaid(peer, message), SECOND))
        self.pump()

    def pump(self) -> None:
        busy = True
        while busy:
            before = self.writes
            self.step(self._write)
            busy = self.writes > before or self.agent.busy

    def _write(self) -> None:
        if ops := self.agent.kernel_ops(CHUNK):
            self.writes += len(ops)
            self.agent.handle(OpsApplied(()), SECOND)

    def learn(self, peer: Peer, table: list[bytes]) -> None:
        self.agent.handle(SpeakerConnected(peer.name), SECOND)
        self.say(peer.name, SessionState("up", 1, 0.0))
        for keys in table:
            self.say(peer.name, Routes(bytes(4), (peer.asn, 65200), keys))
        self.say(peer.name, Complete(0))


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    keys = [b"\x18" + (0x14000000 + (n << 8)).to_bytes(4, "big") for n in range(number)]
    table = [b"".join(keys[start : start + CHUNK]) for start in range(0, number, CHUNK)]
    run = Run(KernelState(dict(MEMBERS), {}, {}))
    steps: list[tuple[str, Callable[[], None]]] = [
        ("first table", lambda: run.learn(PEERS[0], table)),
        ("second table", lambda: run.learn(PEERS[1], table)),
        ("one session ends", lambda: run.say("pa", SessionState("down", 1, 0.0))),
    ]
    for what, do in steps:
        run.longest_ms, began = 0.0, time.perf_counter()
        do()
        print(f"{what:18} {time.perf_counter() - began:7.2f} s, longest step {run.longest_ms:7.1f} ms")
    group = 0x6E100001
    members = tuple((peer.member_id, 1) for peer in PEERS)
    adopted = KernelState(dict(MEMBERS), {group: members}, dict.fromkeys(keys, group))
    began = time.perf_counter()
    again = Run(adopted)
    print(f"{'adoption':18} {time.perf_counter() - began:7.2f} s, longest step {again.longest_ms:7.1f} ms")
    again.longest_ms, began = 0.0, time.perf_counter()
    for peer in PEERS:
        again.learn(peer, table)
    took = time.perf_counter() - began
    print(f"{'restart, 2 tables':18} {took:7.2f} s, longest step {again.longest_ms:7.1f} ms, {again.writes} writes")
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB for both agents and the input")


if __name__ == "__main__":
    main()
