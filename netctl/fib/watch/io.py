"""The listening socket: what others delete of netctl's, and links; filtered in the kernel, read in bulk."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
from collections.abc import Callable
from dataclasses import replace
from struct import Struct

from netctl.fib import wire
from netctl.fib.netlink.io import open_netlink
from netctl.model.routing import ROUTE_PROTOCOL, KernelEvent, Link

_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 270, 1
_GROUPS = (1, 5, 9, 32)  # RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEXTHOP
_ROUTE_GROUPS = (7, 11)  # RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE
_SO_ATTACH_FILTER = 26
_INSTRUCTION = Struct("=HBBI")  # sock_filter: code, jump if true, jump if false, k
_RECEIVE_BYTES = 64 * 1024
_READS_PER_TURN = 512
"""After so many notifications the event loop gets its turn; the rest waits in the socket."""


def _filter(own_port: int) -> bytes:
    """A classic BPF program (linux/filter.h) that lets only these through: changes of links and addresses, and
    deletions of routes and nexthops with netctl's protocol that were not asked for by ``own_port``.

    Otherwise each route that we install would wake us. BPF loads are big-endian, netlink is in host order: hence
    htons/htonl on the constants.
    """
    load_half, load_word, load_byte = 0x28, 0x20, 0x30
    jump_equal, ret = 0x15, 0x06
    kind, port, route_protocol, nexthop_protocol = 4, 12, 16 + 5, 16 + 2
    always = [wire.RTM_NEWLINK, wire.RTM_DELLINK, wire.RTM_NEWADDR, wire.RTM_DELADDR]
    # A jump counts from the instruction after it; the comments name where it goes.
    program = [(load_half, 0, 0, kind)]
    program += [(jump_equal, 12 - i, 0, socket.htons(value)) for i, value in enumerate(always)]  # 1-4 → 14
    program += [
        (jump_equal, 2, 0, socket.htons(wire.RTM_DELROUTE)),  # 5 → 8
        (jump_equal, 3, 0, socket.htons(wire.RTM_DELNEXTHOP)),  # 6 → 10
        (ret, 0, 0, 0),  # 7
        (load_byte, 0, 0, route_protocol),  # 8
        (0x05, 0, 0, 1),  # 9 → 11
        (load_byte, 0, 0, nexthop_protocol),  # 10
        (jump_equal, 0, 3, ROUTE_PROTOCOL),  # 11 | 15
        (load_word, 0, 0, port),  # 12
        (jump_equal, 1, 0, socket.htonl(own_port)),  # 13 → 15
        (ret, 0, 0, 0xFFFFFFFF),  # 14
        (ret, 0, 0, 0),  # 15
    ]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


class Watcher:
    """Hooked into the running event loop while at least one callback is there."""

    BUFFER_BYTES = 8 * 1024 * 1024

    def __init__(self, own_port: int, links: Callable[[], dict[str, Link]], *, routes: bool) -> None:
        self._groups = _GROUPS + (_ROUTE_GROUPS if routes else ())
        self._own_port = own_port
        self._read_links = links
        self._addresses: dict[int, set[bytes]] = {}
        self._links: dict[int, Link] = {}
        self._callbacks: list[Callable[[KernelEvent], None]] = []
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._open()

    def add(self, callback: Callable[[KernelEvent], None]) -> None:
        """Call back for each change from now on."""
        self._callbacks.append(callback)

    def ignore(self, own_port: int) -> None:
        """The commanding socket has this port now."""
        self._own_port = own_port
        if self._socket is not None:
            _attach(self._socket, own_port)

    def close(self) -> None:
        """Idempotent."""
        if self._socket is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._callbacks.clear()

    def _open(self) -> None:
        opened = open_netlink(self.BUFFER_BYTES)
        opened.setblocking(False)
        _attach(opened, self._own_port)
        for group in self._groups:
            opened.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        self._socket = opened
        for link in self._read_links().values():
            self._links[link.index] = link
            self._addresses[link.index] = set(link.addresses)
        self._loop.add_reader(opened.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(_READS_PER_TURN):
            if self._socket is None:  # a callback closed us
                return
            try:
                buffer = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._loop.remove_reader(self._socket.fileno())
                self._socket.close()
                self._open()  # subscribed again before anybody is told to look
                self._tell(KernelEvent("overrun"))
                return
            for message in wire.messages(buffer):
                self._message(message)

    def _message(self, message: wire.Message) -> None:
        match message.kind:
            case wire.RTM_DELROUTE:
                if (found := wire.route(message)) is not None:
                    self._tell(KernelEvent("route_gone", prefix=found[0], nexthop=found[1] or None))
            case wire.RTM_DELNEXTHOP:
                self._tell(KernelEvent("nexthop_gone", nexthop=wire.nexthop(message).id))
            case wire.RTM_NEWLINK | wire.RTM_DELLINK if message.buffer[message.start] != socket.AF_BRIDGE:
                link = wire.link(message)
                self._link(replace(link, addresses=tuple(sorted(self._addresses.get(link.index, ())))))
                if message.kind == wire.RTM_DELLINK:
                    self._links.pop(link.index, None)
                    self._addresses.pop(link.index, None)
            case wire.RTM_NEWADDR | wire.RTM_DELADDR:
                index, packed = wire.address(message)
                addresses = self._addresses.setdefault(index, set())
                (addresses.add if message.kind == wire.RTM_NEWADDR else addresses.discard)(packed)
                if index in self._links:
                    self._link(replace(self._links[index], addresses=tuple(sorted(addresses))))

    def _link(self, link: Link) -> None:
        """Tell it unless nothing that we report has changed (the kernel repeats itself)."""
        if self._links.get(link.index) != link:
            self._links[link.index] = link
            self._tell(KernelEvent("link", link=link))

    def _tell(self, event: KernelEvent) -> None:
        for callback in tuple(self._callbacks):
            callback(event)


def _attach(to: socket.socket, own_port: int) -> None:
    program = _filter(own_port)
    memory = ctypes.create_string_buffer(program)
    # struct sock_fprog: unsigned short len; struct sock_filter *filter
    to.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        Struct("@HP").pack(len(program) // _INSTRUCTION.size, ctypes.addressof(memory)),
    )
