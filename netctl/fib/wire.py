# long because: one codec: what is sent and what is read of the same kind of message is side by side
"""rtnetlink for nexthops, routes, links and addresses: operations to bytes, bytes to values.

Sources: linux/netlink.h, linux/rtnetlink.h, linux/nexthop.h, linux/if_link.h, linux/if_addr.h and
Documentation/userspace-api/netlink/intro.rst. Integers are in host order, addresses in network order; every message
and attribute starts at a multiple of 4.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct

from netctl.model.prefix import Prefix
from netctl.model.routing import MAIN_TABLE, ROUTE_METRIC, ROUTE_PROTOCOL, Link, Via

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 0x01, 0x04, 0x10
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x100, 0x200, 0x400, 0x300
NLM_F_ACK_TLVS = 0x200
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106

AF_INET, AF_INET6 = 2, 10
_RTA_DST, _RTA_PRIORITY, _RTA_TABLE, _RTA_NH_ID = 1, 6, 15, 30
_RTN_UNICAST = 1
_RTM_F_LOOKUP_TABLE, _RTM_F_FIB_MATCH = 0x1000, 0x2000
_RT_SCOPE_NOWHERE = 255  # in a deletion: any scope
NHA_ID, _NHA_GROUP, NHA_OIF, NHA_GATEWAY = 1, 2, 5, 6
_IFLA_IFNAME, _IFLA_MTU = 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_NLMSGERR_ATTR_MSG = 1
_TYPE_MASK = 0x3FFF

HEADER = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
ATTRIBUTE = Struct("=HH")  # rtattr: length, type
U32_ATTRIBUTE = Struct("=HHI")
_U32 = Struct("=I")
_RTMSG = Struct("=8BI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
NHMSG = Struct("=4BI")  # family, scope, protocol, reserved, flags
_GROUP_ENTRY = Struct("=IBBH")  # nexthop_grp: id, weight - 1, high byte of it, reserved
_IFINFO = Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_IFADDR = Struct("=4BI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ERROR = Struct("=iIHHII")  # nlmsgerr: negative errno, header of the refused message


def put_group(sequence: int, nexthop: int, members: Sequence[tuple[int, int]]) -> bytes:
    """Create or replace in place a hash-threshold group of (member id, weight 1-256)."""
    entries = b"".join(_GROUP_ENTRY.pack(member, weight - 1, 0, 0) for member, weight in members)
    body = (
        NHMSG.pack(0, 0, ROUTE_PROTOCOL, 0, 0)
        + U32_ATTRIBUTE.pack(8, NHA_ID, nexthop)
        + ATTRIBUTE.pack(4 + len(entries), _NHA_GROUP)
        + entries
    )
    return _message(RTM_NEWNEXTHOP, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, sequence, body)


def delete_nexthop(sequence: int, nexthop: int) -> bytes:
    """Delete a member or group; ENOENT when there is none."""
    body = NHMSG.pack(0, 0, 0, 0, 0) + U32_ATTRIBUTE.pack(8, NHA_ID, nexthop)
    return _message(RTM_DELNEXTHOP, NLM_F_REQUEST, sequence, body)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return HEADER.pack(16 + len(body), kind, flags, sequence, 0) + body


class _RouteTemplate:
    """All routes of one kind differ in sequence number, prefix and group only; the rest is packed once."""

    def __init__(self, kind: int, flags: int, address_length: int) -> None:
        family = AF_INET if address_length == 4 else AF_INET6
        length = 16 + 12 + 4 + address_length + 8 + (8 if kind == RTM_NEWROUTE else 0)
        scope = 0 if kind == RTM_NEWROUTE else _RT_SCOPE_NOWHERE
        head = HEADER.pack(length, kind, flags, 0, 0) + _RTMSG.pack(
            family, 0, 0, 0, MAIN_TABLE, ROUTE_PROTOCOL, scope, _RTN_UNICAST, 0
        )
        self.before_sequence = head[:8]
        self.port_and_family = head[12:17]
        self.after_length = head[18:28] + ATTRIBUTE.pack(4 + address_length, _RTA_DST)
        self.metric = U32_ATTRIBUTE.pack(8, _RTA_PRIORITY, ROUTE_METRIC)
        self.pack = Struct(f"=8sI5sB14s{address_length}s{length - 32 - address_length}s").pack


_REPLACE, _NEW = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL
_PUT = {size: _RouteTemplate(RTM_NEWROUTE, _REPLACE, size) for size in (4, 16)}
_CREATE = {size: _RouteTemplate(RTM_NEWROUTE, _NEW, size) for size in (4, 16)}
_DELETE = {size: _RouteTemplate(RTM_DELROUTE, NLM_F_REQUEST, size) for size in (4, 16)}


def put_routes(first_sequence: int, prefixes: Sequence[Prefix], group: int, *, create: bool = False) -> bytes:
    """One message per prefix, numbered from ``first_sequence``: create or replace at ``group``; with ``create`` EEXIST
    when there is a route of that prefix and metric, whosever."""
    return _routes(_CREATE if create else _PUT, first_sequence, prefixes, U32_ATTRIBUTE.pack(8, _RTA_NH_ID, group))


def delete_routes(first_sequence: int, prefixes: Sequence[Prefix]) -> bytes:
    """One message per prefix: delete netctl's route, whatever it points at; ESRCH when there is none."""
    return _routes(_DELETE, first_sequence, prefixes, b"")


