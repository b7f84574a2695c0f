"""``CheckerShell``: connections to the controllers, runs and time around ``decide.Core``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol
from zlib import crc32

from netctl.checker.decide import Core
from netctl.health.checks import Checks
from netctl.health.schedule import TICK_NS, Run
from netctl.ipc.io import Connection, connect, serve
from netctl.ipc.messages import ALIVE_S, CheckerCloud, CheckTargets, Hello, Reply, Request, Verdicts
from netctl.model.clock import SECOND, Clock
from netctl.model.controller import Checker
from netctl.model.errors import NetctlError, PeerError, UsageError
from netctl.model.gateway import CheckSettings
from netctl.model.ports import Streams
from netctl.telemetry.metrics import render

SOCKET = "checker.sock"
VERBS = ("status", "metrics")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_SIGN_OF_LIFE_S = 1.0
_MOST_VERDICTS = 1000
"""In one message."""


class Log(Protocol):
    """Takes ``info`` or ``warning``, what happened, and its facts."""

    def __call__(self, level: str, event: str, **fields: object) -> None: ...


class CheckerShell:
    """One checker. ``local`` carries its own socket, ``remote`` the connections to controllers (by ``HOST:PORT``)."""

    def __init__(
        self, settings: Checker, clock: Clock, local: Streams, remote: Streams, checks: Checks, *, pid: int, log: Log
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._local = local
        self._remote = remote
        self._checks = checks
        self._log = log
        self._hello = Hello("checker", settings.name, pid, alive_s=ALIVE_S)
        self._since_wall = clock.wall()
        self._due = asyncio.Event()
        self._to_say = {address: asyncio.Event() for address in settings.controllers}
        self.core = Core(settings.cloud, settings.controllers, clock.monotonic_ns())

    async def run(self) -> None:
        """Until it is cancelled. Raises EnvironmentLackError when the socket is another checker's."""
        path = f"{self._settings.runtime_dir}/{SOCKET}"
        server = await serve(self._local, path, self._hello, self._client)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick())
                tasks.create_task(self._begin_runs(tasks))
                for address in self._settings.controllers:
                    tasks.create_task(self._follow(address))
        finally:
            server.close()

    # --- runs ----------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_NS / SECOND)
            self.core.tick(self._clock.monotonic_ns())

    async def _begin_runs(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._due.clear()
            for run in self.core.begin(self._clock.monotonic_ns()):
                tasks.create_task(self._run(run))
            timer = None
            if not self.core.full and (due_ns := self.core.schedule.next_due()) is not None:
                timer = self._clock.call_at(due_ns, self._due.set)
            await self._due.wait()
            if timer is not None:
                timer.cancel()

    async def _run(self, run: Run) -> None:
        target = run.target
        check = CheckSettings(target.instance, target.http, target.tcp, timeout_ms=target.timeout_ms)
        passed: bool | None
        try:
            passed, detail = await self._checks.probe(check)
        except Exception as error:  # a mistake of ours must not stop the checks of this target for ever
            passed, detail = None, f"{type(error).__name__}: {error}"
            self._log("error", "a run failed in itself", target=target.http or target.tcp, error=detail, exc_info=error)
        for address in self.core.ended(run, passed=passed, detail=detail, now=self._clock.monotonic_ns()):
            self._to_say[address].set()
        self._due.set()

    # --- controllers ---------------------------------------------------------------------------------------------

    async def _follow(self, address: str) -> None:
        """Keep a connection to one controller."""
        spread = 0.75 + crc32(f"{self._settings.name} {address}".encode()) / 2**34  # not all checkers at one moment
        pause_s, said = _FIRST_PAUSE_S, ""
        while True:
            reason, useful = await self._converse(address)
            self.core.disconnected(address, reason, self._clock.monotonic_ns(), self._clock.wall())
            if reason != said or useful:
                self._log("warning", "controller lost" if useful else "no controller", address=address, reason=reason)
                said = reason
            pause_s = _FIRST_PAUSE_S if useful else min(pause_s * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s * spread)

    async def _converse(self, address: str) -> tuple[str, bool]:
        """One connection, until it ends; why it ended, in words, and whether it had brought targets."""
        try:
            connection = await connect(self._remote, address, self._hello)
        except (ConnectionError, PeerError) as error:
            return str(error).removeprefix(f"{address}: "), False
        talker: asyncio.Task[None] | None = None
        useful = False
        try:
            if connection.peer_hello.program != "controller":
                raise PeerError("no_controller", f"{connection.peer_hello.program} listens there")
            self.core.connected(address, connection.peer_hello.name, self._clock.wall())
            talker = asyncio.get_running_loop().create_task(self._talk(address, connection))
            while (message := await connection.receive()) is not None:
                if not isinstance(message, CheckTargets):
                    raise PeerError("unexpected_message", type(message).__name__)
                self.core.told(address, message, self._clock.monotonic_ns())
                if not useful:
                    self._log("info", "controller connected", address=address, identity=connection.peer_hello.name)
                useful = True
                self._to_say[address].set()
                self._due.set()
        except PeerError as error:
            return str(error), useful
        finally:
            connection.close()
            if talker is not None:
                talker.cancel()
        return "it closed the connection", useful

    async def _talk(self, address: str, connection: Connection) -> None:
        """Tell one controller what it has not been told; each second something, as a sign of life."""
        to_say = self._to_say[address]
        await connection.send(CheckerCloud(self._settings.cloud))
        while True:
            to_say.clear()
            verdicts = self.core.unsaid(address, _MOST_VERDICTS)
            await connection.send(Verdicts(verdicts))
            if len(verdicts) < _MOST_VERDICTS:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SIGN_OF_LIFE_S):
                        await to_say.wait()

    # --- questions -----------------------------------------------------------------------------------------------

    async def _client(self, connection: Connection) -> None:
        while (message := await connection.receive()) is not None:
            if not isinstance(message, Request):
                raise PeerError("client_said_nonsense", type(message).__name__)
            try:
                reply = Reply(self.answer(message.verb))
            except NetctlError as error:
                reply = Reply({"exit_code": error.exit_code}, error.message, error.hint)
            await connection.send(reply)

    def answer(self, verb: str) -> dict[str, object]:
        """The body of a reply. Raises UsageError for a verb it does not know."""
        match verb:
            case "status":
                head = {"checker": self._settings.name, "pid": self._hello.pid, "since_wall": self._since_wall}
                return head | self.core.status()
            case "metrics":
                return {"text": self.metrics()}
        raise UsageError(f"the checker does not know {verb!r}", f"it knows {', '.join(VERBS)}")

    def metrics(self) -> str:
        """In Prometheus' text format."""
        return render(self.core.samples())
