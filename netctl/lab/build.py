"""Builds the lab's network from inside its namespaces: one network namespace per node, links, addresses, sysctls."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netctl.lab import namespaces as ns
from netctl.lab.namespaces import NETNS_DIR, mount, setns
from netctl.lab.topology import LinkEnd, Topology

ROUTER_SYSCTLS = {"ipv4/ip_forward": "1"}
NODE_SYSCTLS = {
    # Packets may come back over the other provider: strict reverse path filtering would drop them.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # The lab routes IPv4; without this every interface would spend its first seconds on IPv6 address detection.
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


def mount_private(state_dir: Path, *, hide_frr: bool) -> None:
    """A /proc of this PID namespace and an empty /run, where STATE and STATE/run (as /run/netctl) are still seen;
    the lab's own names and no resolver in /etc.

    ``hide_frr``: FRR's daemons leave crash folders in /var/tmp/frr when they are killed; here they go with the lab.
    Raises OSError naming what could not be mounted.
    """
    mount(None, "/", None, ns.MS_REC | ns.MS_PRIVATE)
    mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    kept = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=755")
    if not state_dir.exists():  # STATE was under /run: show it at its old path
        state_dir.mkdir(parents=True)
        mount(f"/proc/self/fd/{kept}", str(state_dir), None, ns.MS_BIND)
    os.close(kept)
    Path("/run/netctl").mkdir()
    mount(str(state_dir / "run"), "/run/netctl", None, ns.MS_BIND)
    for folder in (NETNS_DIR, *ns.SOCKET_DIRS):
        folder.mkdir()
    for name in ("hosts", "resolv.conf"):
        if Path("/etc", name).exists():  # a link into /run leads nowhere now, and without the file nobody is asked
            mount(str(state_dir / "etc" / name), f"/etc/{name}", None, ns.MS_BIND)
    if hide_frr:
        _cover(Path("/var/tmp"), "frr")  # noqa: S108 (nothing is written there)


def _cover(folder: Path, hidden: str) -> None:
    """A private copy of a folder in which its folders but ``hidden`` are still seen."""
    shown = {e.name: os.open(e.path, os.O_PATH) for e in os.scandir(folder) if e.is_dir(follow_symlinks=False)}
    mount("tmpfs", str(folder), "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=1777")
    for name, descriptor in shown.items():
        if name != hidden:
            (folder / name).mkdir()
            mount(f"/proc/self/fd/{descriptor}", str(folder / name), None, ns.MS_BIND | ns.MS_REC)
        os.close(descriptor)


def build_network(topology: Topology, still_wanted: Callable[[], None]) -> None:
    """Make every node. ``still_wanted`` is called between steps and ends the process when nobody wants the lab."""
    from pyroute2 import IPRoute

    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    inside: dict[str, int] = {}
    try:
        for node in topology.nodes:
            ns.unshare(ns.NEWNET)
            inside[node.name] = _keep_namespace(node.name)
            _write_sysctls(NODE_SYSCTLS | ({} if node.leaf else ROUTER_SYSCTLS))
            still_wanted()
        setns(home, ns.NEWNET)
        with IPRoute() as route:
            _up(route, "lo")
            for one, other in topology.links:
                peer = {"ifname": other.interface, "net_ns_fd": inside[other.node]}
                route.link("add", ifname=one.interface, kind="veth", net_ns_fd=inside[one.node], peer=peer)
        still_wanted()
        for node in topology.nodes:
            setns(inside[node.name], ns.NEWNET)
            with IPRoute() as route:  # the socket belongs to the namespace it was made in
                _configure(route, topology, node.name)
            still_wanted()
    finally:
        setns(home, ns.NEWNET)
        for descriptor in (home, *inside.values()):
            os.close(descriptor)


def _keep_namespace(name: str) -> int:
    target = NETNS_DIR / name
    target.touch()
    mount("/proc/self/ns/net", str(target), None, ns.MS_BIND)
    return os.open(target, os.O_RDONLY)


def _write_sysctls(values: dict[str, str]) -> None:
    for name, value in values.items():
        path = Path("/proc/sys/net", name)
        if path.exists():  # a kernel without IPv6 has no ipv6/
            path.write_text(value, encoding="ascii")


def _configure(route: Any, topology: Topology, name: str) -> None:
    _up(route, "lo")
    ends = topology.ends(name)
    for own, _ in ends:
        address, _, length = own.address.partition("/")
        route.addr("add", index=_index(own.interface), address=address, prefixlen=int(length))
        _up(route, own.interface)
    if topology.node(name).leaf and ends:
        gateway: LinkEnd = ends[0][1]
        route.route("add", dst="0.0.0.0/0", gateway=gateway.ip)


def _up(route: Any, interface: str) -> None:
    route.link("set", index=_index(interface), state="up")


def _index(interface: str) -> int:
    return socket.if_nametoindex(interface)