def _routes(templates: dict[int, _RouteTemplate], sequence: int, prefixes: Sequence[Prefix], tail: bytes) -> bytes:
    parts: list[bytes] = []
    size = 0
    for number, prefix in enumerate(prefixes, sequence):
        if len(prefix) - 1 != size:
            size = len(prefix) - 1
            template = templates[size]
            pack, end = template.pack, template.metric + tail
            before, middle, after = template.before_sequence, template.port_and_family, template.after_length
        parts.append(pack(before, number, middle, prefix[0], after, prefix[1:], end))
    return b"".join(parts)


def get_links(sequence: int) -> bytes:
    """Ask for all links."""
    return _message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, sequence, _IFINFO.pack(0, 0, 0, 0, 0))


def get_addresses(sequence: int) -> bytes:
    """Ask for all addresses of all links."""
    return _message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, sequence, _IFADDR.pack(0, 0, 0, 0, 0))


def get_nexthops(sequence: int) -> bytes:
    """Ask for all nexthops (the kernel cannot filter these by protocol)."""
    return _message(RTM_GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP, sequence, NHMSG.pack(0, 0, 0, 0, 0))


def get_routes(sequence: int, address_length: int) -> bytes:
    """Ask for netctl's routes of one family in the main table; the kernel filters (NETLINK_GET_STRICT_CHK)."""
    family = AF_INET if address_length == 4 else AF_INET6
    body = _RTMSG.pack(family, 0, 0, 0, MAIN_TABLE, ROUTE_PROTOCOL, 0, 0, 0)
    return _message(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, sequence, body)


def get_route(sequence: int, prefix: Prefix) -> bytes:
    """Ask for the route that a packet to the prefix's first address takes; ``route_owner`` decodes the answer.

    The kernel looks routes up by address alone. 0.0.0.0 is none: for the default route one is taken that no more
    specific route is likely to have (RFC 1112 4).
    """
    host = prefix[1:] if prefix[0] else b"\xf0\0\0\1".ljust(len(prefix) - 1, b"\0")
    family = AF_INET if len(host) == 4 else AF_INET6
    flags = _RTM_F_LOOKUP_TABLE | _RTM_F_FIB_MATCH
    body = _RTMSG.pack(family, len(host) * 8, 0, 0, 0, 0, 0, 0, flags) + ATTRIBUTE.pack(4 + len(host), _RTA_DST) + host
    return _message(RTM_GETROUTE, NLM_F_REQUEST, sequence, body)


@dataclass(frozen=True, slots=True)
class Message:
    """One received message: ``start`` (after the header) to ``end`` in ``buffer``."""

    kind: int
    flags: int
    sequence: int
    buffer: bytes
    start: int
    end: int


def messages(buffer: bytes) -> Iterator[Message]:
    """Split what one receive gave. A length that does not fit ends it (the kernel sends none such)."""
    position = 0
    while position + 16 <= len(buffer):
        length, kind, flags, sequence, _ = HEADER.unpack_from(buffer, position)
        if length < 16 or position + length > len(buffer):
            return
        yield Message(kind, flags, sequence, buffer, position + 16, position + length)
        position += (length + 3) & ~3


def in_small_parts(buffer: bytes, count: int) -> Iterator[bytes]:
    """The same messages, at most ``count`` a part."""
    ends = [0, *((message.end + 3) & ~3 for message in messages(buffer))]
    for place in range(0, len(ends) - 1, count):
        yield buffer[ends[place] : ends[min(place + count, len(ends) - 1)]]


def ends_dump(buffer: bytes, sequence: int) -> bool:
    """Whether the last message is NLMSG_DONE (header and an int, if no explanation follows)."""
    if len(buffer) < 20:
        return False
    length, kind, _, number, _ = HEADER.unpack_from(buffer, len(buffer) - 20)
    return bool(length == 20 and kind == NLMSG_DONE and number == sequence)


