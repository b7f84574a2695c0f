"""The embedded router at work: programs, sockets, kernel."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from netctl.fib.io import NetlinkKernel
from netctl.ipc.io import Connection, UnixStreams, connect
from netctl.ipc.messages import (
    Announce,
    AnnouncedRoute,
    Arm,
    ArmedSession,
    BfdSession,
    Hello,
    MemberPointed,
    Message,
    ResetSession,
)
from netctl.lab.embedded.rib import Rib
from netctl.lab.embedded.settings import Settings
from netctl.model.errors import EnvironmentLackError, PeerError
from netctl.model.gateway import GROUP_ID_BASE, Peer
from netctl.model.ports import Kernel
from netctl.model.prefix import Prefix
from netctl.model.routing import DeleteNexthop, DeleteRoutes, KernelOp, PutGroup, PutRoutes

Talk = Callable[[Connection], Awaitable[None]]
_RETRY_S = 0.2
_PR_SET_PDEATHSIG = 1


class EmbeddedRouter:
    """One node. ``run`` ends when cancelled; its programs end with this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gateway = settings.gateway()
        self._rib = Rib(settings)
        self._kernel: Kernel = NetlinkKernel()
        self._groups = {peer.name: GROUP_ID_BASE + 1 + index for index, peer in enumerate(self._gateway.peers)}
        self._members: set[str] = set()
        self._ready_groups: set[str] = set()
        self._installed: dict[Prefix, str] = {}
        self._speakers: dict[str, Connection] = {}
        self._announced: dict[str, tuple[AnnouncedRoute, ...]] = {}
        self._bfd_up: set[str] = set()
        self._generation = 0
        self._dirty = asyncio.Event()

    async def run(self) -> None:
        """Raises EnvironmentLackError when the runtime_dir cannot be written or the kernel not be reached."""
        path = Path(self._gateway.runtime_dir) / "gateway.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(self._gateway))
        except OSError as error:
            raise EnvironmentLackError(f"cannot write {path}: {error.strerror}", "choose another runtime_dir") from None
        _refuse_machines_namespace()
        self._forget_earlier_life()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_running("netctl.liveness", str(path)))
            tasks.create_task(self._talk("liveness.sock", self._with_liveness))
            for peer in self._gateway.peers:
                tasks.create_task(self._keep_running("netctl.speaker", str(path), peer.name))
                tasks.create_task(self._talk(f"speaker-{peer.name}.sock", partial(self._with_speaker, peer)))
            tasks.create_task(self._settle())

    def _forget_earlier_life(self) -> None:
        """What a killed predecessor left; a router that starts has no routes."""
        state = self._kernel.dump()
        self._kernel.apply([DeleteRoutes(tuple(state.routes)), *(DeleteNexthop(group) for group in state.groups)])

    # --- programs and their sockets ---------------------------------------------------------------------------------

    async def _keep_running(self, module: str, *arguments: str) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.DEVNULL, preexec_fn=_die_with_parent
            )
            code = await process.wait()
            print(f"{module} {' '.join(arguments)} ended with {code}; starting it again", file=sys.stderr, flush=True)
            await asyncio.sleep(1)

    async def _talk(self, socket: str, talk: Talk) -> None:
        """Connect, talk until the other end leaves, connect again, for ever."""
        path = f"{self._gateway.runtime_dir}/{socket}"
        while True:
            try:
                connection = await connect(UnixStreams(), path, Hello("agent", self._settings.name, os.getpid()))
                await talk(connection)
                connection.close()
            except (ConnectionError, PeerError):
                pass
            await asyncio.sleep(_RETRY_S)

    async def _with_speaker(self, peer: Peer, connection: Connection) -> None:
        self._speakers[peer.name] = connection
        self._rib.speaker_lost(peer.name)
        self._announced.pop(peer.name, None)
        self._dirty.set()
        try:
            while (message := await connection.receive()) is not None:
                if self._rib.learn(peer.name, message):
                    self._dirty.set()
        finally:
            del self._speakers[peer.name]
            self._rib.speaker_lost(peer.name)
            self._dirty.set()

    async def _with_liveness(self, connection: Connection) -> None:
        self._generation += 1
        alone = tuple(ArmedSession(peer.name, ()) for peer in self._gateway.peers)
        await connection.send(Arm(self._generation, alone))
        while (message := await connection.receive()) is not None:
            await self._liveness_said(message)

    async def _liveness_said(self, message: Message) -> None:
        match message:
            case MemberPointed(peer=name):
                self._members.add(name)
                self._dirty.set()
            case BfdSession(peer=name, state="up"):
                self._bfd_up.add(name)
            case BfdSession(peer=name) if name in self._bfd_up:
                self._bfd_up.discard(name)
                self._rib.bfd_down(name)
                self._dirty.set()
                if name in self._speakers:
                    await self._speakers[name].send(ResetSession("BFD is down"))
            case _:
                pass

    # --- what follows from the tables -------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Carry out the tables' consequences; changes that come together are one pass."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not self._install():
                asyncio.get_running_loop().call_later(_RETRY_S, self._dirty.set)
            for name, connection in list(self._speakers.items()):
                routes = self._rib.announcements(name)
                if self._announced.get(name) != routes:
                    self._announced[name] = routes
                    self._generation += 1
                    await connection.send(Announce(self._generation, routes))

    def _install(self) -> bool:
        """Make the kernel's routes the best ones; False when something has to be tried again."""
        best = {prefix: name for prefix, (name, _) in self._rib.best().items()}
        ops: list[KernelOp] = []
        for peer in self._gateway.peers:
            if peer.name in self._members - self._ready_groups:
                ops.append(PutGroup(self._groups[peer.name], ((peer.member_id, 1),)))
                self._ready_groups.add(peer.name)
        for name in sorted(self._ready_groups):
            new = tuple(prefix for prefix, at in best.items() if at == name != self._installed.get(prefix))
            if new:
                ops.append(PutRoutes(new, self._groups[name]))
                self._installed.update(dict.fromkeys(new, name))
        gone = tuple(prefix for prefix in self._installed if prefix not in best)
        if gone:
            ops.append(DeleteRoutes(gone))
            for prefix in gone:
                del self._installed[prefix]
        failed = self._kernel.apply(ops) if ops else []
        for failure in failed:
            print(f"kernel refused {failure.op}: {failure.message}", file=sys.stderr, flush=True)
        if failed:  # a member or link that is not there (yet): do it all again
            self._ready_groups.clear()
            self._installed.clear()
        return not failed and all(name in self._ready_groups for name in best.values())


def _refuse_machines_namespace() -> None:
    """What it writes goes into the kernel's table of its namespace: not into the machine's own."""
    with suppress(PermissionError):  # process 1 is another user's: then this is no namespace of the machine's
        if Path("/proc/1/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            raise EnvironmentLackError(
                "the embedded router wants a network namespace of its own", "it is part of a lab: netctl lab up"
            )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
