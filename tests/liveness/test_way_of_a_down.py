"""Which of netctl's files a Down runs through from the packet that says it to the kernel's answer: on real sockets and
a real kernel, in network namespaces that end with their thread."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import netctl
from netctl.bfd.session import PORT, State
from netctl.fib.io import NetlinkKernel
from netctl.ipc.io import UnixStreams
from netctl.liveness.shell import LivenessShell, UdpNetwork
from netctl.model.gateway import BfdSettings, Gateway, Peer
from netctl.model.io import FileStore, RealProcesses, SystemClock
from netctl.model.ports import Ports
from netctl.model.routing import Via

ROOM = f"{Path(netctl.__file__).parent}/"
CLONE_NEWNET = 0x40000000
NAMES = {1: "left", 2: "right"}


def enter_new_namespace() -> int:
    """A descriptor of this thread's new network namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET): run as root or under `unshare -rn`")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def ip(words: str, *descriptors: int) -> None:
    subprocess.run(["ip", *words.split()], check=True, pass_fds=descriptors)


class Neighbour:
    """The far end of a session; made in its own namespace, it stays there."""

    def __init__(self, number: int) -> None:
        self._to = f"10.0.{number}.1"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        self._socket.bind((f"10.0.{number}.2", PORT))
        self._its_discriminator = 0

    def heard(self) -> bool:
        try:
            while True:
                (self._its_discriminator,) = struct.unpack_from(">I", self._socket.recv(100), 4)
        except BlockingIOError:
            return self._its_discriminator != 0

    def say(self, state: State) -> None:
        fields = (1 << 5, state << 6, 20, 24, 77, self._its_discriminator, 1_000_000, 1_000_000, 0)
        self._socket.sendto(struct.pack(">BBBBIIIII", *fields), (self._to, PORT))

    def close(self) -> None:
        self._socket.close()


class Trail:
    """netctl's files that run code between a datagram's arrival (``recvmsg``) and what netlink does next."""

    def __init__(self) -> None:
        self.at: list[tuple[str, list[str]]] = []
        """What netlink did (``send``, ``recv`` returned), and the files until then."""
        self._files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self._add(frame)
        elif event == "c_return" and arg.__name__ == "recvmsg":
            self._files.clear()
            above: FrameType | None = frame
            while above is not None:
                self._add(above)
                above = above.f_back
        elif (event, getattr(arg, "__name__", "")) in {("c_call", "send"), ("c_return", "recv")} and (
            isinstance(arg.__self__, socket.socket) and arg.__self__.family == socket.AF_NETLINK
        ):
            self.at.append((arg.__name__, sorted(self._files)))

    def _add(self, frame: FrameType) -> None:
        if frame.f_code.co_filename.startswith(ROOM):
            self._files.add(frame.f_code.co_filename.removeprefix(ROOM))


def made_shell(folder: Path, kernel: NetlinkKernel) -> LivenessShell:
    peers = tuple(
        Peer(
            name=name,
            kind="provider",
            interface=name,
            local=f"10.0.{number}.1",
            address=f"10.0.{number}.2",
            asn=65000 + number,
            bfd=BfdSettings(1000, 3),
            member_id=number,
        )
        for number, name in NAMES.items()
    )
    ports = Ports(SystemClock(), UdpNetwork(), UnixStreams(), kernel, FileStore(folder), RealProcesses())
    return LivenessShell(Gateway("g", "a", 65000, "10.0.1.1", str(folder), peers), ports)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within 20 s")


def in_namespaces(work: Callable[[dict[int, Neighbour]], None]) -> None:
    failure: list[BaseException] = []

    def body() -> None:
        opened: list[int] = []
        try:
            opened.append(enter_new_namespace())
            opened.append(enter_new_namespace())
            far, near = opened
            for number, name in NAMES.items():
                ip(f"link add {name} type veth peer name {name}-far netns /proc/self/fd/{far}", far)
                ip(f"addr add 10.0.{number}.1/24 dev {name}")
                ip(f"link set {name} up")
            setns = ctypes.CDLL(None, use_errno=True).setns
            assert setns(far, CLONE_NEWNET) == 0
            for number, name in NAMES.items():
                ip(f"addr add 10.0.{number}.2/24 dev {name}-far")
                ip(f"link set {name}-far up")
            neighbours = {number: Neighbour(number) for number in NAMES}
            assert setns(near, CLONE_NEWNET) == 0
            work(neighbours)
            for neighbour in neighbours.values():
                neighbour.close()
        except BaseException as error:
            failure.append(error)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def test_from_the_packet_to_the_kernel_a_down_crosses_four_files(tmp_path: Path) -> None:
    trail = Trail()

    async def scenario(neighbours: dict[int, Neighbour]) -> None:
        kernel, onlooker = NetlinkKernel(watch_routes=False), NetlinkKernel()
        shell = made_shell(tmp_path, kernel)
        running = asyncio.ensure_future(shell.run())
        sessions = shell._core.sessions._by_discriminator
        for neighbour in neighbours.values():
            await until(neighbour.heard)
            neighbour.say(State.DOWN)
        await until(lambda: all(session.state is State.INIT for session in sessions.values()))
        for neighbour in neighbours.values():
            neighbour.say(State.UP)
        await until(lambda: all(session.state is State.UP for session in sessions.values()))
        survivor = Via(b"\x0a\0\x02\x02", "right")
        assert onlooker.nexthops().members == {1: Via(b"\x0a\0\x01\x02", "left"), 2: survivor}
        sys.setprofile(trail)
        neighbours[1].say(State.DOWN)
        await until(lambda: bool(trail.at) and shell._core._paths["left"].away)
        sys.setprofile(None)
        assert onlooker.nexthops().members == {1: survivor, 2: survivor}
        shell.stop()
        await running
        kernel.close()
        onlooker.close()

    in_namespaces(lambda neighbours: asyncio.run(scenario(neighbours)))
    four = ["bfd/session.py", "fib/io.py", "liveness/decide.py", "liveness/shell.py"]
    assert [act for act, _ in trail.at if act == "send"] == ["send", "send"]  # whose is the nexthop; replace it
    assert trail.at[-1][0] == "recv"
    assert [files for _, files in trail.at] == [four] * len(trail.at)
