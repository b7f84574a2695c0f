# long because: one description of the two nodes and the daemons on them serves every interoperability test
"""A gateway and a router in namespaces of their own, with a real speaker on one side and BIRD or FRR on the other.

Everything is started with PR_SET_PDEATHSIG and ends with the test process, even when that one is killed.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from netctl.bgp.render import Neighbour, Router, render_bird, render_frr
from netctl.ipc.io import Connection, UnixStreams, connect
from netctl.ipc.messages import Complete, Counters, Hello, Message, Routes, SessionState, Withdrawn
from netctl.model.errors import PeerError
from netctl.model.gateway import BfdSettings, Gateway, Peer
from netctl.model.prefix import format_prefix, parse_prefix

FRR = Path("/usr/lib/frr")
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)


class Net:
    """Namespaces ``gw`` (10.0.1.1, interface gw-pa) and ``router`` (10.0.1.2, interface to-gw)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self.holders: dict[str, int] = {}
        self.link("gw", "gw-pa", "10.0.1.1/30", "router", "to-gw", "10.0.1.2/30")

    def link(self, a: str, a_interface: str, a_address: str, b: str, b_interface: str, b_address: str) -> None:
        """A link between two nodes, which are made if they are not there."""
        for node in (a, b):
            if node not in self.holders:
                self.holders[node] = self._hold()
                self.run(node, "ip", "link", "set", "lo", "up")
        ends = ("type", "veth", "peer", "name", b_interface, "netns", str(self.holders[b]))
        self.run(a, "ip", "link", "add", a_interface, *ends)
        for node, interface, address in ((a, a_interface, a_address), (b, b_interface, b_address)):
            self.run(node, "ip", "addr", "add", address, "dev", interface)
            self.run(node, "ip", "link", "set", interface, "up")

    def _hold(self) -> int:
        process = self.popen(
            None, "unshare", "-n", "-m", "sh", "-c", "echo ready; exec sleep 600", stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    def popen(self, node: str | None, *argv: str, **kwargs: object) -> subprocess.Popen[bytes]:
        enter = ("nsenter", "-t", str(self.holders[node]), "-n", "-m") if node else ()
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [*enter, *argv],
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (no threads here)
            **kwargs,
        )
        self._started.append(process)
        return process

    def run(self, node: str, *argv: str) -> str:
        process = self.popen(node, *argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0, output.decode()
        return output.decode()

    def bird(self, router: Router, node: str = "router") -> Bird:
        return Bird(self, router, node)

    def speaker(self, gateway: Gateway, enter: tuple[str, ...] = ()) -> SpeakerProcess:
        return SpeakerProcess(self, gateway, enter)

    async def client(self, socket: str) -> Client:
        return await connected(socket)

    def close(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


class Bird:
    """BIRD, in ``router`` unless another node is named."""

    refreshes = True

    def __init__(self, net: Net, router: Router, node: str = "router") -> None:
        self.net = net
        self.node = node
        self.conf = net.folder / f"bird-{node}.conf"
        self.conf.write_text(render_bird(router))
        self.start()

    def start(self) -> None:
        log = (self.net.folder / "bird.log").open("ab")
        self.process = self.net.popen(self.node, "bird", "-f", "-c", str(self.conf), "-s", self._socket, stderr=log)

    @property
    def _socket(self) -> str:
        return str(self.net.folder / f"bird-{self.node}.ctl")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def ask(self, *words: str) -> str:
        return self.net.run(self.node, "birdc", "-s", self._socket, *words)

    def learned(self) -> set[str]:
        lines = self.ask("show", "route", "protocol", "n_gw").splitlines()
        return {line.split()[0] for line in lines if "/" in line.split(" ")[0]}


class Frr:
    """zebra, bfdd and bgpd in ``router``."""

    refreshes = False

    def __init__(self, net: Net, router: Router) -> None:
        self.net = net
        # frr:frr has to reach it: pytest's own folders are root's alone
        self.folder = Path(tempfile.mkdtemp(prefix="netctl-frr-"))
        shutil.chown(self.folder, "frr", "frrvty")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for daemon, text in render_frr(router).items():
            conf = self.folder / f"{daemon}.conf"
            conf.write_text(text)
            shutil.chown(conf, "frr", "frr")
        for daemon in ("zebra", "bfdd", "bgpd"):
            self.start(daemon)

    def start(self, daemon: str) -> None:
        f = self.folder
        argv = [str(FRR / daemon), "-u", "frr", "-g", "frr", "--vty_socket", str(f), "-i", f"{f}/{daemon}.pid"]
        argv += ["-z", f"{f}/zserv.api", "-f", f"{f}/{daemon}.conf"]
        argv += ["--bfdctl", f"{f}/bfdd.sock"] if daemon == "bfdd" else []
        log = (f / f"{daemon}.log").open("ab")
        self.processes[daemon] = self.net.popen("router", *argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for((f / f"{daemon}.vty").exists, 10, f"{daemon} did not start")

    def kill(self, daemon: str = "bgpd") -> None:
        self.processes[daemon].kill()
        self.processes[daemon].wait()
        (self.folder / f"{daemon}.vty").unlink()

    def ask(self, command: str) -> str:
        return self.net.run("router", "vtysh", "--vty_socket", str(self.folder), "-d", "bgpd", "-c", command)

    def learned(self) -> set[str]:
        table = msgspec.json.decode(self.ask("show bgp ipv4 unicast neighbors 10.0.1.1 routes json"))
        return set(table.get("routes", {}))


class SpeakerProcess:
    """``python -m netctl.speaker`` in ``gw``, and a client of its socket that remembers everything."""

    def __init__(self, net: Net, gateway: Gateway, enter: tuple[str, ...] = ()) -> None:
        self.net = net
        self.enter = enter
        self.gateway = gateway
        self.socket = f"{gateway.runtime_dir}/speaker-{gateway.peers[0].name}.sock"
        self.path = Path(gateway.runtime_dir) / "gateway.json"
        self.path.write_bytes(msgspec.json.encode(gateway))
        self.log = Path(gateway.runtime_dir) / "speaker.log"
        self.start()

    def start(self) -> None:
        log = self.log.open("ab")
        peer = self.gateway.peers[0].name
        self.process = self.net.popen(
            "gw", *self.enter, sys.executable, "-m", "netctl.speaker", str(self.path), peer, stdout=log, stderr=log
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def relay_pid(self) -> int:
        """ExaBGP's only child, 0 when there is none."""
        pid = self.process.pid  # nsenter has become the speaker, and that ExaBGP
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0

    async def client(self) -> Client:
        return await connected(self.socket, self.log.read_text)

    async def supervised_client(self) -> Client:
        """Start the speaker again if it ends, as the agent or systemd would, until a client is connected."""
        for _ in range(200):
            if self.process.poll() is not None:
                self.start()
            try:
                return Client(await connect(UnixStreams(), self.socket, Hello("agent", "test", os.getpid())))
            except (ConnectionError, PeerError):
                await asyncio.sleep(0.1)
        return pytest.fail(self.log.read_text())


async def connected(socket: str, log: Callable[[], str] = str) -> Client:
    """A client of the speaker at ``socket``, as soon as it listens; ``log`` says why it does not."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return Client(await connect(UnixStreams(), socket, Hello("agent", "test", os.getpid())))
        except ConnectionError:
            assert time.monotonic() < deadline, log()
            await asyncio.sleep(0.05)


class Client:
    """What an agent would know."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.messages: list[Message] = []
        self.table: dict[str, Routes] = {}
        self.session = SessionState("down", -1, 0.0)
        self.complete: Complete | None = None
        self.counters: dict[str, float] = {}
        self.ended = False
        self.task = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        while (message := await self.connection.receive()) is not None:
            self.messages.append(message)
            match message:
                case SessionState():
                    if message.state != "up" or message.sessions != self.session.sessions:
                        self.table.clear()
                        self.complete = None
                    self.session = message
                case Routes():
                    keys = message.prefixes
                    self.table |= {format_prefix(keys[i : i + 5]): message for i in range(0, len(keys), 5)}
                case Withdrawn():
                    keys = message.prefixes
                    for i in range(0, len(keys), 5):
                        self.table.pop(format_prefix(keys[i : i + 5]), None)
                case Complete():
                    self.complete = message
                case Counters():
                    self.counters = message.values
                case _:
                    pass
        self.ended = True

    def story(self) -> str:
        """Every change of the session."""
        states = [message for message in self.messages if isinstance(message, SessionState)]
        return "\n".join(f"{state.since_wall:.3f} {state.state} {state.reason}" for state in states)

    async def until(self, condition: Callable[[Client], bool], within_s: float = 15.0) -> float:
        """Seconds until ``condition`` held."""
        started = time.monotonic()
        while not condition(self):
            if time.monotonic() > started + within_s:
                pytest.fail(f"not within {within_s} s; session {self.session}, table {list(self.table)[:9]}")
            await asyncio.sleep(0.01)
        return time.monotonic() - started


def wait_for(condition: Callable[[], bool], within_s: float, message: str = "") -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + within_s, message
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for the sake of unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="netctl-sp-"))
    yield path

    def removed() -> bool:
        shutil.rmtree(path, ignore_errors=True)  # a relay that is about to end takes its socket away itself
        return not path.exists()

    wait_for(removed, 10)


@pytest.fixture
def net(folder: Path) -> Iterator[Net]:
    if os.geteuid() != 0:
        pytest.fail("needs root, for namespaces with other users' uids")
    net = Net(folder)
    try:
        yield net
    finally:
        net.close()


@pytest.fixture
def gateway(folder: Path) -> Gateway:
    peer = Peer("pa", "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001)
    return Gateway("ga1", "a", 65100, "10.0.1.1", str(folder), (peer,))


@pytest.fixture
def bfd() -> BfdSettings:
    """Asking for it gives the router BFD too."""
    return BfdSettings(50, 3)


@pytest.fixture
def router(request: pytest.FixtureRequest) -> Router:
    bfd = request.getfixturevalue("bfd") if "bfd" in request.fixturenames else None
    neighbour = Neighbour("gw", "to-gw", "10.0.1.2", "10.0.1.1", 65100, bfd)
    announce = tuple(parse_prefix(text) for text in ("10.2.0.0/16", "10.3.0.0/16", "10.4.1.0/24"))
    return Router("pa", 65001, "10.0.1.2", (neighbour,), announce)


@pytest.fixture
def bird(net: Net, router: Router) -> Bird:
    return Bird(net, router)


@pytest.fixture
def frr(net: Net, router: Router) -> Iterator[Frr]:
    frr = Frr(net, router)
    yield frr
    net.close()
    shutil.rmtree(frr.folder)


@pytest.fixture
def speaker(net: Net, gateway: Gateway) -> SpeakerProcess:
    return SpeakerProcess(net, gateway)


@pytest.fixture(params=["bird", "frr"])
def frr_or_bird_with_asn(request: pytest.FixtureRequest, net: Net, router: Router) -> Iterator[Callable[[int], None]]:
    frrs: list[Frr] = []

    def start(asn: int) -> None:
        wrong = replace(router, asn=asn)
        if request.param == "bird":
            Bird(net, wrong)
        else:
            frrs.append(Frr(net, wrong))

    yield start
    net.close()
    for frr in frrs:
        shutil.rmtree(frr.folder)


@pytest.fixture
def until_there() -> Callable[..., Awaitable[float]]:
    """Await a condition that asks another program; seconds until it held."""

    async def until(condition: Callable[[], bool], within_s: float = 15.0) -> float:
        started = time.monotonic()
        while not condition():
            assert time.monotonic() < started + within_s, "not there in time"
            await asyncio.sleep(0.05)
        return time.monotonic() - started

    return until


@pytest.fixture
def client_of() -> Callable[[Gateway], Awaitable[Client]]:
    return lambda gateway: connected(f"{gateway.runtime_dir}/speaker-{gateway.peers[0].name}.sock")
