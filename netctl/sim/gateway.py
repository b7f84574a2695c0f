"""One simulated gateway: the real agent and liveness on fake ports, modelled speakers, a fake kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from netctl.agent.shell import AgentShell
from netctl.fib.fake import FakeKernel
from netctl.liveness.shell import LivenessShell
from netctl.model.clock import MS
from netctl.model.gateway import CheckSettings, Gateway
from netctl.model.ports import Kernel, Ports, ProcessSpec
from netctl.model.prefix import parse_address
from netctl.model.routing import KernelEvent, KernelOp, KernelState, Link, OpFailed
from netctl.sim.loop import SimClock, SimLoop, hold
from netctl.sim.network import FakeNetwork, Wires
from netctl.sim.processes import FakeProcesses, Program, SimProcess, delayed
from netctl.sim.speaker import SimSpeaker
from netctl.sim.store import FakeStore
from netctl.sim.streams import FakeStreams

if TYPE_CHECKING:
    from netctl.bfd.session import Session
    from netctl.liveness.decide import Liveness
    from netctl.sim.bgp import BgpLink

_NOT_TRACED = frozenset({"since_wall", "remote_state", "ups", "downs", "detection_ms", "interval_ms", "decision_us"})
START_MS = (60.0, 250.0)
"""How long an interpreter needs until the program's first line."""


class Runs(Protocol):
    """A shell."""

    def run(self) -> Coroutine[Any, Any, None]:
        """The program."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Which shells run; tests put broken ones here to see them caught."""

    liveness: Callable[..., Runs] = LivenessShell
    agent: Callable[..., Runs] = AgentShell


class AlwaysPass:
    """Health checks that pass."""

    async def probe(self, settings: CheckSettings) -> tuple[bool, str]:
        return True, f"{settings.name}: simulated"


Written = Callable[[str, "SimGateway", Sequence[KernelOp], KernelState], None]
"""Told after a program has written: its name, where, what, and the state before."""


class KernelPort:
    """The kernel as one program sees it: what it writes is attributed to it, events reach it in its own process."""

    def __init__(self, program: str, gateway: SimGateway) -> None:
        self._program = program
        self._gateway = gateway
        self._kernel: Kernel = gateway.kernel.handle()
        hold(self._kernel.close)

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        before = self._kernel.dump()
        failed = self._kernel.apply(ops)
        self._gateway.on_write(self._program, self._gateway, ops, before)
        return failed

    def dump(self) -> KernelState:
        return self._kernel.dump()

    def nexthops(self) -> KernelState:
        return self._kernel.nexthops()

    def links(self) -> dict[str, Link]:
        return self._kernel.links()

    def watch(self, callback: Callable[[KernelEvent], None]) -> None:
        loop, context = asyncio.get_running_loop(), copy_context()

        def pass_on(event: KernelEvent) -> None:
            loop.call_soon(callback, event, context=context)

        self._kernel.watch(pass_on)

    def close(self) -> None:
        self._kernel.close()


class SimGateway:
    """The node. ``agent``, ``liveness`` and ``speakers`` are the programs' insides of now, for the invariants."""

    def __init__(
        self,
        settings: Gateway,
        *,
        loop: SimLoop,
        wires: Wires,
        places: dict[str, BgpLink],
        seed: int,
        programs: Programs,
        on_end: Callable[[SimGateway, SimProcess], None],
        on_write: Written,
        on_log: Callable[[str, str], None],
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.kernel = _kernel(settings)
        self.store = FakeStore()
        self.streams = FakeStreams(loop)
        self.on_write = on_write
        self._on_log = on_log
        self.speakers: dict[str, SimSpeaker] = {}
        self.processes = FakeProcesses(loop, self._find, lambda process: on_end(self, process))
        self._loop = loop
        self._clock = SimClock(loop)
        self._network = FakeNetwork(wires, settings.name)
        self._places = places
        self._seed = seed
        self._programs = programs
        self._starts: dict[str, int] = {}
        self._liveness_shell: Runs | None = None

    def start_agent(self) -> None:
        if self.processes.named("agent") is None:
            self.processes.start(ProcessSpec("agent", ("agent",), ""))

    def runs(self, program: str) -> bool:
        """Whether the program lives and is not stopped."""
        process = self.processes.named(program)
        return process is not None and not process.stopped

    def speaker(self, peer: str) -> SimSpeaker | None:
        """The inside of a peer's speaker, if it lives (stopped or not)."""
        return self.speakers.get(peer) if self.processes.named(f"speaker-{peer}") is not None else None

    def bfd_session(self, peer: str) -> Session | None:
        """Liveness's session with a peer, if liveness lives and has begun."""
        core: Liveness | None = getattr(self._liveness_shell, "_core", None)
        if core is None or self.processes.named("liveness") is None:
            return None
        return next((s for s in core.sessions._by_discriminator.values() if s.name == peer), None)

    def ports(self, program: str) -> Ports:
        return Ports(self._clock, self._network, self.streams, KernelPort(program, self), self.store, self.processes)

    def _find(self, spec: ProcessSpec) -> Program | None:
        """The program behind an argv: ``agent``, or ``python -m MODULE FILE [PEER]``."""
        module = "netctl.agent" if spec.argv == ("agent",) else spec.argv[spec.argv.index("-m") + 1]
        make = {"netctl.agent": self._agent, "netctl.liveness": self._liveness, "netctl.speaker": self._speaker}
        if module not in make:
            return None
        if module == "netctl.liveness":
            self._liveness_shell = None  # the one before is dead, and this one has not begun
        elif module == "netctl.speaker":
            self.speakers.pop(spec.argv[-1], None)
        # Each start of a program has a random stream of its own, so that one more start shifts nobody else's.
        number = self._starts[spec.name] = self._starts.get(spec.name, 0) + 1
        random = Random(f"{self._seed}/{self.name}/{spec.name}/{number}")
        return delayed(lambda: make[module](spec, random).run(), int(random.uniform(*START_MS) * MS))

    def _agent(self, spec: ProcessSpec, random: Random) -> Runs:
        def log(level: str, event: str, **fields: object) -> None:
            self._logged("agent", event, fields)

        return self._programs.agent(self.settings, self.ports(spec.name), AlwaysPass(), True, log=log)

    def _liveness(self, spec: ProcessSpec, random: Random) -> Runs:
        self._liveness_shell = self._programs.liveness(
            self.settings,
            self.ports(spec.name),
            random.randrange(1 << 32),
            log=lambda event, fields: self._logged("liveness", event, fields),
        )
        return self._liveness_shell

    def _logged(self, program: str, event: str, fields: Mapping[str, object]) -> None:
        said = " ".join(f"{name}={fields[name]}" for name in fields if name not in _NOT_TRACED)
        self._on_log(f"{self.name}/{program}", f"{event} {said}".rstrip())

    def _speaker(self, spec: ProcessSpec, random: Random) -> Runs:
        peer = next(peer for peer in self.settings.peers if peer.name == spec.argv[-1])
        speaker = SimSpeaker(self.settings, peer, self.ports(spec.name), self._places[peer.name])
        self.speakers[peer.name] = speaker
        return speaker


def _kernel(settings: Gateway) -> FakeKernel:
    return FakeKernel(
        Link(peer.interface, index, True, 1500, (parse_address(peer.local),))
        for index, peer in enumerate(settings.peers, 2)
    )
