"""Which programs run on which node, with which files: a pure function of the topology and of what the machine has."""

from __future__ import annotations

import os
import shutil
import sys
from enum import StrEnum
from ipaddress import IPv4Interface
from pathlib import Path

import msgspec

from netctl.bgp.render import Neighbour, Router, render_bird, render_frr
from netctl.lab.plan import LabPlan, ProcessPlan
from netctl.lab.topology import ZONE, Daemon, Node, Role, Topology, with_bfd
from netctl.model.errors import EnvironmentLackError
from netctl.model.gateway import BfdSettings
from netctl.model.prefix import format_prefix, parse_prefix

FRR_DIR = Path("/usr/lib/frr")
PAGE_PORT = 80
RESOLV_CONF = "# No resolver can be reached from a node, so that each question fails at once.\nnameserver 127.0.0.1\n"
_RESOLVING: tuple[Role, ...] = ("vm", "pod", "ingress", "mgmt")
_PACKAGES = {"bird": "bird2", "frr": "frr"}


class Providers(StrEnum):
    """What stands for the providers. ``auto``: what the topology says where it can run, else what can."""

    auto = "auto"
    bird = "bird"
    frr = "frr"
    embedded = "embedded"


def plan_lab(name: str, state_dir: Path, topology: Topology, providers: Providers) -> tuple[LabPlan, dict[str, str]]:
    """Everything of the routing half that is to be run, and the files it reads (by path under STATE).

    Raises EnvironmentLackError naming the Debian package of a daemon that was asked for and is not there.
    """
    daemons, notes = choose_daemons(topology, providers, lacking())
    chosen = topology.with_daemons(daemons)
    writer = _Writer(chosen, state_dir)
    for node in chosen.nodes:
        writer.add(node)
    writer.files |= {"etc/hosts": hosts_file(chosen, os.uname().nodename), "etc/resolv.conf": RESOLV_CONF}
    writer.files |= resolv_files(chosen)
    plan = LabPlan(
        name, str(state_dir), chosen, tuple(writer.processes), tuple(notes), not privileged(), tuple(writer.owners)
    )
    return plan, writer.files


def privileged() -> bool:
    """Whether namespaces can be made without a user namespace: uid 0 with CAP_SYS_ADMIN (bit 21, capability.h)."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    return os.geteuid() == 0 and bool(capabilities >> 21 & 1)


def _single_uid() -> bool:
    """Whether the lab will know one uid only: its own user namespace maps one, or this one does."""
    ranges = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    return not privileged() or sum(int(line.split()[2]) for line in ranges) == 1


def lacking() -> dict[Daemon, str]:
    """Daemons that cannot run here, and why."""
    reasons: dict[Daemon, str] = {}
    if find_bird() is None:
        reasons["bird"] = "bird is not installed (Debian package bird2)"
    if not all((FRR_DIR / program).exists() for program in ("zebra", "bgpd", "bfdd")):
        reasons["frr"] = "FRR is not installed (Debian package frr)"
    elif _single_uid():
        reasons["frr"] = "FRR needs more than one uid, and a lab without root has one"
    return reasons


def find_bird() -> str | None:
    """Ordinary users rarely have /usr/sbin in PATH."""
    return shutil.which("bird") or shutil.which("bird", path="/usr/sbin:/usr/local/sbin")


def choose_daemons(
    topology: Topology, providers: Providers, reasons: dict[Daemon, str]
) -> tuple[dict[str, Daemon], list[str]]:
    """Node → daemon, and one line for each that is not what the topology says. Raises EnvironmentLackError."""
    chosen: dict[str, Daemon] = {}
    notes: list[str] = []
    for node in topology.with_role("provider", "fabric"):
        wanted = node.daemon
        assert wanted is not None
        if providers is Providers.embedded or (node.role == "provider" and providers is not Providers.auto):
            wanted = providers.value  # type: ignore[assignment]  # a Daemon but for auto
            if wanted in reasons:
                hint = f"apt-get install {_PACKAGES[wanted]}" if "install" in reasons[wanted] else "run as root"
                raise EnvironmentLackError(
                    f"{node.name} cannot be {wanted}: {reasons[wanted]}", f"{hint}, or --providers auto"
                )
        elif wanted in reasons:
            instead: Daemon = "bird" if "bird" not in reasons else "embedded"
            notes.append(f"{node.name} is {instead} instead of {wanted}: {reasons[wanted]}")
            wanted = instead
        chosen[node.name] = wanted
    return chosen, notes


class _Writer:
    """Collects processes and files, node by node."""

    def __init__(self, topology: Topology, state_dir: Path) -> None:
        self.topology = topology
        self.state_dir = state_dir
        self.processes: list[ProcessPlan] = []
        self.files: dict[str, str] = {}
        self.owners: list[tuple[str, str]] = []

    def add(self, node: Node) -> None:
        if node.role == "vm":
            page = str(Path(__file__).with_name("page.py"))
            argv = [sys.executable, "-I", "-S", page, "serve", node.name, node.cloud or "", str(PAGE_PORT)]
            self._process(node, "page", "page", argv)
        elif node.role == "gateway":
            path = self._file(f"{node.name}.yaml", gateway_file(self.topology, node))
            agent = [sys.executable, "-m", "netctl.cli.main", "agent", "run", "--config", path, "--standalone"]
            self._process(node, "agent", "agent", agent)
        elif node.daemon == "bird":
            self._bird(node)
        elif node.daemon == "frr":
            self._frr(node)
        elif node.daemon == "embedded":
            path = self._file(f"{node.name}.json", embedded_file(self.topology, node))
            self._process(node, "embedded", "embedded", [sys.executable, "-m", "netctl.lab.embedded", path])

    def _bird(self, node: Node) -> None:
        path = self._file(f"{node.name}/bird.conf", render_bird(router_of(self.topology, node)))
        bird = find_bird() or "bird"
        self._process(node, "bird", "bird", [bird, "-f", "-c", path, "-s", f"/run/netctl/{node.name}/bird.ctl"])

    def _frr(self, node: Node) -> None:
        run = f"/run/netctl/{node.name}"
        self.owners.append((run, "frr:frrvty"))
        zserv = f"{run}/zserv.api"
        for daemon, text in render_frr(router_of(self.topology, node)).items():
            path = self._file(f"{node.name}/{daemon}.conf", text)
            argv = [str(FRR_DIR / daemon), "-u", "frr", "-g", "frr", "-f", path]
            argv += ["--vty_socket", run, "-z", zserv, "-i", f"{run}/{daemon}.pid"]
            argv += ["--bfdctl", f"{run}/bfdd.sock"] if daemon == "bfdd" else []
            self._process(node, daemon, daemon, argv, *([] if daemon == "zebra" else [zserv]))

    def _process(self, node: Node, name: str, role: str, argv: list[str], *waits_for: str) -> None:
        log = str(self.state_dir / "log" / node.name / f"{name}.log")
        self.processes.append(ProcessPlan(node.name, name, role, tuple(argv), log, waits_for))

    def _file(self, name: str, text: str) -> str:
        self.files[f"etc/{name}"] = text
        return str(self.state_dir / "etc" / name)


def hosts_file(topology: Topology, machine: str) -> str:
    """/etc/hosts inside: every node by each of its addresses, the machine's own name too."""
    lines = [f"127.0.0.1 localhost {machine}"]
    lines += [f"{own.ip} {node.name}" for node in topology.nodes for own, _ in topology.ends(node.name)]
    return "\n".join(lines) + "\n"


