"""Sockets of the flows, in their namespaces, and route questions to a node's kernel."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator

from netctl.model.errors import EnvironmentLackError
from netctl.model.netns.io import Rtnetlink, namespace_path, network_namespace
from netctl.probe import routes, wire
from netctl.probe.spec import Flow, RoutesAnswer, RoutesSpec

_SO_RXQ_OVFL = 40  # asm-generic/socket.h; Python 3.11 has no name for these two
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("=qq")
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(4)
_RECEIVE_BUFFER = 1 << 20
_RETRY = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)


class FlowSockets:
    """Both ends of one flow."""

    def __init__(self, number: int, flow: Flow) -> None:
        self.flow = flow
        self._number = number
        self._target = (flow.target, flow.target_port)
        self.overflowed = 0
        self.send_errors = 0
        self.sender = _bound(flow.source_node, flow.source, flow.source_port)
        try:
            self.receiver = _bound(flow.target_node, flow.target, flow.target_port)
        except BaseException:
            self.sender.close()
            raise
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.receiver.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)

    def send(self, sequence: int) -> bool:
        """Send one packet; False when this host had no room for it, so that it was not sent at all."""
        try:
            self.sender.sendto(wire.encode(self._number, sequence), self._target)
        except OSError as error:
            if error.errno in _RETRY:
                return False
            self.send_errors += 1  # no route, no neighbour: lost like any other packet
        return True

    def receive(self) -> Iterator[tuple[int, int]]:
        """All waiting packets of this flow as (sequence, arrival by CLOCK_REALTIME in ns)."""
        while True:
            try:
                data, ancillary, _flags, _address = self.receiver.recvmsg(wire.SIZE + 1, _ANCILLARY)
            except OSError:
                return
            packet = wire.decode(data)
            if packet is None or packet[0] != self._number:
                continue
            at_ns = 0
            for _level, kind, payload in ancillary:
                if kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack(payload)
                    at_ns = seconds * 1_000_000_000 + nanoseconds
                elif kind == _SO_RXQ_OVFL:
                    self.overflowed = int.from_bytes(payload, "little")
            yield packet[1], at_ns

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


def _bound(node: str, address: str, port: int) -> socket.socket:
    try:
        with network_namespace(namespace_path(node)):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except FileNotFoundError:
        raise EnvironmentLackError(f"there is no node {node} ({namespace_path(node)})", "netctl lab status") from None
    try:
        opened.bind((address, port))
    except OSError as error:
        opened.close()
        raise EnvironmentLackError(f"cannot use UDP {address}:{port} on {node}: {error.strerror}") from None
    return opened


def realtime_offset_ns() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, the tightest of three readings."""
    best: tuple[int, int] | None = None
    for _ in range(3):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
    return best[1] if best else 0


def answer_routes(spec: RoutesSpec) -> RoutesAnswer:
    """By which interface ``spec.node`` would forward each flow; the way to a flow's source is where it arrives."""
    path = namespace_path(spec.node)
    netlink_socket = Rtnetlink(path)
    with network_namespace(path):
        names = dict(socket.if_nameindex())
    arrives: dict[str, int | None] = {}
    found: dict[str, str] = {}

    def ask(body: bytes) -> int | None:
        try:
            return routes.output_index(netlink_socket.request(routes.RTM_GETROUTE, 0, body))
        except OSError:
            return None

    try:
        for flow in spec.flows:
            if flow.source not in arrives:
                arrives[flow.source] = ask(routes.destination_query(flow.source))
            if (arrival := arrives[flow.source]) and (index := ask(routes.flow_query(flow, arrival))):
                found[flow.name] = names.get(index, str(index))
    finally:
        netlink_socket.close()
    return RoutesAnswer(interfaces=found)


def first_line() -> bytes:
    """The first line of standard input, byte by byte: what follows belongs to the loop."""
    line = bytearray()
    while (byte := os.read(0, 1)) and byte != b"\n":
        line += byte
    return bytes(line)
