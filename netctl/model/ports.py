"""The ports: everything netctl wants from the outside.

Each has a real implementation (in a module named ``io.py``) and a fake one (product code), and one contract test
that both pass. A shell is given a ``Ports`` and uses nothing else, so that it also runs in the simulator.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from netctl.model.clock import Clock
from netctl.model.kube import KubeEvent, KubeList, Obj, Resource
from netctl.model.routing import KernelEvent, KernelOp, KernelState, Link, OpFailed


@dataclass(frozen=True, slots=True)
class Datagram:
    """One received UDP datagram; ``ttl`` is what the IP header carried (-1: the kernel did not say)."""

    data: bytes
    source: str
    source_port: int
    ttl: int
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What to bind: ``local`` address, ``port`` (0: any of 49152-65535), the TTL and DSCP to send, the interface."""

    local: str
    port: int
    ttl: int = 255
    interface: str | None = None
    dscp: int = 0


class Datagrams(Protocol):
    """A bound UDP endpoint."""

    @property
    def port(self) -> int:
        """The bound port."""

    def send(self, data: bytes, address: str, port: int) -> None:
        """Send one datagram; never blocks and never raises for a network that is down: counts in ``send_errors``."""

    def receive(self) -> list[Datagram]:
        """Everything that waits, oldest first, bounded by 256 a call; never blocks."""

    def on_readable(self, callback: Callable[[], None]) -> None:
        """Call back (on the event loop) while something waits."""

    @property
    def send_errors(self) -> Mapping[str, int]:
        """How many sends failed, by errno name."""

    def close(self) -> None:
        """Idempotent."""


class Network(Protocol):
    """Opens datagram endpoints."""

    def open(self, endpoint: Endpoint) -> Datagrams:
        """Raises EnvironmentLackError naming the port when taken, or the address when this host has not got it."""


class Stream(Protocol):
    """One end of a connected byte stream (a unix socket)."""

    async def read(self) -> bytes:
        """Some bytes (up to 256 KiB), or b"" at the end of the stream or after a reset."""

    def write(self, data: bytes) -> None:
        """Queue bytes; silently dropped when the other end is gone (``read`` tells)."""

    async def drain(self) -> None:
        """Wait until the queue is short; returns at once when the other end is gone."""

    def close(self) -> None:
        """Idempotent."""


class Listener(Protocol):
    """A listening address."""

    def close(self) -> None:
        """Stop listening and remove the socket's file; idempotent. Streams that are open stay open."""


class Streams(Protocol):
    """Listens and connects by path."""

    async def listen(self, path: str, on_connect: Callable[[Stream], Awaitable[None]]) -> Listener:
        """Listen at ``path`` (mode 0600), taking over a socket file that nobody listens at.

        Raises EnvironmentLackError when somebody does, or when the folder cannot be written.
        """

    async def connect(self, path: str) -> Stream:
        """Raises ConnectionError (also FileNotFoundError becomes it) when nobody listens."""


class Kernel(Protocol):
    """Routes, nexthops and links of this network namespace. Calls are synchronous and fast."""

    def apply(self, ops: Sequence[KernelOp]) -> list[OpFailed]:
        """Apply in order, batched; returns what was refused (empty: all done). One refusal stops nothing after it."""

    def dump(self) -> KernelState:
        """Everything that carries netctl's protocol number."""

    def nexthops(self) -> KernelState:
        """Members and groups alone (``routes`` is empty): cheap at any table size."""

    def links(self) -> dict[str, Link]:
        """All links by name."""

    def watch(self, callback: Callable[[KernelEvent], None]) -> None:
        """Call back on the event loop for each change from now on."""

    def close(self) -> None:
        """Idempotent."""


class Store(Protocol):
    """Small durable documents by name (letters, digits, ``-_.``)."""

    def read(self, name: str) -> bytes | None:
        """The content, or None when there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Atomic and on disk when it returns (temporary file, fsync, rename, fsync of the folder).

        Raises EnvironmentLackError (full disk, no permission) and leaves the old content in place.
        """

    def delete(self, name: str) -> None:
        """On disk when it returns; harmless when there is none."""

    def names(self) -> list[str]:
        """All names, sorted."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A program to start. It gets a session of its own and outlives the starter."""

    name: str
    argv: tuple[str, ...]
    log_path: str
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """Switch to this user (needs SETUID/SETGID); None: stay."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be confused with a later one of the same pid: ``started`` is field 22 of
    /proc/PID/stat, in clock ticks since boot."""

    pid: int
    started: int


class Processes(Protocol):
    """Starts and signals programs."""

    def start(self, spec: ProcessSpec) -> ProcessId:
        """Raises EnvironmentLackError when the program is missing or may not be run."""

    def alive(self, process: ProcessId) -> bool:
        """Whether that very process still runs (a zombie does not)."""

    def signal(self, process: ProcessId, number: int) -> bool:
        """Signal that very process; False when it is gone."""

    def on_exit(self, process: ProcessId, callback: Callable[[], None]) -> None:
        """Call back once on the event loop when it has ended, whoever started it."""


class KubeApi(Protocol):
    """One cluster's Kubernetes API. Every method raises ``netctl.model.kube.KubeError``, by its kind."""

    async def list(self, resource: Resource, namespace: str | None, selector: str = "") -> KubeList:
        """All objects (of a namespace; None: of all), read page by page from one version. ``selector``: labels."""

    def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, selector: str = ""
    ) -> AsyncIterator[KubeEvent]:
        """Changes after a version, until the server ends the watch (then watch again from the last version seen,
        bookmarks included). Raises GoneError when that version is too old."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        """One object, as etcd has it now."""

    async def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        """POST; the object as it was stored."""

    async def replace(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        """PUT, compared and swapped by ``metadata.resourceVersion``; the object as it was stored."""

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str
    ) -> None:
        """Delete that very version of that very object (ConflictError otherwise)."""

    async def close(self) -> None:
        """Idempotent; what is under way ends with an error."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything that a registry holds, at one moment: key (``service/instance``) → raw value (JSON)."""

    entries: Mapping[str, bytes]
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed at one moment."""

    puts: Mapping[str, bytes]
    deletes: frozenset[str] = frozenset()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The registry cannot be read now; what it said before still stands. ``reason``: one line, with what to do."""

    reason: str


RegistryEvent = Listed | Changed | Lost


class Registry(Protocol):
    """One source of instances."""

    async def follow(self, take: Callable[[RegistryEvent], None]) -> None:
        """Call ``take`` with Listed first, then each Changed as it happens; after an interruption Changed from where it
        was (an empty one when nothing happened), or Listed anew. Lost when it cannot be read (once; again only for
        another reason). Runs until it is cancelled."""

    async def close(self) -> None:
        """Idempotent."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a shell is given."""

    clock: Clock
    network: Network
    streams: Streams
    kernel: Kernel
    store: Store
    processes: Processes
