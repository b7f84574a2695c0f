"""Ask the kernel which way a flow goes: RTM_GETROUTE with the flow's keys (linux/rtnetlink.h). Pure codec.

With an input interface the kernel builds a packet from the keys and takes the very decision it would take when
forwarding it, the ECMP hash included (net/ipv4/route.c, inet_rtm_getroute).
"""

from __future__ import annotations

import struct

from netctl.model.netns import netlink
from netctl.model.prefix import parse_address
from netctl.probe.spec import Flow

RTM_NEWROUTE = 24
RTM_GETROUTE = 26
_AF_INET = 2
_IPPROTO_UDP = 17
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF = 1, 2, 3, 4
_RTA_IP_PROTO, _RTA_SPORT, _RTA_DPORT = 27, 28, 29


def destination_query(address: str) -> bytes:
    """Body of a query: which way does this node itself send to ``address``?"""
    return _RTMSG.pack(_AF_INET, 32, 0, 0, 0, 0, 0, 0, 0) + netlink.attribute(_RTA_DST, parse_address(address))


def flow_query(flow: Flow, input_index: int) -> bytes:
    """Body of a query: by which interface does this node forward ``flow``, arriving over ``input_index``?"""
    return (
        _RTMSG.pack(_AF_INET, 32, 32, 0, 0, 0, 0, 0, 0)
        + netlink.attribute(_RTA_DST, parse_address(flow.target))
        + netlink.attribute(_RTA_SRC, parse_address(flow.source))
        + netlink.attribute(_RTA_IIF, struct.pack("=I", input_index))
        + netlink.attribute(_RTA_IP_PROTO, bytes((_IPPROTO_UDP,)))
        + netlink.attribute(_RTA_SPORT, struct.pack("!H", flow.source_port))
        + netlink.attribute(_RTA_DPORT, struct.pack("!H", flow.target_port))
    )


def output_index(answers: list[tuple[int, bytes]]) -> int | None:
    """The output interface's index of the first route among ``answers``, or None."""
    for kind, body in answers:
        if kind == RTM_NEWROUTE and (index := netlink.attributes(body, _RTMSG.size).get(_RTA_OIF)):
            found: int = struct.unpack("=I", index)[0]
            return found
    return None
