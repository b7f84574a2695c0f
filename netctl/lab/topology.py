"""The lab's topology: read from YAML, checked, and asked by everything else."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from netctl.model.errors import UsageError

Role = Literal["provider", "gateway", "fabric", "vm", "kube", "dns", "ingress", "pod", "mgmt"]
NAMES_ROLES: tuple[Role, ...] = ("kube", "dns", "ingress", "pod", "mgmt")
"""Nodes that only the names half needs."""
LEAF_ROLES: tuple[Role, ...] = ("vm", *NAMES_ROLES)
"""Nodes with one link, to their cloud's fabric router, which announces it; their default route leads there."""
Daemon = Literal["bird", "frr", "embedded", "netctl"]

ZONE = "netctl.internal"
"""Under which every cloud's CoreDNS answers."""
PACKAGED = Path(__file__).with_name("topology.yaml")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_MAX_INTERFACE = 15  # IFNAMSIZ without its closing zero


@dataclass(frozen=True, slots=True)
class Node:
    """One network namespace. ``asn`` 0: it speaks no BGP. ``daemon``: what speaks it (None for a leaf)."""

    name: str
    role: Role
    cloud: str | None = None
    asn: int = 0
    daemon: Daemon | None = None

    @property
    def leaf(self) -> bool:
        return self.role in LEAF_ROLES


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One end of a link: an interface in a node's namespace; ``address`` is ``A.B.C.D/LENGTH``."""

    node: str
    interface: str
    address: str = ""

    @property
    def ip(self) -> str:
        return self.address.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A router beside a router, over a link of their own."""

    node: Node
    own: LinkEnd
    theirs: LinkEnd


@dataclass(frozen=True, slots=True)
class Topology:
    """Nodes and point-to-point links. Everything about BGP and BFD follows from them."""

    nodes: tuple[Node, ...]
    links: tuple[tuple[LinkEnd, LinkEnd], ...]
    clouds: dict[str, str]
    """Cloud → its prefix."""
    bfd_interval_ms: int
    bfd_multiplier: int
    hold_time_s: int

    def node(self, name: str) -> Node:
        """Raises UsageError naming the nodes that exist."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UsageError(f"the lab has no node {name!r}", "nodes: " + ", ".join(n.name for n in self.nodes))

    def with_role(self, *roles: Role) -> list[Node]:
        return [node for node in self.nodes if node.role in roles]

    @property
    def has_names(self) -> bool:
        """Whether there is anything for the names half to run on."""
        return bool(self.with_role(*NAMES_ROLES))

    def address(self, leaf: str) -> str:
        """A leaf's address. Raises UsageError when there is no such node, or it is a router or has no link."""
        ends = self.ends(leaf)
        if not (self.node(leaf).leaf and ends):
            raise UsageError(f"{leaf} is no machine with one address", "netctl lab status lists them")
        return ends[0][0].ip

    def ends(self, name: str) -> list[tuple[LinkEnd, LinkEnd]]:
        """The links of a node, its own end first."""
        found = []
        for one, other in self.links:
            if one.node == name:
                found.append((one, other))
            if other.node == name:
                found.append((other, one))
        return found

    def neighbours(self, name: str) -> list[Neighbour]:
        """The BGP neighbours of a router."""
        pairs = self.ends(name)
        return [Neighbour(node, own, theirs) for own, theirs in pairs if (node := self.node(theirs.node)).asn]

    def with_daemons(self, daemons: dict[str, Daemon]) -> Topology:
        """The same with other BGP daemons, by node."""
        return replace(self, nodes=tuple(replace(n, daemon=daemons.get(n.name, n.daemon)) for n in self.nodes))

    def digest(self) -> str:
        """Equal for equal topologies."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


def with_bfd(one: Node, other: Node) -> bool:
    """BFD runs between gateways and providers."""
    return {one.role, other.role} == {"gateway", "provider"}


class _Bfd(Struct, forbid_unknown_fields=True):
    interval_ms: int
    multiplier: int


class _Cloud(Struct, forbid_unknown_fields=True):
    name: str
    prefix: str


class _Node(Struct, forbid_unknown_fields=True):
    name: str
    role: Role
    cloud: str | None = None
    asn: int = 0
    daemon: Literal["bird", "frr", "embedded"] | None = None


class _File(Struct, forbid_unknown_fields=True):
    version: Literal[1]
    clouds: list[_Cloud]
    nodes: list[_Node]
    links: list[tuple[str, str]]
    bfd: _Bfd
    hold_time_s: int = 9


def load_topology(path: Path = PACKAGED) -> Topology:
    """Read and check a topology. Raises UsageError with the file, the line where it can be told, and the value."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data: Any = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise UsageError(f"{path}{where}: {getattr(error, 'problem', None) or error}", "it is YAML 1.2") from None
    try:
        file = msgspec.convert(data, _File)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$")
        raise UsageError(f"{path}{_position(data, at)}: {at.strip('.`') or 'file'}: {what}") from None
    return _checked(_build(file, path), path)


