"""The hosts that the ``Kernel`` port is checked on: a real one in a network namespace of its own, and the fake.

The namespace belongs to a thread that ends with the test, so nothing of it outlives a killed run.
"""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from netctl.fib.fake import FakeKernel
from netctl.fib.io import NetlinkKernel
from netctl.model.ports import Kernel
from netctl.model.prefix import parse_address, parse_prefix
from netctl.model.routing import ROUTE_METRIC, KernelEvent, PutGroup, PutMember, Via

CLONE_NEWNET = 0x40000000
ZEBRA, BIRD = 11, 12
A, B = Via(parse_address("10.0.1.2"), "left"), Via(parse_address("10.0.2.2"), "right")
M1, M2, G1, G2 = 0x6E000001, 0x6E000002, 0x6E100001, 0x6E100002
P1, P2 = parse_prefix("10.9.0.0/16"), parse_prefix("0.0.0.0/0")
BOTH = (PutMember(M1, A), PutMember(M2, B), PutGroup(G1, ((M1, 1), (M2, 3))))
SETUP = """
ip link set lo up
ip link add left type veth peer name left-far
ip link add right type veth peer name right-far
ip addr add 10.0.1.1/30 dev left
ip addr add 10.0.2.1/30 dev right
for dev in left left-far right right-far; do ip link set $dev up; done
"""


class RealHost:
    """A kernel of its own, with what an operator (or a bad day) does to it."""

    def __init__(self) -> None:
        subprocess.run(["sh", "-ec", SETUP], check=True)
        Path("/proc/sys/net/ipv4/nexthop_compat_mode").write_text("0")
        self.opened: list[NetlinkKernel] = []

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)

    def open(self) -> Kernel:
        self.opened.append(NetlinkKernel())
        return self.opened[-1]

    def lose_carrier(self, name: str) -> None:
        self.ip("link", "set", f"{name}-far", "down")

    def regain_carrier(self, name: str) -> None:
        self.ip("link", "set", f"{name}-far", "up")

    def delete_route(self, prefix: str) -> None:
        self.ip("route", "del", prefix, "proto", "110", "metric", str(ROUTE_METRIC))

    def delete_nexthop(self, identity: int) -> None:
        self.ip("nexthop", "del", "id", str(identity))

    def put_foreign_route(self, prefix: str) -> None:
        self.ip("route", "add", *self.foreign_route(prefix))

    def delete_foreign_route(self, prefix: str) -> None:
        self.ip("route", "del", *self.foreign_route(prefix))

    def has_foreign_route(self, prefix: str) -> bool:
        return bool(self.shown("route", "show", *self.foreign_route(prefix)))

    def foreign_route(self, prefix: str) -> list[str]:
        return [prefix, "via", "10.0.2.2", "dev", "right", "proto", "bird", "metric", str(ROUTE_METRIC)]

    def put_foreign_nexthop(self, identity: int) -> None:
        self.ip("nexthop", "add", "id", str(identity), "via", "10.0.2.2", "dev", "right", "proto", "zebra")

    def has_foreign_nexthop(self, identity: int) -> bool:
        return "via 10.0.2.2 dev right scope link proto zebra" in self.shown("nexthop", "show", "id", str(identity))

    def shown(self, *words: str) -> str:
        return subprocess.run(["ip", *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def close(self) -> None:
        for kernel in self.opened:
            kernel.close()


class FakeHost:
    def __init__(self) -> None:
        self.kernel = FakeKernel(call_soon=asyncio.get_running_loop().call_soon)
        for name, address in (("left", "10.0.1.1"), ("right", "10.0.2.1")):
            self.kernel.set_link(name, True, (parse_address(address),))

    def open(self) -> Kernel:
        return self.kernel.handle()

    def lose_carrier(self, name: str) -> None:
        self.kernel.set_link(name, False)

    def regain_carrier(self, name: str) -> None:
        self.kernel.set_link(name, True)

    def delete_route(self, prefix: str) -> None:
        self.kernel.forget(parse_prefix(prefix))

    def delete_nexthop(self, identity: int) -> None:
        self.kernel.forget(identity)

    def put_foreign_route(self, prefix: str) -> None:
        self.kernel.put_foreign(parse_prefix(prefix), BIRD)

    def delete_foreign_route(self, prefix: str) -> None:
        self.kernel.put_foreign(parse_prefix(prefix), None)

    def has_foreign_route(self, prefix: str) -> bool:
        return self.kernel.foreign(parse_prefix(prefix)) == BIRD

    def put_foreign_nexthop(self, identity: int) -> None:
        self.kernel.put_foreign(identity, ZEBRA)

    def has_foreign_nexthop(self, identity: int) -> bool:
        return self.kernel.foreign(identity) == ZEBRA

    def close(self) -> None:
        self.kernel.close()


Host = RealHost | FakeHost
Scenario = Callable[[Host], Awaitable[None]]


def run_in_namespace(work: Callable[[], None]) -> None:
    """Run in a thread with a network namespace of its own; its failure is the caller's."""
    failure: list[BaseException] = []

    def body() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET): run as root or under `unshare -rn`")
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


class Events:
    """Collects events; waits for the one that matters."""

    def __init__(self, kernel: Kernel) -> None:
        self.seen: list[KernelEvent] = []
        self._arrived = asyncio.Event()
        kernel.watch(self._add)

    def _add(self, event: KernelEvent) -> None:
        self.seen.append(event)
        self._arrived.set()

    async def until(self, wanted: Callable[[KernelEvent], bool]) -> KernelEvent:
        while True:
            found = next((event for event in self.seen if wanted(event)), None)
            if found is not None:
                return found
            self._arrived.clear()
            await self._arrived.wait()


def is_link(name: str, up: bool) -> Callable[[KernelEvent], bool]:
    return lambda event: event.link is not None and event.link.name == name and event.link.up == up
