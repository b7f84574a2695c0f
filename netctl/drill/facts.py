"""What a lab looks like to a drill. Pure data; paths and pids are those inside the lab."""

from __future__ import annotations

from dataclasses import dataclass, field

from netctl.fault.faults import LinkEnd


@dataclass(frozen=True, slots=True)
class Host:
    """A VM: where flows start and end."""

    node: str
    address: str
    cloud: str


@dataclass(frozen=True, slots=True)
class Agent:
    """A gateway's agent process and its socket."""

    gateway: str
    pid: int
    started: int
    socket: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """One gateway's ExaBGP for one peer."""

    gateway: str
    peer: str
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """``exits``: interface → the provider at its other end."""

    name: str
    cloud: str
    exits: dict[str, str]


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the lab keeps running; ``held_file`` keeps it down. ``pid`` 0: it does not run now."""

    node: str
    name: str
    role: str
    pid: int
    started: int
    held_file: str


@dataclass(frozen=True, slots=True)
class NamesFacts:
    """The naming half.

    ``services``: service → who is registered for it. ``servers``: cloud → its name server's address. ``programs``:
    servers of pages, ingresses and controllers. ``leaders``: cluster → the controller that leads it.
    """

    zone: str
    services: dict[str, tuple[Host, ...]]
    servers: dict[str, str]
    programs: tuple[Program, ...]
    registry: str
    """HOST:PORT of the etcd in which instances are registered; ``registry_netns`` is where it can be reached."""
    registry_netns: str
    registry_prefix: str
    controllers: tuple[str, ...]
    leaders: dict[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """A lab that is up."""

    lab: str
    hosts: tuple[Host, ...]
    gateways: tuple[GatewayFacts, ...]
    provider_links: dict[str, tuple[LinkEnd, ...]]
    """Provider → both ends of all its links."""
    agents: tuple[Agent, ...] = field(default=())
    speakers: tuple[Speaker, ...] = field(default=())
    names: NamesFacts | None = None
    """None: the lab's naming half is not up."""
