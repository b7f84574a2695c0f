"""The simulated world: two gateways, two providers, four links, and the faults that befall them.

Forwarding is judged by walking a packet: the sending gateway's kernel picks a next hop, the link carries it or not, the
provider has a route or not, the second link carries it or not.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Sequence
from functools import cache, partial
from random import Random

from netctl.bfd.session import State
from netctl.model.clock import MS, Timer
from netctl.model.gateway import BfdSettings
from netctl.model.ports import ProcessId, ProcessSpec
from netctl.model.prefix import Prefix, parse_address
from netctl.model.routing import KernelOp, KernelState, Via
from netctl.sim.bgp import BgpLink
from netctl.sim.gateway import Programs, SimGateway
from netctl.sim.loop import SimLoop, world_context
from netctl.sim.network import FakeNetwork, SimLink, Wires
from netctl.sim.processes import FakeProcesses, SimProcess, is_users_mistake
from netctl.sim.provider import SimProvider
from netctl.sim.schedule import GATEWAYS, PROVIDERS, Fault, Schedule
from netctl.sim.topology import ASNS, HOLD_TIME_S, describe, gateway_settings, link_ends, own_prefixes
from netctl.sim.trace import Trace

AGENT_RESTART_MS = 1_000
"""How long the service manager waits before it starts an agent again that ended by itself."""


class World:
    """Everything there is. ``watchers`` are called after every event: who, what."""

    def __init__(self, schedule: Schedule, programs: Programs | None = None) -> None:
        self.schedule = schedule
        self.loop = SimLoop()
        self.trace = Trace(self.loop)
        self.wires = Wires(self.loop)
        self.places: dict[str, BgpLink] = {}
        self.watchers: list[Callable[[str, str], None]] = []
        self.on_write: Callable[[str, SimGateway, Sequence[KernelOp], KernelState], None] = lambda *_: None
        self.on_fault: Callable[[Fault, bool], None] = lambda fault, begins: None
        """Called before a fault begins and after it has ended."""
        self.active: list[Fault] = []
        self.on_crash: Callable[[str], None] = lambda crash: None
        """Called when a program ends with an error that is a bug."""
        for gateway in GATEWAYS:
            for provider in PROVIDERS:
                self._join(gateway, provider)
        self.gateways = {name: self._gateway(name, programs or Programs()) for name in GATEWAYS}
        self.providers: dict[str, SimProvider] = {}
        self._provider_lives: dict[str, int] = {}
        self._daemons = FakeProcesses(self.loop, lambda spec: self.providers[spec.name].program, self._provider_ended)

    # --- how it is built ---

    def _join(self, gateway: str, provider: str) -> None:
        ends = link_ends(gateway, provider)
        link = self.wires.add(SimLink(self.loop, self.schedule.seed, f"{gateway}-{provider}", ends))
        self.places[link.name] = BgpLink(self.loop, self.schedule.seed, link, HOLD_TIME_S * 1000 * MS)

    def _gateway(self, name: str, programs: Programs) -> SimGateway:
        return SimGateway(
            gateway_settings(name, self.wires, self.schedule),
            loop=self.loop,
            wires=self.wires,
            places={provider: self.places[f"{name}-{provider}"] for provider in PROVIDERS},
            seed=self.schedule.seed,
            programs=programs,
            on_end=self._program_ended,
            on_write=self._written,
            on_log=self._logged,
        )

    def start(self) -> None:
        """Everything boots."""
        for name in PROVIDERS:
            self._start_provider(name)
        for gateway in self.gateways.values():
            gateway.start_agent()

    def _start_provider(self, name: str) -> None:
        number = self._provider_lives[name] = self._provider_lives.get(name, 0) + 1
        provider = SimProvider(
            name,
            ASNS[name],
            {gateway: self.places[f"{gateway}-{name}"] for gateway in GATEWAYS},
            network=FakeNetwork(self.wires, name),
            loop=self.loop,
            random=Random(f"{self.schedule.seed}/{name}/{number}"),
            bfd=BfdSettings(self.schedule.interval_ms, self.schedule.multiplier),
        )
        provider.on_change = partial(self.happened, name)
        self.providers[name] = provider
        self._daemons.start(ProcessSpec(name, (name,), ""))

    # --- what happens ---

    def happened(self, who: str, what: str) -> None:
        """Something changed: into the trace, and every watcher looks."""
        self.trace.add(who, what)
        for watcher in self.watchers:
            watcher(who, what)

    def at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self.loop.call_at_ns(when_ns, callback, context=world_context())

    def after_ms(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        return self.at(self.loop.now_ns + int(delay_ms * MS), callback)

    def _written(self, program: str, gateway: SimGateway, ops: Sequence[KernelOp], before: KernelState) -> None:
        self.on_write(program, gateway, ops, before)
        self.happened(f"{gateway.name}/{program}", "; ".join(map(describe, ops)))

    def _logged(self, who: str, what: str) -> None:
        self.trace.add(who, what)
        if who.endswith("/liveness"):  # its sessions' states are what invariants judge by
            for watcher in self.watchers:
                watcher(who, what)

    def _program_ended(self, gateway: SimGateway, process: SimProcess) -> None:
        error = process.error
        if error is not None and not is_users_mistake(error):
            trace = "".join(traceback.format_exception(error)[-2:])
            self.on_crash(f"{gateway.name}/{process.name}: {error!r} {trace}")
        self.happened(f"{gateway.name}/{process.name}", "ended" + (f": {error}" if error else ""))
        if process.name == "agent" and error is not None:
            self.after_ms(AGENT_RESTART_MS, gateway.start_agent)

    def _provider_ended(self, process: SimProcess) -> None:
        self.happened(process.name, "ended")

    # --- faults ---

    def plan(self, start_ns: int) -> int:
        """Set every fault of the schedule for its time after ``start_ns``; returns when the last one is over."""
        for fault in self.schedule.faults:
            self.at(start_ns + fault.at_ms * MS, partial(self._begin, fault))
        return start_ns + max((fault.at_ms + fault.for_ms for fault in self.schedule.faults), default=0) * MS

    def _begin(self, fault: Fault) -> None:
        self.trace.add("fault", f"begins: {fault}")
        self.on_fault(fault, True)
        self.active.append(fault)
        undo = getattr(self, f"_{fault.kind}")(fault)
        self.happened("fault", f"{fault.kind} {fault.where}")

        def end() -> None:
            self.trace.add("fault", f"ends: {fault}")
            self.active.remove(fault)
            undo()
            self.on_fault(fault, False)
            self.happened("fault", f"end of {fault.kind} {fault.where}")

        self.after_ms(fault.for_ms, end)

    def _cut(self, fault: Fault) -> Callable[[], None]:
        link = self.wires.links[fault.where]
        gateway, provider = link.ends[0].host, link.ends[1].host
        ways = {
            "cut_from": [link.way_from(gateway)],
            "cut_to": [link.way_from(provider)],
        }.get(fault.kind, list(link.ways))
        for way in ways:
            way.cuts += 1

        def undo() -> None:
            for way in ways:
                way.cuts -= 1

        return undo

    _cut_from = _cut_to = _cut

    def _carrier(self, fault: Fault) -> Callable[[], None]:
        """A cut that the gateway's kernel notices: it takes the members of that interface away, silently."""
        mend = self._cut(fault)
        end = self.wires.links[fault.where].ends[0]
        kernel = self.gateways[end.host].kernel
        kernel.set_link(end.interface, up=False)

        def undo() -> None:
            mend()
            still_down = any(other.kind == "carrier" and other.where == fault.where for other in self.active)
            kernel.set_link(end.interface, up=not still_down)

        return undo

    def _loss(self, fault: Fault) -> Callable[[], None]:
        ways = self.wires.links[fault.where].ways
        for way in ways:
            way.losses.append(fault.value / 100)

        def undo() -> None:
            for way in ways:
                way.losses.remove(fault.value / 100)

        return undo

    def _kill(self, fault: Fault) -> Callable[[], None]:
        gateway, program = self._program(fault)
        process = gateway.processes.named(program)
        if process is not None:
            process.signal(signal.SIGKILL)
        return gateway.start_agent if program == "agent" else lambda: None

    def _stop(self, fault: Fault) -> Callable[[], None]:
        gateway, program = self._program(fault)
        process = gateway.processes.named(program)
        if process is None:
            return lambda: None
        process.signal(signal.SIGSTOP)
        process_id: ProcessId = process.id

        def resume() -> None:
            gateway.processes.signal(process_id, signal.SIGCONT)

        return resume

    def _program(self, fault: Fault) -> tuple[SimGateway, str]:
        name, _, program = fault.where.partition("/")
        return self.gateways[name], program

    def _reset(self, fault: Fault) -> Callable[[], None]:
        gateway, _, provider = fault.where.partition("-")
        neighbour = self.providers[provider].neighbours.get(gateway)
        if neighbour is not None:
            neighbour.drop("administrative reset")
        return lambda: None

    def _bgp_silence(self, fault: Fault) -> Callable[[], None]:
        place = self.places[fault.where]
        place.silenced += 1

        def undo() -> None:
            place.silenced -= 1

        return undo

    def _provider_restart(self, fault: Fault) -> Callable[[], None]:
        process = self._daemons.named(fault.where)
        if process is None:
            return lambda: None
        process.signal(signal.SIGKILL)
        return lambda: self._start_provider(fault.where)

    def _disk_full(self, fault: Fault) -> Callable[[], None]:
        store = self.gateways[fault.where].store
        store.full += 1

        def undo() -> None:
            store.full -= 1

        return undo

    # --- forwarding ---

    def walk(self, gateway: str, prefix: Prefix) -> list[tuple[str, str]]:
        """For each way that a packet from ``gateway`` may take: its provider, and "" or why it does not arrive."""
        return [self.follow(gateway, via, prefix) for via in self.gateways[gateway].kernel.lookup(prefix[1:])]

    def follow(self, gateway: str, via: Via, prefix: Prefix) -> tuple[str, str]:
        """The provider behind one next hop, and "" or why a packet does not arrive."""
        provider = via.interface.removeprefix("gw-")
        link = self.wires.links.get(f"{gateway}-{provider}")
        if link is None or _packed(link.other_end(gateway).address) != via.gateway:
            return provider, "no such neighbour"
        if link.way_from(gateway).cut:
            return provider, f"{link.name} is cut"
        return provider, self.beyond(provider, prefix)

    def beyond(self, provider: str, prefix: Prefix) -> str:
        """Why a packet that has reached the provider does not arrive; "" if it does."""
        if not self.providers[provider].alive:
            return f"{provider} is dead"
        far = self.providers[provider].lookup(prefix)
        if far is None:
            return f"{provider} has no route"
        link = self.wires.links[f"{far}-{provider}"]
        if link.way_from(provider).cut:
            return f"{link.name} is cut"
        return "" if prefix in own_prefixes(far) else f"{far} does not know it"

    def bfd_up(self, gateway: str, provider: str) -> bool:
        """Whether both ends of a link's BFD session believe it Up, as far as the provider knows."""
        neighbour = self.providers[provider].neighbours.get(gateway)
        alive = self.providers[provider].alive
        return alive and neighbour is not None and neighbour.bfd.state is neighbour.bfd.remote_state is State.UP


@cache
def _packed(address: str) -> bytes:
    return parse_address(address)
