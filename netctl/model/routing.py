"""The kernel's side of routing: members, groups, routes, links, and the operations on them.

A *member* is a nexthop object that stands for one peer (gateway address on an interface). A *group* is an ECMP
nexthop group of members. Every route that netctl installs points at a group, so that repointing one member moves
every route at once (prefix-independent convergence). Liveness writes members; the agent writes groups and routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netctl.model.prefix import Prefix

ROUTE_PROTOCOL = 110
"""netctl's own route protocol number (rtnetlink ``rtm_protocol``/``nh_protocol``); 186 (BGP) belongs to others."""
ROUTE_METRIC = 19
"""Metric of netctl's routes: stronger than a DHCP or static default of 100 and more, weaker than connected. Not 20,
which is zebra's (nor 32, BIRD's): two routes of one prefix and metric are in each other's way in the kernel."""
MAIN_TABLE = 254


@dataclass(frozen=True, slots=True)
class Via:
    """Where a member sends: ``gateway`` is 4 (IPv4) or 16 bytes, ``interface`` a name, resolved when written."""

    gateway: bytes
    interface: str


@dataclass(frozen=True, slots=True)
class PutMember:
    """Create or replace in place (RTM_NEWNEXTHOP, NLM_F_CREATE|NLM_F_REPLACE) the member ``id``.

    An id at which there is somebody else's nexthop (another ``nh_protocol``) is refused with EEXIST; so is a group's.
    """

    id: int
    via: Via


@dataclass(frozen=True, slots=True)
class PutGroup:
    """Create or replace in place the group ``id``; ``members`` are (member id, weight 1-256), sorted by id."""

    id: int
    members: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DeleteNexthop:
    """Delete a member or group; a group's deletion takes its routes along, so it comes after they have moved.

    One that is already gone is no error; somebody else's at that id is left alone.
    """

    id: int


@dataclass(frozen=True, slots=True)
class PutRoutes:
    """Create or replace the routes of many prefixes at one group, in the order given.

    ``create``: netctl is not known to have these routes. Where somebody else has one of the same prefix and metric, it
    stays and the prefix is refused with EEXIST; where there is one of netctl's after all, it is replaced. Such a prefix
    is named by no other operation of the same call. Without ``create`` whatever is there is replaced.
    """

    prefixes: tuple[Prefix, ...]
    group: int
    create: bool = False


@dataclass(frozen=True, slots=True)
class DeleteRoutes:
    """Delete netctl's routes of these prefixes; one that is already gone is no error."""

    prefixes: tuple[Prefix, ...]


KernelOp = PutMember | PutGroup | DeleteNexthop | PutRoutes | DeleteRoutes


@dataclass(frozen=True, slots=True)
class OpFailed:
    """One refused operation; ``prefix`` is the first that failed of a bulk operation, ``errno`` the kernel's for it.

    ``prefixes`` are all that failed of a bulk operation; the others of it are done.
    """

    op: KernelOp
    errno: int
    message: str
    prefix: Prefix | None = None
    prefixes: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelState:
    """A dump of everything with netctl's protocol number: members and groups by id, route prefix → group id."""

    members: dict[int, Via]
    groups: dict[int, tuple[tuple[int, int], ...]]
    routes: dict[Prefix, int]


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface of this namespace; ``addresses`` are packed."""

    name: str
    index: int
    up: bool
    """Administratively up and with carrier."""
    mtu: int
    addresses: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelEvent:
    """Something outside netctl changed what netctl wrote, or a link.

    ``route_gone``/``nexthop_gone``: an object with netctl's protocol was deleted by anybody but the port that tells it
    (liveness's deletions reach the agent); it may be back by now: the receiver looks before it acts. ``link``: a link
    changed. ``overrun``: events were lost, dump again.
    """

    kind: Literal["route_gone", "nexthop_gone", "link", "overrun"]
    prefix: Prefix | None = None
    nexthop: int | None = None
    link: Link | None = None
