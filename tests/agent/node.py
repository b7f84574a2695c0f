"""A gateway for tests: the agent's core, a fake kernel with members in it, and time."""

from __future__ import annotations

from netctl.agent.decide import Agent
from netctl.agent.events import (
    CheckRan,
    Effect,
    Event,
    KernelChanged,
    KernelRead,
    LivenessConnected,
    LivenessSaid,
    OpsApplied,
    SpeakerConnected,
    SpeakerSaid,
    TellLiveness,
    TellSpeaker,
    TimerDue,
)
from netctl.fib.fake import FakeKernel
from netctl.ipc.messages import (
    Announce,
    Arm,
    BfdSession,
    Complete,
    Counters,
    MemberPointed,
    Routes,
    SessionState,
)
from netctl.model.clock import SECOND
from netctl.model.gateway import (
    MEMBER_ID_BASE,
    AnnouncementSettings,
    BfdSettings,
    CheckSettings,
    CloudSettings,
    Condition,
    Gateway,
    Peer,
)
from netctl.model.prefix import Prefix, parse_address, parse_prefix
from netctl.model.routing import KernelEvent, KernelOp, PutMember, Via

FAR = parse_prefix("10.2.0.0/16")
OWN = parse_prefix("10.1.0.0/16")
DEFAULT = parse_prefix("0.0.0.0/0")
BFD = BfdSettings(50, 3)

PA = Peer("pa", "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001, BFD, member_id=MEMBER_ID_BASE + 1)
PB = Peer("pb", "provider", "gw-pb", "10.0.2.1", "10.0.2.2", 65002, BFD, member_id=MEMBER_ID_BASE + 2)
FA = Peer("fa", "fabric", "gw-fa", "10.0.3.1", "10.0.3.2", 65201, member_id=MEMBER_ID_BASE + 3)
GATEWAY = Gateway(
    "ga1",
    "a",
    65100,
    "10.0.1.1",
    "/run/netctl/ga1",
    (PA, PB, FA),
    (CloudSettings("b", (FAR,)),),
    (
        AnnouncementSettings(OWN, ("pa", "pb"), (Condition("peer", "fa"), Condition("check", "ingress"))),
        AnnouncementSettings(DEFAULT, ("fa",), (Condition("path", "any"),)),
    ),
    (CheckSettings("ingress", None, "10.1.255.10:80", rise=1, fall=1),),
)


class Node:
    """A gateway: the core, a fake kernel with members in it, and time."""

    def __init__(self, kernel: FakeKernel | None = None, gateway: Gateway = GATEWAY) -> None:
        self.kernel = kernel or make_kernel(gateway)
        self.gateway = gateway
        self.now_ns = 1000 * SECOND
        self.agent = Agent(gateway, self.now_ns)
        self.effects: list[Effect] = []
        self.writes: list[KernelOp] = []
        self.happen(KernelRead(self.kernel.dump()))

    def happen(self, *events: Event) -> None:
        for event in events:
            self.effects += self.agent.handle(event, self.now_ns)
            self.pump()

    def pump(self) -> None:
        """Do what the shell does until nothing is left to do."""
        for _ in range(1000):
            look = self.agent.wants_look
            if look is not None:
                state = self.kernel.dump() if look == "dump" else self.kernel.nexthops()
                self.effects += self.agent.handle(KernelRead(state, look), self.now_ns)
            ops = self.agent.kernel_ops(3)
            if ops:
                self.writes += ops
                self.effects += self.agent.handle(OpsApplied(tuple(self.kernel.apply(ops))), self.now_ns)
            elif not self.agent.busy:
                return
        raise AssertionError("the kernel's work never ends")

    def wait(self, seconds: float) -> None:
        """Let time pass, with the timers that become due in it."""
        end_ns = self.now_ns + int(seconds * SECOND)
        for _ in range(1000):
            due_ns = self.agent.next_timer()
            if due_ns is None or due_ns > end_ns:
                self.now_ns = end_ns
                return
            self.now_ns = max(self.now_ns, due_ns)
            self.happen(TimerDue())
        raise AssertionError("a timer is due again and again")

    def says(self, peer: str, *messages: object) -> None:
        for message in messages:
            self.happen(SpeakerSaid(peer, message))  # type: ignore[arg-type]

    def learn(self, peer: str, *prefixes: Prefix, path: tuple[int, ...] = (65001, 65200), sessions: int = 1) -> None:
        """The speaker connects, its session is up, it tells its whole table."""
        settings = next(p for p in self.gateway.peers if p.name == peer)
        self.happen(SpeakerConnected(peer))
        routes = [Routes(parse_address(settings.address), path, b"".join(prefixes))] if prefixes else []
        self.says(peer, SessionState("up", sessions, 0.0), *routes, Complete(len(prefixes)))

    def bfd(self, peer: str, state: str, ups: int = 1, downs: int = 0) -> None:
        message = BfdSession(peer, "up" if state == "up" else "down", "", "up", 0.0, ups, downs)
        self.happen(LivenessSaid(message))

    def set_link(self, name: str, *, up: bool) -> None:
        """A link loses or regains its carrier, and the kernel says so."""
        self.kernel.set_link(name, up)
        self.happen(KernelChanged(KernelEvent("link", link=self.kernel.links()[name])))

    def live(self) -> None:
        self.happen(LivenessConnected())
        for peer in ("pa", "pb"):
            self.bfd(peer, "up")
        for peer in ("pa", "pb", "fa"):
            self.happen(LivenessSaid(MemberPointed(peer, peer, 7)))
        self.happen(LivenessSaid(Counters({})))

    def forward(self, address: str = "10.2.0.5") -> list[str]:
        """The interfaces that traffic to an address may leave by, in order."""
        return sorted(via.interface for via in self.kernel.lookup(parse_address(address)))

    def told(self, kind: type) -> list[tuple[str, object]]:
        """Messages of a kind, with whom they went to; forgets all effects so far."""
        effects, self.effects = self.effects, []
        told: list[tuple[str, object]] = []
        for effect in effects:
            if isinstance(effect, TellSpeaker) and isinstance(effect.message, kind):
                told.append((effect.peer, effect.message))
            elif isinstance(effect, TellLiveness) and isinstance(effect.message, kind):
                told.append(("liveness", effect.message))
        return told


def make_kernel(gateway: Gateway) -> FakeKernel:
    kernel = FakeKernel()
    for peer in gateway.peers:
        kernel.set_link(peer.interface, True, (parse_address(peer.local),))
    kernel.apply([PutMember(p.member_id, Via(parse_address(p.address), p.interface)) for p in gateway.peers])
    return kernel


def steady_node(kernel: FakeKernel | None = None) -> Node:
    node = Node(kernel)
    node.live()
    node.learn("pa", FAR)
    node.learn("pb", FAR)
    node.learn("fa", parse_prefix("10.1.1.0/24"), path=(65201,))
    node.happen(CheckRan("ingress", True, "connected"))
    return node


def announced(node: Node) -> dict[str, list[Prefix]]:
    """The last set told to each speaker since the last call."""
    sets: dict[str, list[Prefix]] = {}
    for peer, message in node.told(Announce):
        assert isinstance(message, Announce)
        sets[peer] = [route.prefix for route in message.routes]
    return sets


def last_arm(node: Node) -> Arm:
    message = node.told(Arm)[-1][1]
    assert isinstance(message, Arm)
    return message
