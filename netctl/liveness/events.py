"""What the core is told and what it wants done. Kernel events come in as ``netctl.model`` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netctl.ipc.messages import Message
from netctl.model.ports import Datagram
from netctl.model.routing import KernelEvent, OpFailed, PutMember, Via


@dataclass(frozen=True, slots=True)
class Arrived:
    """Everything that was read in one go, from all sockets if this process was late. Judged as a whole: a neighbour is
    no survivor when the packet that takes it down has arrived already."""

    datagrams: Sequence[Datagram]


@dataclass(frozen=True, slots=True)
class Tick:
    """``next_timer`` is due; the sockets have been read empty."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """At the start: the members that the kernel has, by nexthop id."""

    members: Mapping[int, Via]


@dataclass(frozen=True, slots=True)
class Joined:
    """A client has said Hello."""

    client: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's message."""

    client: int
    message: Message


@dataclass(frozen=True, slots=True)
class Pointed:
    """The kernel's answer to a ``Point``; ``took_ns`` is from the decision to the answer."""

    peer: str
    at: str
    refused: OpFailed | None = None
    took_ns: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """End orderly: tell every neighbour AdminDown, then ``Exit``."""


Event = Arrived | Tick | Adopt | Joined | Asked | Pointed | Stop | KernelEvent


@dataclass(frozen=True, slots=True)
class Point:
    """Write ``peer``'s member so that it sends where ``at``'s does; answer with ``Pointed``."""

    peer: str
    at: str
    op: PutMember


@dataclass(frozen=True, slots=True)
class Send:
    """Send one BFD packet to the peer."""

    peer: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message to one client, or to all (None)."""

    message: Message
    client: int | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """Everything is said: end the program."""


Effect = Point | Send | Tell | Exit
