"""What ExaBGP tells, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from netctl.model.prefix import Prefix


class Attributes(Struct, frozen=True):
    """What a peer says about a prefix, without the next hop.

    ``as_path`` has the length that RFC 4271 9.1.2.2 counts: an AS_SET appears as its smallest member, confederation
    segments (RFC 5065 5.3) not at all. ``seen`` holds every AS that occurs anywhere, for the loop check.
    """

    as_path: tuple[int, ...] = ()
    seen: frozenset[int] = frozenset()
    med: int = 0
    communities: tuple[str, ...] = ()
    origin: str = "igp"


@dataclass(frozen=True, slots=True)
class Connected:
    """TCP is there; OPEN comes next."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer's OPEN."""

    asn: int
    router_id: str
    hold_time_s: int


@dataclass(frozen=True, slots=True)
class Up:
    """Established."""


@dataclass(frozen=True, slots=True)
class Down:
    """The session, or an attempt at it that had reached OPEN, ended; ``reason`` is ExaBGP's."""

    reason: str


@dataclass(frozen=True, slots=True)
class Notified:
    """A NOTIFICATION (RFC 4271 4.5) was sent or received; Down follows."""

    direction: Literal["send", "receive"]
    code: int
    subcode: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Updated:
    """One UPDATE: withdrawn prefixes, then announced ones per next hop."""

    withdrawn: list[Prefix]
    announced: list[tuple[bytes, Attributes, list[Prefix]]]


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """RFC 4724 section 2."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Enhanced route refresh's markers (RFC 7313)."""

    mark: Literal["begin", "end", "query"]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Answer to ``show neighbor json``: what a helper that starts into a running ExaBGP has missed."""

    established: bool
    router_id: str


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the answer to ``show adj-rib out``: a prefix that ExaBGP announces."""

    prefix: Prefix


@dataclass(frozen=True, slots=True)
class Stopping:
    """ExaBGP is being shut down."""


Event = Connected | Opened | Up | Down | Notified | Updated | EndOfRib | Refresh | Neighbours | Told | Stopping
