"""The gateway file after validation: what the agent, liveness and speakers are given.

One instance describes one gateway node. Built only by ``netctl.config``; every value here is already checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netctl.model.prefix import Prefix

PeerKind = Literal["provider", "fabric"]

MEMBER_ID_BASE = 0x6E000000
"""Nexthop ids of members: base + a number that depends on the peer's name (not on its place in the file)."""
GROUP_ID_BASE = 0x6E100000
"""Nexthop ids of groups: base + a number the agent hands out, adopted from the kernel after a restart."""


def relay_pid_file(peer: str) -> str:
    """The document in which the relay that holds a peer's socket writes who it is (a ``ProcessId`` as JSON)."""
    return f"relay-{peer}.pid"


@dataclass(frozen=True, slots=True)
class BfdSettings:
    """Asynchronous mode, single hop. Detection time = remote multiplier x negotiated interval (RFC 5880 6.8.4)."""

    interval_ms: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Peer:
    """One BGP neighbour of the gateway."""

    name: str
    kind: PeerKind
    interface: str
    local: str
    address: str
    asn: int
    bfd: BfdSettings | None = None
    hold_time_s: int = 9
    max_prefixes: int = 1_000_000
    weight: int = 1
    member_id: int = 0
    listen: bool = False
    """Wait for the peer to connect instead of connecting."""


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """A remote cloud and the prefixes that belong to it (longest match)."""

    name: str
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of ``when``: ``check:NAME``, ``peer:NAME`` (its BGP session is up) or ``path:CLOUD|any``.

    ``peer:KIND`` (only where several peers are of that kind): the session of at least one of them is up.
    """

    kind: Literal["check", "peer", "path"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class AnnouncementSettings:
    """A prefix this gateway announces to the peers named in ``to``, while every condition of ``when`` holds.

    ``to`` holds peer names (kinds in the file are already resolved).
    """

    prefix: Prefix
    to: tuple[str, ...]
    when: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """A health check: exactly one of ``http`` (URL, 200-399 passes) and ``tcp`` (``HOST:PORT``, connects)."""

    name: str
    http: str | None
    tcp: str | None
    interval_ms: int = 1000
    timeout_ms: int = 500
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class Gateway:
    """The whole gateway file."""

    name: str
    cloud: str
    asn: int
    router_id: str
    runtime_dir: str
    peers: tuple[Peer, ...]
    clouds: tuple[CloudSettings, ...] = ()
    announce: tuple[AnnouncementSettings, ...] = ()
    checks: tuple[CheckSettings, ...] = ()
    metrics_listen: str | None = None
    """``HOST:PORT`` for Prometheus metrics over HTTP; None: only on the agent's socket."""
    source: str = ""
    """The path of the file it came from, for messages."""
