"""Controllers that run in a test's process, and the checker's end of their stream."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from netctl.controller.shell import ControllerShell
from netctl.ipc.io import UnixStreams, connect
from netctl.ipc.messages import CheckerCloud, CheckTargets, Hello, Reply, Request, Verdict, Verdicts
from netctl.ipc.tls.io import TlsStreams
from netctl.kube.io import open_kube
from netctl.model.controller import CheckersSettings, Controller, GuardSettings
from netctl.model.io import SystemClock
from netctl.names.io import open_registry
from tests.real.etcd import free_port

Logs = list[tuple[str, str, dict[str, object]]]


class RunningController:
    """A controller's shell as a task, on real ports."""

    def __init__(self, settings: Controller, logs: Logs) -> None:
        self.settings = settings
        self._registries = {source.name: open_registry(source) for source in settings.sources}
        self._kubes = {cluster.name: open_kube(cluster) for cluster in settings.clusters}
        tls = settings.checkers.tls if settings.checkers is not None else None
        self.shell = ControllerShell(
            settings,
            clock=SystemClock(),
            registries=self._registries,
            kubes=self._kubes,
            streams=UnixStreams(),
            checker_streams=TlsStreams(tls),
            log=lambda level, event, **fields: logs.append((level, event, fields)),
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RunningController:
        self._task = asyncio.create_task(self.shell.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """As SIGTERM makes it."""
        assert self._task is not None
        failed = self._task.done()
        self._task.cancel()
        result = (await asyncio.gather(self._task, return_exceptions=True))[0]
        for registry in self._registries.values():
            await registry.close()
        for api in self._kubes.values():
            await api.close()
        if failed and isinstance(result, Exception):
            raise result

    async def ask(self, verb: str, argument: str = "") -> dict[str, Any]:
        return await ask(Path(self.settings.runtime_dir, "controller.sock"), verb, argument)

    def status(self) -> dict[str, Any]:
        assert self._task is not None
        if self._task.done():
            self._task.result()
        return self.shell.answers.answer(Request("status"))[0].body

    async def steady(self, within_s: float = 20.0) -> None:
        """Until it leads or stands by everywhere and nothing is left to do."""
        await until(lambda: self.status()["steady"], within_s)


class TestChecker:
    """A checker that says what the test wants."""

    __test__ = False

    def __init__(self, controller: Controller, cloud: str, name: str = "") -> None:
        assert controller.checkers is not None
        self._listen = controller.checkers.listen
        self._cloud = cloud
        self._name = name or f"{cloud}-checker"
        self.targets: dict[tuple[str, str], str] = {}

    async def __aenter__(self) -> TestChecker:
        await until(lambda: _listens(self._listen), 10)
        self._connection = await connect(TlsStreams(None), self._listen, Hello("checker", self._name, 0))
        await self._connection.send(CheckerCloud(self._cloud))
        self._task = asyncio.create_task(self._hear())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._connection.close()

    async def _hear(self) -> None:
        while isinstance(message := await self._connection.receive(), CheckTargets):
            if message.full:
                self.targets.clear()
            self.targets.update({(t.service, t.instance): t.tcp or "" for t in message.targets})
            for gone in message.removed:
                self.targets.pop(gone, None)

    async def says(self, service: str, instance: str, *, passing: bool) -> None:
        """One verdict, once it is a target."""
        await until(lambda: (service, instance) in self.targets, 10)
        verdict = Verdict(service, instance, passing, self.targets[service, instance], "" if passing else "refused")
        await self._connection.send(Verdicts((verdict,)))


def on_loopback() -> CheckersSettings:
    return CheckersSettings(f"127.0.0.1:{free_port()}")


def guards(max_shrink: float = 0.3, removals: tuple[tuple[int, int], ...] = GuardSettings().removals) -> GuardSettings:
    return GuardSettings(max_shrink, removals)


async def ask(path: Path, verb: str, argument: str = "") -> dict[str, Any]:
    """What a controller answers at its socket. Raises ConnectionError."""
    connection = await connect(UnixStreams(), str(path), Hello("cli", "test", 0))
    try:
        await connection.send(Request(verb, argument))
        reply = await connection.receive()
    finally:
        connection.close()
    if not isinstance(reply, Reply):
        raise ConnectionError("it left without an answer")
    assert not reply.error, reply
    return reply.body


async def until(what: Callable[[], object], within_s: float) -> float:
    """Wait until it is true (or, of a coroutine, comes out true); how long it took, in seconds."""
    begun_s = time.monotonic()
    while not (await found if isinstance(found := what(), Awaitable) else found):
        assert time.monotonic() < begun_s + within_s, "it did not come about"
        await asyncio.sleep(0.005)
    return time.monotonic() - begun_s


def _listens(place: str) -> bool:
    host, _, port = place.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((host, int(port))) == 0
