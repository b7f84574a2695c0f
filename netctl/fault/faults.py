"""What can be done to a lab, as data. Paths and pids are those inside the lab's namespaces."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class LinkEnd(Struct, frozen=True):
    """One end of a link; ``netns`` is the path of its network namespace, None the own one."""

    netns: str | None
    interface: str

    def __str__(self) -> str:
        node = self.netns.rpartition("/")[2] if self.netns else "here"
        return f"{node}:{self.interface}"


class LinkCut(Struct, frozen=True, tag="link_cut"):
    """Silently drop everything these interfaces would send (a ``blackhole`` qdisc at the root of each).

    Both ends of a link make a cut that neither side can tell from a broken fibre far away: carrier stays.
    """

    ends: tuple[LinkEnd, ...]

    def __str__(self) -> str:
        return "cut " + ", ".join(map(str, self.ends))


class ProcessKill(Struct, frozen=True, tag="process_kill"):
    """Signal one very process (``started`` is field 22 of /proc/PID/stat). KILL: its supervisor restarts it."""

    name: str
    pid: int
    started: int
    signal: Literal["KILL", "STOP"]

    def __str__(self) -> str:
        return f"{'kill -9' if self.signal == 'KILL' else 'stop'} {self.name} (pid {self.pid})"


class BgpReset(Struct, frozen=True, tag="bgp_reset"):
    """Let a gateway's agent reset the BGP session with one peer; it comes back by itself."""

    gateway: str
    peer: str
    socket: str

    def __str__(self) -> str:
        return f"reset BGP {self.gateway} - {self.peer}"


class ProcessHold(Struct, frozen=True, tag="process_hold"):
    """Kill -9 a program of the lab and keep it down: as long as ``file`` is there, the lab's init does not start it
    again. The file holds the drill's id, and is taken away by that id alone."""

    node: str
    name: str
    pid: int
    started: int
    file: str

    def __str__(self) -> str:
        return f"kill -9 {self.name} on {self.node} (pid {self.pid}) and keep it down"


class RegistryWipe(Struct, frozen=True, tag="registry_wipe"):
    """Delete every key below ``prefix`` from an etcd, in one revision. ``netns`` is where its client URL can be
    reached, ``endpoint`` is HOST:PORT."""

    netns: str | None
    endpoint: str
    prefix: str

    def __str__(self) -> str:
        return f"delete every key below {self.prefix} from the registry {self.endpoint}"


Fault = LinkCut | ProcessKill | BgpReset | ProcessHold | RegistryWipe


class Qdisc(Struct, frozen=True):
    """The root qdisc of an interface as it was: ``handle`` 0 is the kernel's default, which returns by itself."""

    kind: str
    handle: int
    options: bytes | None


class LinksBefore(Struct, frozen=True, tag="links"):
    """One qdisc for each end of a LinkCut, in its order."""

    qdiscs: tuple[Qdisc, ...]


class RegistryKey(Struct, frozen=True):
    """A key as it was; ``lease`` 0: it had none."""

    key: bytes
    value: bytes
    lease: int


class RegistryBefore(Struct, frozen=True, tag="registry"):
    """Every key below the prefix, as they were together at ``revision``."""

    revision: int
    keys: tuple[RegistryKey, ...]


Before = LinksBefore | RegistryBefore | None