def _position(data: Any, at: str) -> str:
    """``:LINE:COLUMN`` of a msgspec path such as ``.nodes[3].role``, as far as it can be followed."""
    place = ""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", at):
        key: Any = name or int(index)
        try:
            line, column = data.lc.key(key) if name else data.lc.item(key)
            data = data[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        place = f":{line + 1}:{column + 1}"
    return place


def _build(file: _File, path: Path) -> Topology:
    nodes = tuple(
        Node(n.name, n.role, n.cloud, n.asn, "netctl" if n.role == "gateway" else n.daemon) for n in file.nodes
    )
    links = tuple((_end(one, path), _end(other, path)) for one, other in file.links)
    clouds = {cloud.name: cloud.prefix for cloud in file.clouds}
    return Topology(nodes, links, clouds, file.bfd.interval_ms, file.bfd.multiplier, file.hold_time_s)


def _end(text: str, path: Path) -> LinkEnd:
    words = text.split()
    if len(words) != 3:
        raise UsageError(f"{path}: links: {text!r} is no link end", "write NODE INTERFACE ADDRESS/LENGTH")
    return LinkEnd(*words)


def _checked(topology: Topology, path: Path) -> Topology:
    problems: list[str] = []
    names = [node.name for node in topology.nodes]
    problems += [f"nodes: {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for node in topology.nodes:
        problems += _node_problems(node, topology)
    for link in topology.links:
        for end in link:
            problems += _end_problems(end, names)
    interfaces = [(end.node, end.interface) for link in topology.links for end in link]
    for node_name, interface in sorted({i for i in interfaces if interfaces.count(i) > 1}):
        problems.append(f"links: {node_name} has {interface} twice")
    if problems:
        raise UsageError("; ".join(f"{path}: {problem}" for problem in problems))
    return topology


def _node_problems(node: Node, topology: Topology) -> list[str]:
    problems = []
    if not _NAME.fullmatch(node.name):
        problems.append(f"nodes: {node.name!r} is no name; allowed: a-z, 0-9 and - between them, up to 32")
    if node.role != "provider" and node.cloud not in topology.clouds:
        problems.append(f"nodes: {node.name}: cloud {node.cloud!r} is not one of {', '.join(topology.clouds)}")
    if not node.leaf and not 0 < node.asn < 1 << 32:
        problems.append(f"nodes: {node.name}: asn {node.asn} is not within 1 and 4294967295")
    routers = {other.name for other in topology.nodes if other.asn}
    if not node.leaf and not any(theirs.node in routers for _, theirs in topology.ends(node.name)):
        problems.append(f"nodes: {node.name}: a {node.role} without a link to another router has no BGP neighbour")
    if node.leaf and len(topology.ends(node.name)) > 1:
        problems.append(f"nodes: {node.name}: a {node.role} has one link, not several")
    if node.role in {"provider", "fabric"} and node.daemon is None:
        problems.append(f"nodes: {node.name}: a {node.role} needs a daemon: bird, frr or embedded")
    return problems


def _end_problems(end: LinkEnd, names: list[str]) -> list[str]:
    problems = []
    if end.node not in names:
        problems.append(f"links: {end.node!r} is no node")
    if len(end.interface) > _MAX_INTERFACE or "/" in end.interface:
        problems.append(f"links: {end.interface!r} is no interface name (up to {_MAX_INTERFACE} characters)")
    try:
        IPv4Interface(end.address)
    except ValueError:
        problems.append(f"links: {end.node} {end.interface}: {end.address!r} is no address; write 10.0.1.1/30")
    return problems
