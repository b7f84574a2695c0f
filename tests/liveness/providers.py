"""A gateway with liveness and two providers that run a real BFD daemon, in network namespaces."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from netctl.ipc.io import Connection, UnixStreams, connect
from netctl.ipc.messages import BfdSession, Counters, Hello, MemberPointed, Message
from netctl.model.gateway import BfdSettings, Gateway, Peer
from tests.liveness.nodes import NodeSet

BIRD = """
router id 10.0.1.2;
protocol device {{ }}
protocol bfd watch {{
  interface "far" {{ min rx interval 50 ms; min tx interval 50 ms; multiplier 3; }};
  neighbor {gateway} dev "far";
}}
"""
FRR = """
bfd
 peer {gateway} interface far
  receive-interval 50
  transmit-interval 50
  detect-multiplier 3
  no shutdown
"""


def start_bird(nodes: NodeSet, name: str, gateway: str) -> None:
    (nodes.folder / f"{name}.conf").write_text(BIRD.format(gateway=gateway))
    control = nodes.folder / f"{name}.ctl"
    nodes.start(name, ["bird", "-f", "-c", str(nodes.folder / f"{name}.conf"), "-s", str(control)])


def start_frr(nodes: NodeSet, name: str, gateway: str) -> None:
    nodes.run(name, "mount -t tmpfs tmpfs /run")  # seen in this set of nodes alone
    nodes.run(name, "install -d -o frr -g frrvty /run/frr-test")
    config = nodes.folder / f"{name}.conf"
    config.write_text(FRR.format(gateway=gateway))
    nodes.run(name, f"install -o frr -g frr {config} /run/frr-test/frr.conf")
    common = ["-u", "frr", "-g", "frr", "--vty_socket", "/run/frr-test"]
    common += ["-z", "/run/frr-test/zserv.api", "-f", "/run/frr-test/frr.conf"]
    nodes.start(name, ["/usr/lib/frr/zebra", *common, "-i", "/run/frr-test/zebra.pid"])
    bfdd = ["-i", "/run/frr-test/bfdd.pid", "--bfdctl", "/run/frr-test/bfdd.sock"]
    nodes.start(name, ["/usr/lib/frr/bfdd", *common, *bfdd])


def frr_admin_down(nodes: NodeSet, name: str, gateway: str) -> None:
    argv = ["vtysh", "--vty_socket", "/run/frr-test"]
    for command in ("configure terminal", "bfd", f"peer {gateway} interface far", "shutdown"):
        argv += ["-c", command]
    subprocess.run([*nodes.entered(name), *argv], check=True, capture_output=True, timeout=20)


DAEMONS = {"bird": start_bird, "frr": start_frr}


class Site:
    """A gateway with liveness and two providers: ``pa`` at BFD with a daemon, ``pb`` likewise."""

    def __init__(self, nodes: NodeSet, daemons: tuple[str, str] = ("bird", "bird")) -> None:
        self.nodes = nodes
        self.runtime = nodes.folder / "run"
        self.runtime.mkdir()
        nodes.add("gw")
        peers = []
        for number, (name, daemon) in enumerate(zip(("pa", "pb"), daemons, strict=True), 1):
            nodes.add(name)
            own, far = f"10.0.{number}.1", f"10.0.{number}.2"
            nodes.link(("gw", f"gw-{name}", f"{own}/30"), (name, "far", f"{far}/30"))
            DAEMONS[daemon](nodes, name, own)
            bfd = BfdSettings(50, 3)
            peers.append(Peer(name, "provider", f"gw-{name}", own, far, 65000 + number, bfd, member_id=1000 + number))
        nodes.run("gw", "sysctl -qw net.ipv4.nexthop_compat_mode=0")
        self.gateway = Gateway("ga1", "a", 65100, "10.0.1.1", str(self.runtime), tuple(peers))
        (self.runtime / "gateway.json").write_bytes(msgspec.json.encode(self.gateway))
        self.start()

    def start(self) -> None:
        argv = [sys.executable, "-m", "netctl.liveness", str(self.runtime / "gateway.json")]
        self.pid = self.nodes.start("gw", argv)
        self.program = self.nodes.programs[-1]

    def members(self) -> dict[int, str]:
        """Where members point, as the kernel says."""
        found = json.loads(self.nodes.run("gw", "ip -j nexthop show") or "[]")
        return {entry["id"]: entry["gateway"] for entry in found if "gateway" in entry}

    @property
    def ends(self) -> dict[str, list[tuple[str, str]]]:
        return {name: [("gw", f"gw-{name}"), (name, "far")] for name in ("pa", "pb")}


class Heard:
    """A client that remembers what liveness says."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.messages: list[tuple[float, Message]] = []
        self.states: dict[str, BfdSession] = {}
        self.at: dict[str, str] = {}
        self.counters: dict[str, float] = {}
        self._news = asyncio.Event()

    async def listen(self) -> None:
        while (message := await self.connection.receive()) is not None:
            self.messages.append((time.monotonic(), message))
            if isinstance(message, BfdSession):
                self.states[message.peer] = message
            elif isinstance(message, MemberPointed):
                self.at[message.peer] = message.at
            elif isinstance(message, Counters):
                self.counters = message.values
            self._news.set()

    async def until(self, condition: Callable[[], Any], within_s: float = 20.0) -> float:
        """Wait until what was heard fulfils the condition; the time at which it did."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                await self._news.wait()
        return time.monotonic()

    def first(self, since: float, wanted: Callable[[Any], bool]) -> tuple[float, Any]:
        return next((when, message) for when, message in self.messages if when >= since and wanted(message))


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[Heard]:
    path = str(site.runtime / "liveness.sock")
    async with asyncio.timeout(20):
        while True:
            try:
                connection = await connect(UnixStreams(), path, Hello(program="agent", name="ga1", pid=os.getpid()))
                break
            except ConnectionError:
                await asyncio.sleep(0.01)
    heard = Heard(connection)
    task = asyncio.create_task(heard.listen())
    try:
        yield heard
    except TimeoutError:
        raise AssertionError(f"heard: {heard.messages}\n{site.nodes.logs()}") from None
    finally:
        task.cancel()
        connection.close()


def all_up(heard: Heard) -> bool:
    return {name: session.state for name, session in heard.states.items()} == {"pa": "up", "pb": "up"}
