# long because: every task of the agent and what they share is here; what is decided is not
"""``AgentShell``: sockets, children, checks and the kernel around ``decide.Agent``.

It uses nothing but its ports and asyncio, so that it also runs in the simulator. It blocks for no longer than a portion
of kernel operations takes, but for a dump of the whole table at the start and after an overrun (a second or two for a
million routes): what must not wait for that is liveness's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from netctl.agent import events as e
from netctl.agent.answers import Answers
from netctl.agent.children import (
    AGENT_SOCKET,
    GATEWAY_FILE,
    Child,
    changed_children,
    children_of,
    decode_gateway,
    encode_gateway,
)
from netctl.agent.children.shell import Log, Supervisor, end_all, end_child
from netctl.agent.decide import Agent
from netctl.agent.kernel import Look
from netctl.health.checks import Checks
from netctl.ipc.io import Connection, Server, connect
from netctl.ipc.messages import Hello, Message, Reply, Request
from netctl.model.clock import MS, SECOND, Timer
from netctl.model.errors import NetctlError, PeerError
from netctl.model.gateway import CheckSettings, Gateway
from netctl.model.ports import Ports
from netctl.model.routing import KernelEvent

_PULSE_NS = SECOND // 2
_CATCH_UP_NS = 50 * MS
"""After a sleep of its own it reads for so long before it writes to the kernel."""
_TURN_NS = 5 * MS
"""How long one program's messages are taken before the others have a turn."""
_SLEPT_NS = SECOND
PORTION = 2048
"""Prefixes decided and written at once: some 10 ms of work."""
_MISSED_NS = 3 * SECOND
"""When nobody that this agent does not start itself has answered for so long, it says so once."""
_RETRY_S = (0.05,) * 100 + (0.5,)
"""Often at first: whoever sees a new session come up need not wait a hold time to be sure that it is new."""


def _quiet(level: str, event: str, **fields: object) -> None:
    """A log that nobody reads."""


