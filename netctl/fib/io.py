"""``NetlinkKernel``: the Kernel port on rtnetlink.

The way of a member, from liveness's decision to the kernel's answer, is in this file alone.
"""

from __future__ import annotations

import errno
import fcntl
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from struct import Struct

from netctl.fib import wire
from netctl.fib.batch import Batches
from netctl.fib.netlink.io import RECEIVE_BYTES, ask, dump, open_netlink
from netctl.fib.owners import nexthop_in_the_way
from netctl.fib.sysctl.io import check_sysctls, set_sysctls
from netctl.fib.watch.io import Watcher
from netctl.model.prefix import Prefix
from netctl.model.routing import (
    ROUTE_PROTOCOL,
    DeleteNexthop,
    DeleteRoutes,
    KernelEvent,
    KernelOp,
    KernelState,
    Link,
    OpFailed,
    PutMember,
    PutRoutes,
    Via,
)

__all__ = ["Netlink", "NetlinkKernel", "check_sysctls", "put_member", "set_sysctls"]

_SMALL_BATCH_MESSAGES = 32
"""Even if each of these is refused or answered, the answers fit any receive buffer."""
_SIOCGIFINDEX = 0x8933
_IFREQ = Struct("=16si20x")


def put_member(sequence: int, nexthop: int, gateway: bytes, index: int) -> bytes:
    """RTM_NEWNEXTHOP: create or replace in place; one gateway of 4 or 16 bytes on the link ``index``."""
    family = wire.AF_INET if len(gateway) == 4 else wire.AF_INET6
    flags = wire.NLM_F_REQUEST | wire.NLM_F_CREATE | wire.NLM_F_REPLACE
    return (
        wire.HEADER.pack(16 + 8 + 8 + 8 + 4 + len(gateway), wire.RTM_NEWNEXTHOP, flags, sequence, 0)
        + wire.NHMSG.pack(family, 0, ROUTE_PROTOCOL, 0, 0)
        + wire.U32_ATTRIBUTE.pack(8, wire.NHA_ID, nexthop)
        + wire.U32_ATTRIBUTE.pack(8, wire.NHA_OIF, index)
        + wire.ATTRIBUTE.pack(4 + len(gateway), wire.NHA_GATEWAY)
        + gateway
    )


class Netlink:
    """The commanding socket; synchronous: the kernel has answered by the time that ``send`` returns."""

    BUFFER_BYTES = 4 * 1024 * 1024

    def __init__(self) -> None:
        self.socket = open_netlink(self.BUFFER_BYTES)
        self.on_reopen: Callable[[int], None] = lambda port: None
        self._sequence = 0

    @property
    def port(self) -> int:
        """What the kernel calls this socket in notifications of its changes."""
        port: int = self.socket.getsockname()[0]
        return port

    def reserve(self, count: int) -> int:
        """The first of ``count`` consecutive sequence numbers."""
        if self._sequence + count >= 1 << 32:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def exchange(self, data: bytes) -> list[wire.Message]:
        """Send encoded messages as one batch; returns what the kernel answers: errors, and what was asked for.

        An answer lost, or too long for the socket: again in small parts, as every operation may be repeated (it says
        what shall be, not what to change).
        """
        try:
            return self._exchange(data)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.EMSGSIZE):
                raise
        self.reopen()
        parts = wire.in_small_parts(data, _SMALL_BATCH_MESSAGES)
        return [answer for part in parts for answer in self._exchange(part)]

    def _exchange(self, data: bytes) -> list[wire.Message]:
        """The batch ends with a message that does nothing but is acknowledged: the others answer on error alone."""
        last = self.reserve(1)
        self.socket.send(data + wire.HEADER.pack(16, wire.NLMSG_NOOP, wire.NLM_F_REQUEST | wire.NLM_F_ACK, last, 0))
        answers: list[wire.Message] = []
        while True:
            buffer = self.socket.recv(RECEIVE_BYTES)
            position = 0
            while position + 16 <= len(buffer):
                length, kind, flags, sequence, _ = wire.HEADER.unpack_from(buffer, position)
                if sequence == last and kind == wire.NLMSG_ERROR:
                    return answers
                answers.append(wire.Message(kind, flags, sequence, buffer, position + 16, position + length))
                position += max(16, (length + 3) & ~3)

    def owners(self, nexthops: Sequence[int]) -> dict[int, int]:
        """The protocol of each of these nexthops; those that do not exist are left out."""
        found: dict[int, int] = {}
        for start in range(0, len(nexthops), _SMALL_BATCH_MESSAGES):
            asked = nexthops[start : start + _SMALL_BATCH_MESSAGES]
            first = self.reserve(len(asked))
            answers = self.exchange(b"".join(_get_nexthop(first + place, one) for place, one in enumerate(asked)))
            for answer in answers:
                if answer.kind == wire.RTM_NEWNEXTHOP and 0 <= answer.sequence - first < len(asked):
                    found[asked[answer.sequence - first]] = answer.buffer[answer.start + 2]  # nhmsg.nh_protocol
        return found

    def reopen(self) -> None:
        """A fresh socket after a lost answer."""
        self.close()
        self.socket = open_netlink(self.BUFFER_BYTES)
        self.on_reopen(self.port)

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()


