"""Starts, finds and ends one child."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from netctl.agent.children import Child, PidRecord, children_of, decode_pid, encode_pid
from netctl.agent.children.silence import SHOWN_NS, WEDGED_NS, Silence
from netctl.ipc.io import connect
from netctl.ipc.messages import Hello, Shutdown
from netctl.model.clock import SECOND
from netctl.model.errors import EnvironmentLackError, PeerError
from netctl.model.gateway import Gateway
from netctl.model.ports import Ports, ProcessId, ProcessSpec
from netctl.model.routing import DeleteNexthop, DeleteRoutes, KernelOp

_UNKNOWN_START_NS = 3 * SECOND
"""How long a child may take to answer whose start was begun by an agent that died before it wrote down the pid."""
_BACKOFF_NS = (0, 200_000_000, SECOND, 2 * SECOND, 5 * SECOND)
_LASTED_NS = 30 * SECOND

Log = Callable[..., None]


class Supervisor:
    """Keeps one child running. ``ensure`` is called again and again while its socket does not answer."""

    def __init__(self, child: Child, ports: Ports, log: Log, last_line: Callable[[str], str]) -> None:
        self.child = child
        self._ports = ports
        self._log = log
        self._last_line = last_line
        self.silence = Silence()
        self._silent_since_ns: int | None = None
        self._started_ns = 0
        self._not_before_ns = 0
        self._process: ProcessId | None = None
        self.starts = 0
        self.quick_deaths = 0
        self.answered_once = False
        self.last_exit = ""
        """The last line that it wrote before it ended, where it ended by itself."""

    def answered(self) -> None:
        """Its socket answers."""
        self._silent_since_ns = None
        self.answered_once = True

    def silent_s(self) -> float:
        """How long it has lived and been silent, connected or not, in seconds; 0 while that is nothing to speak of."""
        now_ns = self._ports.clock.monotonic_ns()
        silent_ns = self.silence.for_ns(now_ns)
        if self._silent_since_ns is not None and self.process() is not None:
            silent_ns = now_ns - self._silent_since_ns
        return round(silent_ns / SECOND, 1) if silent_ns > SHOWN_NS else 0.0

    def process(self) -> ProcessId | None:
        """The recorded process if it is alive."""
        if self._process is not None and self._ports.processes.alive(self._process):
            return self._process
        return recorded(self.child.pid_file, self._ports)

    def slept(self, gap_ns: int) -> None:
        """The agent did not run for that long: no child is accused of what nobody listened to."""
        self.silence.slept(gap_ns)
        if self._silent_since_ns is not None:
            self._silent_since_ns += gap_ns

    def judge_silence(self, *, kill: bool) -> None:
        """Say that a child that is connected is stuck; with ``kill`` end it, so that its socket closes."""
        news = self.silence.news(self._ports.clock.monotonic_ns())
        if news == "stuck":
            pids = self._kill() if kill else []
            action = "killed" if pids else "none: its process is not known" if kill else "none: not standalone"
            silent_s = self.silent_s()
            self._log("error", "child is stuck", child=self.child.name, silent_s=silent_s, action=action, pids=pids)
        elif news is not None:
            self._log("info", "child speaks again", child=self.child.name)

    def _kill(self) -> list[int]:
        """SIGKILL, which also ends a stopped process: all that is recorded, whatever holds the socket included."""
        relay = [recorded(name, self._ports) for name in self.child.pid_files[1:]]
        alive = [process for process in (self.process(), *relay) if process is not None]
        return [process.pid for process in alive if self._ports.processes.signal(process, signal.SIGKILL)]

    def ensure(self) -> None:
        """Start the child when it is dead; end it when it lives but has been silent for too long.

        Raises EnvironmentLackError when liveness ended by itself again and again without ever answering: then there is
        no protection, and something is wrong with this machine. A speaker's trouble is its own peer's alone.
        """
        now_ns = self._ports.clock.monotonic_ns()
        if self._silent_since_ns is None:
            self._silent_since_ns = now_ns
        silent_ns = now_ns - self._silent_since_ns
        process = self.process()
        if process is not None:
            if silent_ns > WEDGED_NS:
                pids = self._kill()
                self._log("error", "child does not answer", child=self.child.name, action="killed", pids=pids)
                self._silent_since_ns = None
            return
        record = decode_pid(self._ports.store.read(self.child.pid_file))
        if record is not None and record.pid == 0 and self.starts == 0 and silent_ns < _UNKNOWN_START_NS:
            return
        self._died(now_ns)
        if now_ns >= self._not_before_ns:
            if pids := self._kill():  # a relay whose ExaBGP is dead ends by itself, unless it is stopped
                self._log("info", "leftover ended", child=self.child.name, pids=pids)
            self._start(now_ns)

    def _died(self, now_ns: int) -> None:
        if not self._started_ns:
            return
        lasted_ns, self._started_ns = now_ns - self._started_ns, 0
        self.last_exit = self._last_line(self.child.log_path)
        self._log(
            "warning", "child ended", child=self.child.name, after_s=round(lasted_ns / SECOND, 1), said=self.last_exit
        )
        self.quick_deaths = self.quick_deaths + 1 if lasted_ns < _LASTED_NS else 0
        self._not_before_ns = now_ns + _BACKOFF_NS[min(self.quick_deaths, len(_BACKOFF_NS) - 1)]
        if self.child.peer is None and not self.answered_once and self.quick_deaths >= 2:
            raise EnvironmentLackError(
                f"{self.child.name} does not start: {self.last_exit or 'it says nothing'}", f"see {self.child.log_path}"
            )

    def _start(self, now_ns: int) -> None:
        self._record(PidRecord(0, 0))
        try:
            self._process = self._ports.processes.start(
                ProcessSpec(self.child.name, self.child.argv, self.child.log_path)
            )
        except EnvironmentLackError as error:
            self._log("error", "child cannot be started", child=self.child.name, reason=error.message)
            self._not_before_ns = now_ns + _BACKOFF_NS[-1]
            return
        self._record(PidRecord(self._process.pid, self._process.started))
        self._started_ns = self._silent_since_ns = now_ns
        self.starts += 1
        self._log("info", "child started", child=self.child.name, pid=self._process.pid)

    def _record(self, record: PidRecord) -> None:
        """A full disk is no reason to leave a child dead: this agent remembers it anyway."""
        try:
            self._ports.store.write(self.child.pid_file, encode_pid(record))
        except EnvironmentLackError as error:
            self._log("error", "pid file not written", child=self.child.name, reason=error.message)


async def end_child(child: Child, ports: Ports, hello: Hello, reason: str, within_s: float = 5.0) -> bool:
    """End one child orderly (Shutdown by its socket), then by signal. Returns whether it was running at all."""
    supervisor = Supervisor(child, ports, lambda *_, **__: None, lambda _: "")
    process = supervisor.process()
    asked = False
    try:
        async with asyncio.timeout(within_s):
            connection = await connect(ports.streams, child.socket, hello)
            asked = True
            await connection.send(Shutdown(reason))
            while await connection.receive() is not None:
                pass
            connection.close()
    except (ConnectionError, PeerError, TimeoutError, EnvironmentLackError):
        pass  # it does not answer: the signals below end it
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if process is None or await _gone(process, ports, within_s, number):
            break
    for name in child.pid_files:
        if (left := recorded(name, ports)) is not None:  # a relay that is stopped
            await _gone(left, ports, within_s, signal.SIGKILL)
        ports.store.delete(name)
    return asked or process is not None


def recorded(pid_file: str, ports: Ports) -> ProcessId | None:
    """The process that a pid file names, if it is alive."""
    record = decode_pid(ports.store.read(pid_file))
    if record is None or not record.pid:
        return None
    process = ProcessId(record.pid, record.started)
    return process if ports.processes.alive(process) else None


async def end_all(gateway: Gateway, ports: Ports, hello: Hello, *, flush: bool) -> dict[str, Any]:
    """Speakers first (they withdraw: nobody sends to us any more), then liveness; with ``flush`` netctl's routes too.
    Returns which programs were running."""
    liveness, *speakers = children_of(gateway)
    ends = [end_child(child, ports, hello, "stop was asked for") for child in speakers]
    ended = dict(zip([child.name for child in speakers], await asyncio.gather(*ends), strict=True))
    ended[liveness.name] = await end_child(liveness, ports, hello, "stop was asked for")
    if flush:
        state = ports.kernel.dump()
        routes: list[KernelOp] = [DeleteRoutes(tuple(state.routes))] if state.routes else []
        ports.kernel.apply([*routes, *(DeleteNexthop(id_) for id_ in (*state.groups, *state.members))])
    return {"ended": ended, "flushed": flush}


async def _gone(process: ProcessId, ports: Ports, within_s: float, number: int | None) -> bool:
    ended = asyncio.Event()
    if number is not None and not ports.processes.signal(process, number):
        return True
    ports.processes.on_exit(process, ended.set)
    try:
        async with asyncio.timeout(within_s if number is not None else 2.0):
            await ended.wait()
    except TimeoutError:
        return False
    return True
