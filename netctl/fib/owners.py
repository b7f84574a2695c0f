"""Whose an object in the kernel is, and how its owner is called when it is in netctl's way.

Names: linux/rtnetlink.h (RTPROT_*), the numbers that routing daemons use for routes and nexthops alike.
"""

from __future__ import annotations

_NAMES = {
    0: "unspec",
    2: "kernel",
    3: "boot",
    4: "static",
    9: "ra",
    11: "zebra",
    12: "bird",
    16: "dhcp",
    18: "keepalived",
    42: "babel",
    110: "netctl",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}


def route_in_the_way(protocol: int | None) -> str:
    """Why a route was not created; None: nobody knows whose that one is."""
    whose = "another program" if protocol is None else f"protocol {_NAMES.get(protocol, protocol)}"
    return f"a route of {whose} is in the way"


def nexthop_in_the_way(identity: int, protocol: int) -> str:
    """Why a nexthop, or a route at it, was not written."""
    return f"a nexthop of protocol {_NAMES.get(protocol, protocol)} is in the way at id {identity}"