class AgentShell:
    """One gateway's agent. ``run`` returns after ``stop`` was asked for, or when it is cancelled (children stay)."""

    def __init__(
        self,
        gateway: Gateway,
        ports: Ports,
        checks: Checks,
        standalone: bool,
        *,
        pid: int = 0,
        log: Log = _quiet,
        last_line: Callable[[str], str] = lambda _path: "",
    ) -> None:
        self.gateway = gateway
        self.ports = ports
        self.agent = Agent(gateway, ports.clock.monotonic_ns())
        self.supervisors = {c.name: Supervisor(c, ports, log, last_line) for c in children_of(gateway)}
        self.server = Server()
        self._checks = checks
        self._standalone = standalone
        self._hello = Hello("agent", gateway.name, pid)
        self._log = log
        self.answers = Answers(self.agent, self.supervisors, self.server, ports, self._hello)
        self._links: dict[str, Connection] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._timer: Timer | None = None
        self._timer_ns: int | None = None
        self._pulse_timer: Timer | None = None
        self._missed_timer: Timer | None = None
        self._pulse_ns = 0
        self._caught_up_ns = 0

    async def run(self) -> None:
        """Raises EnvironmentLackError when a child can never be started or the socket is taken."""
        await self._hand_over_gateway()
        self.ports.kernel.watch(self._kernel_changed)
        self._look("dump")
        self._pulse()
        if not self._standalone:
            clock = self.ports.clock
            self._missed_timer = clock.call_at(clock.monotonic_ns() + _MISSED_NS, self._say_who_is_missed)
        await self.server.start(
            self.ports.streams, f"{self.gateway.runtime_dir}/{AGENT_SOCKET}", self._hello, self._client
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._link(child)) for child in children_of(self.gateway)]
                running += [tasks.create_task(self._check(check)) for check in self.gateway.checks]
                running.append(tasks.create_task(self._program()))
                await self._stopping.wait()
                for task in running:
                    task.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            for timer in (self._timer, self._pulse_timer, self._missed_timer):
                if timer is not None:
                    timer.cancel()
            self.server.close()
            for connection in self._links.values():
                connection.close()

    # --- events and effects --------------------------------------------------------------------------------------

    def _handle(self, event: e.Event) -> None:
        try:
            effects = self.agent.handle(event, self.ports.clock.monotonic_ns())
        except PeerError as error:
            self._log("warning", "nonsense discarded", reason=error.reason, detail=error.detail)
            return
        for effect in effects:
            self._perform(effect)
        self._set_timer()
        self._wake.set()

    def _perform(self, effect: e.Effect) -> None:
        match effect:
            case e.TellSpeaker(peer, message):
                self._tell(f"speaker-{peer}", message)
            case e.TellLiveness(message):
                self._tell("liveness", message)
            case e.Note(level, event, fields):
                self._log(level, event, **fields)

    def _tell(self, child: str, message: Message) -> None:
        connection = self._links.get(child)
        if connection is not None:
            connection.send_soon(message)

    def _kernel_changed(self, event: KernelEvent) -> None:
        self._handle(e.KernelChanged(event))

    def _set_timer(self) -> None:
        due_ns = self.agent.next_timer()
        if due_ns == self._timer_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = None if due_ns is None else self.ports.clock.call_at(due_ns, self._timer_due)

    def _pulse(self) -> None:
        """Notice when this process did not run. Of all timers that are due then, this one is the earliest."""
        now_ns = self.ports.clock.monotonic_ns()
        if self._pulse_ns and now_ns - self._pulse_ns > _SLEPT_NS:
            gap_ns = now_ns - self._pulse_ns
            for supervisor in self.supervisors.values():
                supervisor.slept(gap_ns)
            self._handle(e.Slept(gap_ns))
            self._caught_up_ns = now_ns + _CATCH_UP_NS
        self._pulse_ns = now_ns + _PULSE_NS
        self._pulse_timer = self.ports.clock.call_at(self._pulse_ns, self._pulse)
        for supervisor in self.supervisors.values():
            supervisor.judge_silence(kill=self._standalone)

    def _say_who_is_missed(self) -> None:
        name, supervisors = self.gateway.name, self.supervisors.items()
        missed = {child: s.child.peer for child, s in supervisors if child not in self._links}
        if missed:
            units = [f"netctl-speaker@{name}:{p}" if p else f"netctl-liveness@{name}" for p in missed.values()]
            hint = f"agent run --standalone starts them; or start the units: systemctl start {' '.join(units)}"
            self._log("warning", "programs do not answer", missed=list(missed), hint=hint)

    def _timer_due(self) -> None:
        self._timer = self._timer_ns = None
        self._handle(e.TimerDue())

    # --- tasks ---------------------------------------------------------------------------------------------------

    async def _program(self) -> None:
        """Write to the kernel, portion by portion, letting everything else run in between."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while True:
                if (look := self.agent.wants_look) is not None:
                    self._look(look)
                if self._catching_up():
                    await asyncio.sleep(_CATCH_UP_NS / SECOND / 10)
                    continue
                ops = self.agent.kernel_ops(PORTION)
                if ops:
                    self._handle(e.OpsApplied(tuple(self.ports.kernel.apply(ops))))
                elif not self.agent.busy:
                    break
                await asyncio.sleep(0)

    def _catching_up(self) -> bool:
        """Just awake from a sleep of its own: a session's "up" may wait behind the "down" of another, and what is
        written before all of it is read could take away a last path that is long back."""
        now_ns = self.ports.clock.monotonic_ns()
        return now_ns - self._pulse_ns > _SLEPT_NS or now_ns < self._caught_up_ns

    def _look(self, look: Look) -> None:
        kernel = self.ports.kernel
        self._handle(e.KernelRead(kernel.dump() if look == "dump" else kernel.nexthops(), look))

    async def _link(self, child: Child) -> None:
        """Keep a connection to one child, and the child itself when standalone."""
        supervisor = self.supervisors[child.name]
        failures = 0
        while True:
            try:
                connection = await connect(self.ports.streams, child.socket, self._hello)
            except (ConnectionError, PeerError):
                if self._standalone and (child.peer is None or self._protected()):
                    supervisor.ensure()
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            supervisor.answered()
            self._links[child.name] = connection
            try:
                await self._converse(child, connection)
            finally:
                del self._links[child.name]
                connection.close()

    def _protected(self) -> bool:
        """Whether liveness has ever answered: a gateway that cannot have BFD draws no traffic to itself."""
        return any(s.answered_once for s in self.supervisors.values() if s.child.peer is None)

    async def _converse(self, child: Child, connection: Connection) -> None:
        silence, clock = self.supervisors[child.name].silence, self.ports.clock
        silence.connected(connection.peer_hello.alive_s, clock.monotonic_ns())
        self._handle(e.LivenessConnected() if child.peer is None else e.SpeakerConnected(child.peer))
        turn_ns = clock.monotonic_ns()
        try:
            while (message := await connection.receive()) is not None:
                silence.heard(clock.monotonic_ns())
                self._handle(e.LivenessSaid(message) if child.peer is None else e.SpeakerSaid(child.peer, message))
                # A whole table may be waiting: everybody else has a turn in between.
                if clock.monotonic_ns() - turn_ns > _TURN_NS:
                    await asyncio.sleep(0)
                    turn_ns = clock.monotonic_ns()
        except PeerError as error:
            self.agent.refused[error.reason] += 1
            self._log("warning", "garbage from a child", child=child.name, reason=error.reason, detail=error.detail)
        silence.lost()
        self._handle(e.LivenessLost() if child.peer is None else e.SpeakerLost(child.peer))

    async def _check(self, check: CheckSettings) -> None:
        clock = self.ports.clock
        while True:
            begun_ns = clock.monotonic_ns()
            try:
                async with asyncio.timeout(check.timeout_ms / 1000):
                    passed, detail = await self._checks.probe(check)
            except TimeoutError:
                passed, detail = False, f"no answer within {check.timeout_ms} ms"
            self._handle(e.CheckRan(check.name, passed, detail))
            took_s = (clock.monotonic_ns() - begun_ns) / SECOND
            await asyncio.sleep(max(0.0, check.interval_ms / 1000 - took_s))

    async def _client(self, connection: Connection) -> None:
        while (message := await connection.receive()) is not None:
            if not isinstance(message, Request):
                raise PeerError("client_said_nonsense", type(message).__name__)
            try:
                await connection.send(await self._answer(message))
            except NetctlError as error:
                await connection.send(Reply({"exit_code": error.exit_code}, error.message, error.hint))
            if message.verb == "stop":
                self._stopping.set()
                return

    async def _answer(self, request: Request) -> Reply:
        if request.verb == "reset":
            event = self.answers.reset(request.argument)
            self._handle(event)
            return Reply({"peer": event.peer})
        if request.verb == "stop":
            return await self._stop(flush=request.argument == "flush")
        return self.answers.answer(request)

    # --- beginning and end ---------------------------------------------------------------------------------------

    async def _hand_over_gateway(self) -> None:
        """Write ``gateway.json`` and end the children that the change concerns, before any is started."""
        store, content = self.ports.store, encode_gateway(self.gateway)
        written = store.read(GATEWAY_FILE)
        if written == content:
            return
        before = decode_gateway(written)
        for child in changed_children(before, self.gateway) if before is not None else ():
            if not self._standalone:
                self._log("warning", "the gateway file changed", restart=child.name)
            elif await end_child(child, self.ports, self._hello, "the gateway file changed"):
                self._log("info", "child ended", child=child.name, reason="the gateway file changed")
        store.write(GATEWAY_FILE, content)

    async def _stop(self, *, flush: bool) -> Reply:
        self._standalone = False  # what ends now is not started again
        body = await end_all(self.gateway, self.ports, self._hello, flush=flush)
        self._log("info", "stopped", **body)
        return Reply(body)
