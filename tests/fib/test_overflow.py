"""Lost answers and lost events on a real kernel, in a network namespace that ends with its thread."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable

import pytest

from netctl.fib.io import Netlink, NetlinkKernel
from netctl.fib.watch.io import Watcher
from netctl.model.prefix import Prefix, parse_address
from netctl.model.routing import DeleteNexthop, DeleteRoutes, KernelEvent, PutGroup, PutMember, PutRoutes, Via

MEMBER, GROUP = 0x6E000001, 0x6E100001
TABLE: tuple[Prefix, ...] = tuple(b"\x20" + (0x14000000 + number).to_bytes(4, "big") for number in range(3000))
SETUP = """
ip link add left type veth peer name left-far
ip addr add 10.0.1.1/30 dev left
ip link set left up
ip link set left-far up
"""


def in_namespace(scenario: Callable[[], Awaitable[None]]) -> None:
    failure: list[BaseException] = []

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    def body() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(0x40000000):  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            subprocess.run(["sh", "-ec", SETUP], check=True)
            asyncio.run(bounded())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def prepare(kernel: NetlinkKernel) -> None:
    member = PutMember(MEMBER, Via(parse_address("10.0.1.2"), "left"))
    assert kernel.apply([member, PutGroup(GROUP, ((MEMBER, 1),))]) == []


class Events:
    """Collects a kernel's events; waits until one of them is the wanted one."""

    def __init__(self, kernel: NetlinkKernel) -> None:
        self.seen: list[KernelEvent] = []
        self._arrived = asyncio.Event()
        kernel.watch(self._add)

    def _add(self, event: KernelEvent) -> None:
        self.seen.append(event)
        self._arrived.set()

    async def until(self, wanted: Callable[[KernelEvent], bool]) -> None:
        while not any(map(wanted, self.seen)):
            self._arrived.clear()
            await self._arrived.wait()


def test_when_answers_overflow_the_socket_every_refusal_is_still_attributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Netlink, "BUFFER_BYTES", 64 * 1024)
    taken: list[NetlinkKernel] = []
    reopen = Netlink.reopen

    def to_another_port(netlink: Netlink) -> None:
        netlink.close()
        taken.append(NetlinkKernel())  # sits at the old port now
        reopen(netlink)

    monkeypatch.setattr(Netlink, "reopen", to_another_port)

    async def scenario() -> None:
        kernel = NetlinkKernel()
        prepare(kernel)
        events = Events(kernel)
        good = PutRoutes(TABLE[:10], GROUP)
        (failed,) = kernel.apply([good, PutRoutes(TABLE, GROUP + 7)])
        assert failed.errno == errno.EINVAL
        assert failed.prefixes == TABLE
        assert kernel.dump().routes == dict.fromkeys(TABLE[:10], GROUP)
        kernel.apply([DeleteRoutes(TABLE[:10])])  # by the new socket: still one's own
        await asyncio.to_thread(subprocess.run, ["ip", "link", "set", "left", "mtu", "1400"], check=True)
        await events.until(lambda event: event.link is not None and event.link.mtu == 1400)
        assert {event.kind for event in events.seen} == {"link"}
        kernel.close()

    in_namespace(scenario)
    assert taken
    for kernel in taken:
        kernel.close()


def test_when_events_overflow_the_socket_it_is_told_and_later_events_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Watcher, "BUFFER_BYTES", 64 * 1024)

    async def scenario() -> None:
        kernel, other = NetlinkKernel(), NetlinkKernel()
        prepare(other)
        events = Events(kernel)
        assert other.apply([PutRoutes(TABLE, GROUP), DeleteRoutes(TABLE), PutRoutes(TABLE[:1], GROUP)]) == []
        await events.until(lambda event: event.kind == "overrun")
        assert kernel.dump().routes == {TABLE[0]: GROUP}
        events.seen.clear()
        assert other.apply([DeleteRoutes(TABLE[:1])]) == []
        await events.until(lambda event: event.prefix == TABLE[0])
        kernel.close()
        other.close()

    in_namespace(scenario)


def test_who_does_not_watch_routes_is_not_woken_by_them_but_by_links_and_nexthops() -> None:
    async def scenario() -> None:
        kernel, other = NetlinkKernel(watch_routes=False), NetlinkKernel()
        prepare(other)
        events = Events(kernel)
        assert other.apply([PutRoutes(TABLE, GROUP), DeleteRoutes(TABLE), DeleteNexthop(GROUP)]) == []
        await asyncio.to_thread(subprocess.run, ["ip", "link", "set", "left", "mtu", "1400"], check=True)
        await events.until(lambda event: event.link is not None and event.link.mtu == 1400)
        assert [event.nexthop for event in events.seen if event.kind != "link"] == [GROUP]
        kernel.close()
        other.close()

    in_namespace(scenario)