def attributes(buffer: bytes, start: int, end: int) -> dict[int, bytes]:
    """Attributes by type; of a repeated one the last."""
    found: dict[int, bytes] = {}
    while start + 4 <= end:
        length, kind = ATTRIBUTE.unpack_from(buffer, start)
        if length < 4 or start + length > end:
            break
        found[kind & _TYPE_MASK] = buffer[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def error(message: Message) -> tuple[int, int, str]:
    """(sequence number of the refused message, errno or 0 for an acknowledgement, the kernel's explanation)."""
    negative, _, _, _, sequence, _ = _ERROR.unpack_from(message.buffer, message.start)
    text = ""
    if message.flags & NLM_F_ACK_TLVS:  # with NETLINK_CAP_ACK they follow the refused message's bare header
        text_bytes = attributes(message.buffer, message.start + 20, message.end).get(_NLMSGERR_ATTR_MSG, b"")
        text = text_bytes.rstrip(b"\0").decode(errors="replace")
    return sequence, -negative, text


def errors(answers: Iterable[Message]) -> Iterator[tuple[int, int, str]]:
    """(sequence number, errno, explanation) of what was refused."""
    for answer in answers:
        if answer.kind == NLMSG_ERROR:
            sequence, number, text = error(answer)
            if number:
                yield sequence, number, text or os.strerror(number)


@dataclass(frozen=True, slots=True)
class Nexthop:
    """A decoded nexthop: a group has ``members``, a member a gateway (empty: none) and a link's index."""

    id: int
    protocol: int
    members: tuple[tuple[int, int], ...] | None
    gateway: bytes
    index: int

    def via(self, names: dict[int, str]) -> Via:
        """The member as model value."""
        return Via(self.gateway, names.get(self.index, f"if{self.index}"))


def nexthop(message: Message) -> Nexthop:
    """Decode RTM_NEWNEXTHOP or RTM_DELNEXTHOP."""
    _, _, protocol, _, _ = NHMSG.unpack_from(message.buffer, message.start)
    found = attributes(message.buffer, message.start + 8, message.end)
    members = None
    if _NHA_GROUP in found:
        entries = _GROUP_ENTRY.iter_unpack(found[_NHA_GROUP])
        members = tuple(sorted((member, (high << 8 | low) + 1) for member, low, high, _ in entries))
    (identity,) = _U32.unpack(found[NHA_ID])
    (index,) = _U32.unpack(found.get(NHA_OIF, b"\0\0\0\0"))
    return Nexthop(identity, protocol, members, found.get(NHA_GATEWAY, b""), index)


def route(message: Message) -> tuple[Prefix, int] | None:
    """(prefix, nexthop id or 0) of a route with netctl's protocol, table and metric; None for any other."""
    if message.buffer[message.start + 5] != ROUTE_PROTOCOL:
        return None
    found = _route(message)
    return None if found is None else (found[0], found[2])


def route_owner(message: Message) -> tuple[Prefix, int] | None:
    """(prefix, protocol) of a route in netctl's table with netctl's metric, whosever; None for any other."""
    found = _route(message)
    return None if found is None else (found[0], found[1])


def _route(message: Message) -> tuple[Prefix, int, int] | None:
    family, length, _, _, table, protocol, _, _, _ = _RTMSG.unpack_from(message.buffer, message.start)
    if family not in (AF_INET, AF_INET6):
        return None
    found = attributes(message.buffer, message.start + 12, message.end)
    if _RTA_TABLE in found:
        (table,) = _U32.unpack(found[_RTA_TABLE])
    (metric,) = _U32.unpack(found.get(_RTA_PRIORITY, b"\0\0\0\0"))
    if table != MAIN_TABLE or metric != ROUTE_METRIC:
        return None
    address = found.get(_RTA_DST, bytes(4 if family == AF_INET else 16))
    (group,) = _U32.unpack(found.get(_RTA_NH_ID, b"\0\0\0\0"))
    return bytes((length,)) + address, protocol, group


# The shape in which the kernel dumps an IPv4 route at a nexthop: RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_NH_ID, no more.
_DUMPED = Struct("=IH11xs10x12s4s12sI")
_DUMPED_HEAD = U32_ATTRIBUTE.pack(8, _RTA_TABLE, MAIN_TABLE) + ATTRIBUTE.pack(8, _RTA_DST)
_DUMPED_TAIL = U32_ATTRIBUTE.pack(8, _RTA_PRIORITY, ROUTE_METRIC) + ATTRIBUTE.pack(8, _RTA_NH_ID)


def dumped_routes(buffer: bytes, into: dict[Prefix, int]) -> int:
    """Take the leading routes that have the usual shape into ``into``; returns where the rest begins."""
    position, limit, size = 0, len(buffer) - _DUMPED.size, _DUMPED.size
    unpack = _DUMPED.unpack_from
    while position <= limit:
        length, kind, prefix_length, head, address, tail, group = unpack(buffer, position)
        if length != size or kind != RTM_NEWROUTE or head != _DUMPED_HEAD or tail != _DUMPED_TAIL:
            break
        into[prefix_length + address] = group
        position += size
    return position


def link(message: Message, addresses: tuple[bytes, ...] = ()) -> Link:
    """Decode RTM_NEWLINK or RTM_DELLINK (then ``up`` is what it was last)."""
    _, _, index, flags, _ = _IFINFO.unpack_from(message.buffer, message.start)
    found = attributes(message.buffer, message.start + 16, message.end)
    name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    (mtu,) = _U32.unpack(found.get(_IFLA_MTU, b"\0\0\0\0"))
    both = _IFF_UP | _IFF_LOWER_UP
    return Link(name, index, flags & both == both and message.kind == RTM_NEWLINK, mtu, addresses)


def address(message: Message) -> tuple[int, bytes]:
    """(link index, address) of RTM_NEWADDR or RTM_DELADDR."""
    _, _, _, _, index = _IFADDR.unpack_from(message.buffer, message.start)
    found = attributes(message.buffer, message.start + 8, message.end)
    return index, found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")