def _get_nexthop(sequence: int, nexthop: int) -> bytes:
    return (
        wire.HEADER.pack(32, wire.RTM_GETNEXTHOP, wire.NLM_F_REQUEST, sequence, 0)
        + wire.NHMSG.pack(0, 0, 0, 0, 0)
        + wire.U32_ATTRIBUTE.pack(8, wire.NHA_ID, nexthop)
    )


class NetlinkKernel:
    """See ``netctl.model.ports.Kernel``. Belongs to the network namespace it was made in and to one thread.

    ``watch_routes`` False: deletions of routes are not told. Liveness owns none, and a table that its agent or somebody
    else takes out would keep it from its packets.
    """

    def __init__(self, *, watch_routes: bool = True) -> None:
        self._watch_routes = watch_routes
        self._netlink = Netlink()
        self._batches = Batches(self._netlink, lambda: self.dump().routes)
        self._inet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._watcher: Watcher | None = None

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        """See the port. The refusals come in the order of ``ops``."""
        failed: list[OpFailed] = []
        nexthops = [op.group if isinstance(op, PutRoutes) else op.id for op in ops if not isinstance(op, DeleteRoutes)]
        owners = self._netlink.owners(list(dict.fromkeys(nexthops)))
        foreign = {nexthop: owner for nexthop, owner in owners.items() if owner != ROUTE_PROTOCOL}
        for are_members, run in groupby(
            _spare(ops, foreign, failed) if foreign else ops, lambda op: isinstance(op, PutMember)
        ):
            if are_members:
                failed += self._put_members([op for op in run if isinstance(op, PutMember)])
            else:
                failed += self._batches.apply([op for op in run if not isinstance(op, PutMember)])
        if len(failed) > 1:
            places = {id(op): place for place, op in enumerate(ops)}
            failed.sort(key=lambda failure: places[id(failure.op)])
        return failed

    def _put_members(self, ops: Sequence[PutMember]) -> list[OpFailed]:
        failed: list[OpFailed] = []
        sent: dict[int, PutMember] = {}
        data = b""
        for op in ops:
            try:
                index = self._index(op.via.interface)
            except OSError as error:  # there is nothing to send
                failed.append(OpFailed(op, error.errno or errno.ENODEV, str(error.strerror)))
                continue
            sequence = self._netlink.reserve(1)
            sent[sequence] = op
            data += put_member(sequence, op.id, op.via.gateway, index)
        if answers := self._netlink.exchange(data):
            failed += [OpFailed(sent[sequence], number, text) for sequence, number, text in wire.errors(answers)]
        return failed

    def _index(self, interface: str) -> int:
        """Asked each time (microseconds): a remembered index may be another link's by now."""
        name = interface.encode()
        try:
            if not 0 < len(name) < 16:
                raise OSError(errno.ENODEV, "")
            answer = fcntl.ioctl(self._inet.fileno(), _SIOCGIFINDEX, _IFREQ.pack(name, 0))
        except OSError as error:
            raise OSError(error.errno, f"no interface {interface!r} here") from None
        index: int = _IFREQ.unpack(answer)[1]
        return index

    def dump(self) -> KernelState:
        """See the port. A million routes take a second or two."""
        nexthops = self.nexthops()
        routes: dict[Prefix, int] = {}
        for address_length in (4, 16):
            request = partial(wire.get_routes, address_length=address_length)
            for buffer in dump(self._netlink.socket, self._netlink.reserve(1), request):
                for message in wire.messages(buffer[wire.dumped_routes(buffer, routes) :]):
                    if message.kind == wire.RTM_NEWROUTE and (found := wire.route(message)) is not None:
                        routes[found[0]] = found[1]
        return KernelState(nexthops.members, nexthops.groups, routes)

    def _ask(self, request: Callable[[int], bytes]) -> list[wire.Message]:
        return ask(self._netlink.socket, lambda: self._netlink.reserve(1), request)

    def nexthops(self) -> KernelState:
        """See the port."""
        names = {link.index: link.name for link in map(wire.link, self._ask(wire.get_links))}
        members: dict[int, Via] = {}
        groups: dict[int, tuple[tuple[int, int], ...]] = {}
        for found in map(wire.nexthop, self._ask(wire.get_nexthops)):
            if found.protocol != ROUTE_PROTOCOL:
                continue
            if found.members is None:
                members[found.id] = Via(found.gateway, names.get(found.index, ""))
            else:
                groups[found.id] = found.members
        return KernelState(members, groups, {})

    def links(self) -> dict[str, Link]:
        """See the port."""
        addresses: dict[int, list[bytes]] = {}
        for index, packed in map(wire.address, self._ask(wire.get_addresses)):
            addresses.setdefault(index, []).append(packed)
        return {link.name: link for link in self._links(addresses)}

    def _links(self, addresses: dict[int, list[bytes]]) -> Iterator[Link]:
        for message in self._ask(wire.get_links):
            link = wire.link(message)
            yield Link(link.name, link.index, link.up, link.mtu, tuple(sorted(addresses.get(link.index, ()))))

    def watch(self, callback: Callable[[KernelEvent], None]) -> None:
        """See the port. What this very object deletes is not told."""
        if self._watcher is None:
            self._watcher = Watcher(self._netlink.port, self.links, routes=self._watch_routes)
            self._netlink.on_reopen = self._watcher.ignore
        self._watcher.add(callback)

    def close(self) -> None:
        """Idempotent."""
        if self._watcher is not None:
            self._watcher.close()
        self._netlink.close()
        self._inet.close()


def _spare(ops: Iterable[KernelOp], foreign: dict[int, int], failed: list[OpFailed]) -> list[KernelOp]:
    """The operations without those that would change somebody else's nexthop, or send netctl's routes to it."""
    kept: list[KernelOp] = []
    for op in ops:
        nexthop = None if isinstance(op, DeleteRoutes) else op.group if isinstance(op, PutRoutes) else op.id
        if nexthop is None or nexthop not in foreign:
            kept.append(op)
        elif not isinstance(op, DeleteNexthop):
            prefixes = op.prefixes if isinstance(op, PutRoutes) else ()
            why = nexthop_in_the_way(nexthop, foreign[nexthop])
            failed.append(OpFailed(op, errno.EEXIST, why, prefixes[0] if prefixes else None, prefixes))
    return kept
