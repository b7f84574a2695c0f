"""``ControllerShell``: registries, clusters, checkers and the socket around ``decide.Controller``.

It uses nothing but what it is given and asyncio, so that it also runs in the simulator. From a registry's event to the
request that leaves for the API server there is no await but one turn of the event loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from netctl.controller import events as e
from netctl.controller.answers import Answers
from netctl.controller.decide import Controller
from netctl.ipc.io import Connection, Server
from netctl.ipc.messages import CheckerCloud, Hello, Message, Reply, Request, Verdicts
from netctl.kube.follow.io import follow
from netctl.kube.informer import Notice, Relisted
from netctl.kube.leading.io import keep_lease, release_lease
from netctl.model.clock import Clock, Timer
from netctl.model.controller import Controller as Settings
from netctl.model.errors import NetctlError, PeerError
from netctl.model.kube import (
    ENDPOINT_SLICES,
    SERVICES,
    KubeError,
    NotFoundError,
    Obj,
    Resource,
    UnknownOutcomeError,
    Write,
)
from netctl.model.ports import KubeApi, Registry, RegistryEvent, Streams

Log = Callable[..., None]
"""``log(level, event, **fields)``."""
CONTROLLER_SOCKET = "controller.sock"
_LEAVE_WITHIN_S = 2.0
"""How long to wait at the end for the answers to writes that are under way."""


def _quiet(level: str, event: str, **fields: object) -> None:
    """A log that nobody reads."""


class ControllerShell:
    """One controller. ``run`` ends when it is cancelled: its Leases are released, everything else stays as it is."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        registries: Mapping[str, Registry],
        kubes: Mapping[str, KubeApi],
        streams: Streams,
        checker_streams: Streams,
        pid: int = 0,
        log: Log = _quiet,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.controller = Controller(settings, clock.monotonic_ns(), clock.wall())
        self._clock = clock
        self._registries = registries
        self._kubes = kubes
        self._streams = streams
        self._checker_streams = checker_streams
        self._log = log
        self._jitter = jitter
        self._hello = Hello("controller", settings.identity, pid)
        self._server, self._checker_server = Server(), Server()
        self.answers = Answers(self.controller, clock, pid, (self._server, self._checker_server))
        self._checkers: dict[int, Connection] = {}
        self._keys = count(1)
        self._sending: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._going_on = False
        self._timer: Timer | None = None
        self._timer_ns: int | None = None

    async def run(self) -> None:
        """Raises EnvironmentLackError when a socket is taken or the checkers' certificate cannot be used."""
        settings = self.settings
        socket = f"{settings.runtime_dir}/{CONTROLLER_SOCKET}"
        try:
            await self._server.start(self._streams, socket, self._hello, self._client)
            if settings.checkers is not None:
                listen = settings.checkers.listen
                await self._checker_server.start(self._checker_streams, listen, self._hello, self._checker)
            async with asyncio.TaskGroup() as tasks:
                for source, registry in self._registries.items():
                    tasks.create_task(registry.follow(self._listener(source)))
                for name, api in self._kubes.items():
                    self._follow(tasks, name, api)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._leave()

    def _follow(self, tasks: asyncio.TaskGroup, name: str, api: KubeApi) -> None:
        cluster, handle = self.controller.clusters[name], self._handle
        namespace = cluster.settings.namespace

        def taker(resource: Resource) -> Callable[[Notice], None]:
            return lambda notice: handle(e.ClusterSaid(name, resource, notice))

        for resource in (SERVICES, ENDPOINT_SLICES):
            tasks.create_task(follow(api, resource, namespace, taker(resource), jitter=self._jitter))
        turned = e.LeaseTurned(name)
        tasks.create_task(keep_lease(api, namespace, cluster.lease, self._clock, lambda: handle(turned)))

    def _listener(self, source: str) -> Callable[[RegistryEvent], None]:
        return lambda event: self._handle(e.SourceSaid(source, event))

    # --- events and effects ------------------------------------------------------------------------------------------

    def _handle(self, event: e.Event) -> None:
        self._perform(self.controller.handle(event, self._clock.monotonic_ns()))

    def _perform(self, effects: list[e.Effect]) -> None:
        for effect in effects:
            match effect:
                case e.SendWrite():
                    self._start(self._send(effect))
                case e.ReadObject():
                    self._start(self._read(effect))
                case e.ListObjects():
                    self._start(self._list(effect))
                case e.TellChecker(key, message):
                    if key in self._checkers:
                        self._checkers[key].send_soon(message)
                case e.Note(level, event, fields):
                    self._log(level, event, **fields)
        now_ns = self._clock.monotonic_ns()
        if not self._going_on and self.controller.busy(now_ns):
            self._going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)
        self._set_timer(self.controller.next_timer(now_ns))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _go_on(self) -> None:
        self._going_on = False
        if not self._leaving:
            self._perform(self.controller.work(self._clock.monotonic_ns()))

    def _set_timer(self, due_ns: int | None) -> None:
        if due_ns == self._timer_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = None if due_ns is None else self._clock.call_at(due_ns, self._timer_due)

    def _timer_due(self) -> None:
        self._timer = self._timer_ns = None
        if not self._leaving:
            self._handle(e.TimerDue())

    async def _send(self, effect: e.SendWrite) -> None:
        cluster, write = self.controller.clusters[effect.cluster], effect.write
        if self._leaving or not cluster.lease.may_write(self._clock.monotonic_ns()):
            self._handle(e.WriteFailed(effect.cluster, effect.service, write, None))
            return
        try:
            stored = await _apply(self._kubes[effect.cluster], cluster.settings.namespace, write)
        except KubeError as error:
            self._handle(e.WriteFailed(effect.cluster, effect.service, write, error))
        except Exception as error:  # a mistake of ours must not leave the service waiting for ever
            self._log("error", "a write failed in itself", cluster=effect.cluster, name=write.name, exc_info=error)
            unknown = UnknownOutcomeError(f"{write.name}: {type(error).__name__}: {error}")
            self._handle(e.WriteFailed(effect.cluster, effect.service, write, unknown))
        else:
            self._handle(e.Wrote(effect.cluster, effect.service, write, stored))

    async def _read(self, effect: e.ReadObject) -> None:
        where = (effect.cluster, effect.service, effect.resource, effect.name)
        namespace = self.controller.clusters[effect.cluster].settings.namespace
        try:
            stored = await self._kubes[effect.cluster].get(effect.resource, namespace, effect.name)
        except NotFoundError:
            self._handle(e.ObjectRead(*where, None))
        except KubeError as error:
            self._handle(e.ReadFailed(*where, error))
        except Exception as error:
            self._log("error", "a read failed in itself", cluster=effect.cluster, name=effect.name, exc_info=error)
            self._handle(e.ReadFailed(*where, UnknownOutcomeError(f"{type(error).__name__}: {error}")))
        else:
            self._handle(e.ObjectRead(*where, stored))

    async def _list(self, effect: e.ListObjects) -> None:
        cluster, resource = effect.cluster, effect.resource
        namespace = self.controller.clusters[cluster].settings.namespace
        try:
            found = await self._kubes[cluster].list(resource, namespace)
        except KubeError as error:  # the watch is about to find that out too, and comes back some time
            self._log("warning", "list failed", cluster=cluster, resource=resource.plural, why=str(error))
        else:
            self._handle(e.ClusterSaid(cluster, resource, Relisted(found.items, found.resource_version)))

    # --- those who connect -------------------------------------------------------------------------------------------

    async def _checker(self, connection: Connection) -> None:
        first = await connection.receive()
        if not isinstance(first, CheckerCloud):
            raise PeerError("no_checker", type(first).__name__)
        name = connection.peer_hello.name
        if first.cloud not in self.controller.health.books:
            self._log("warning", "checker of an unknown cloud refused", checker=name, cloud=first.cloud)
            raise PeerError("checker_of_unknown_cloud", first.cloud)
        if (certified := connection.certified_cloud) not in ("", first.cloud):
            why = f"its certificate is for cloud {certified} (L)"
            self._log("warning", "checker of another cloud refused", checker=name, cloud=first.cloud, why=why)
            raise PeerError("checker_of_another_cloud", first.cloud)
        key = next(self._keys)
        self._checkers[key] = connection
        try:
            self._handle(e.CheckerCame(key, first.cloud, name))
            while (message := await _heard(connection)) is not None:
                if not isinstance(message, Verdicts):
                    raise PeerError("checker_said_nonsense", type(message).__name__)
                self._handle(e.CheckerSaid(key, message))
        finally:
            del self._checkers[key]
            if not self._leaving:
                self._handle(e.CheckerLeft(key))

    async def _client(self, connection: Connection) -> None:
        while (message := await connection.receive()) is not None:
            if not isinstance(message, Request):
                raise PeerError("client_said_nonsense", type(message).__name__)
            try:
                reply, effects = self.answers.answer(message)
                self._perform(effects)
            except NetctlError as error:
                reply = Reply({"exit_code": error.exit_code}, error.message, error.hint)
            await connection.send(reply)

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Send nothing more, hear what becomes of what was sent, and let the next one lead."""
        self._leaving = True
        self._set_timer(None)
        self._server.close()
        self._checker_server.close()
        if self._sending:
            await asyncio.wait(self._sending, timeout=_LEAVE_WITHIN_S)
            for task in self._sending:
                task.cancel()
        loop = asyncio.get_running_loop()
        releases = [
            loop.create_task(release_lease(api, cluster.settings.namespace, cluster.lease, self._clock))
            for name, api in self._kubes.items()
            if (cluster := self.controller.clusters[name]).lease.leading
        ]
        await asyncio.gather(*releases)


async def _heard(connection: Connection) -> Message | None:
    """The next message of a checker; it promised (``alive_s``) to say something every so often."""
    alive_s = connection.peer_hello.alive_s
    try:
        async with asyncio.timeout(2 * alive_s if alive_s else None):
            return await connection.receive()
    except TimeoutError:
        raise PeerError("checker_silent", f"nothing for {2 * alive_s} s") from None


async def _apply(api: KubeApi, namespace: str, write: Write) -> Obj | None:
    match write.verb:
        case "create":
            return await api.create(write.resource, namespace, write.object)
        case "replace":
            return await api.replace(write.resource, namespace, write.object)
        case "delete":
            metadata = write.object["metadata"]
            version = metadata["resourceVersion"]
            with suppress(NotFoundError):
                await api.delete(write.resource, namespace, write.name, uid=metadata["uid"], resource_version=version)
            return None