def resolv_files(topology: Topology) -> dict[str, str]:
    """/etc/resolv.conf of each node in a cloud with a name server: that, and a second try after a second."""
    servers = {node.cloud: topology.address(node.name) for node in topology.with_role("dns")}
    return {
        f"etc/resolv/{node.name}": f"search {ZONE}\nnameserver {servers[node.cloud]}\noptions timeout:1 attempts:2\n"
        for node in topology.with_role(*_RESOLVING)
        if node.cloud in servers
    }


def gateway_file(topology: Topology, node: Node) -> str:
    """The gateway file (YAML; JSON is YAML too, but this is meant to be read)."""
    neighbours = topology.neighbours(node.name)
    bfd = f"{{interval_ms: {topology.bfd_interval_ms}, multiplier: {topology.bfd_multiplier}}}"
    lines = [
        "version: 1",
        f"gateway: {node.name}",
        f"cloud: {node.cloud}",
        f"asn: {node.asn}",
        f"router_id: {neighbours[0].own.ip}",
        f"runtime_dir: /run/netctl/{node.name}",
        "peers:",
    ]
    for n in neighbours:
        fabric = n.node.role == "fabric"
        lines += [
            f"  - name: {'fabric' if fabric else n.node.name}",
            f"    kind: {'fabric' if fabric else 'provider'}",
            f"    interface: {n.own.interface}",
            f"    local: {n.own.ip}",
            f"    address: {n.theirs.ip}",
            f"    asn: {n.node.asn}",
            f"    hold_time_s: {topology.hold_time_s}",
            *([f"    bfd: {bfd}"] if with_bfd(node, n.node) else []),
        ]
    remote = {cloud: prefix for cloud, prefix in topology.clouds.items() if cloud != node.cloud}
    lines += ["clouds:", *(f"  - {{name: {cloud}, prefixes: [{prefix}]}}" for cloud, prefix in remote.items())]
    lines += ["announce:", f"  - prefix: {topology.clouds[node.cloud or '']}"]
    if any(n.node.role == "fabric" for n in neighbours):
        lines += ["  - prefix: 0.0.0.0/0", "    to: [fabric]", "    when: [path:any]"]
    return "\n".join(lines) + "\n"


def router_of(topology: Topology, node: Node) -> Router:
    """What the kits' templates need to know of a provider or fabric router.

    A fabric router announces the networks of the machines at it; a provider only passes on.
    """
    bfd = BfdSettings(topology.bfd_interval_ms, topology.bfd_multiplier)
    found = topology.neighbours(node.name)
    neighbours = tuple(
        Neighbour(
            n.node.name,
            n.own.interface,
            n.own.ip,
            n.theirs.ip,
            n.node.asn,
            bfd if with_bfd(node, n.node) else None,
            topology.hold_time_s,
        )
        for n in found
    )
    networks = tuple(
        parse_prefix(str(IPv4Interface(own.address).network))
        for own, theirs in topology.ends(node.name)
        if topology.node(theirs.node).leaf
    )
    return Router(node.name, node.asn, found[0].own.ip, neighbours, networks)


def embedded_file(topology: Topology, node: Node) -> str:
    """The configuration of ``python -m netctl.lab.embedded``."""
    router = router_of(topology, node)
    data = {
        "name": router.name,
        "asn": router.asn,
        "router_id": router.router_id,
        "runtime_dir": f"/run/netctl/{node.name}",
        "neighbours": [msgspec.to_builtins(neighbour) for neighbour in router.neighbours],
        "announce": [format_prefix(prefix) for prefix in router.announce],
    }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
