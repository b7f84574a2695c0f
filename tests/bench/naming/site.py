"""One cloud of the lab, its names half alone, in namespaces that end with the benchmark.

A registry etcd, a Kubernetes API on an etcd of its own (with the controller manager), CoreDNS, and one controller: the
programs, files and ServiceAccounts that the lab has, each in a network namespace of its own, behind one router. The
benchmark itself stands in a VM's place. Their data is in memory, as the lab's is. No checker: so many instances do not
exist, and without a verdict they count as ready.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netctl.lab import namespaces
from netctl.lab.ask import program_status
from netctl.lab.build import build_network
from netctl.lab.names import plan_names, prepare
from netctl.lab.names.layout import NAMESPACE, REGISTRY_PORT, REGISTRY_PREFIX, ZONE, Layout
from netctl.lab.plan import LabPlan, ProcessPlan
from netctl.lab.topology import Topology, load_topology
from tests.bench.rig import wait_for

STATE = Path("/run/bench/state")
NODES = ("fa", "a-vm1", "a-kube", "a-dns", "mgmt")
CLOUD, CLIENT, CONTROLLER = "a", "a-vm1", "c1"
_LEFT_OUT = {"checker", "c2"}
_GUARDS = "guards: {removals: {1m: 1000000}}\n"
"""More instances leave here in a minute than a controller should let go; how it counts them stays the same."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything is, and how the programs that it does not start by itself are run."""

    layout: Layout
    programs: dict[str, ProcessPlan]

    @property
    def dns_server(self) -> str:
        return self.layout.dns_servers(CLOUD)[0]

    @property
    def registry(self) -> tuple[str, int]:
        """Host and port."""
        return self.layout.ip(self.layout.topology.node("mgmt")), REGISTRY_PORT

    @property
    def api(self) -> dict[str, str]:
        """How a program uses the cluster as the controller does: ``url``, ``ca`` (a file), ``token``, ``namespace``."""
        kubeconfig = self.layout.kubeconfig(CLOUD, "controller").read_text("utf-8")
        token = kubeconfig.partition("user: {token: ")[2].partition("}")[0]
        url = self.layout.api_url(CLOUD)
        return {"url": url, "ca": str(self.layout.ca), "token": token, "namespace": NAMESPACE}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        plan = self.programs[name]
        log = STATE / f"{name}.log"
        with log.open("ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", plan.node, *plan.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **plan.env},
            )

    def tail(self, name: str) -> str:
        return (STATE / f"{name}.log").read_text("utf-8", errors="replace")[-1500:]


def build_site() -> Site:
    """Build it, start the registry, the cluster and CoreDNS, and set the cluster up. The caller's process is in the
    client's network namespace afterwards. Raises TimeoutError, EnvironmentLackError."""
    whole = load_topology()
    nodes = tuple(node for node in whole.nodes if node.name in NODES)
    links = tuple(link for link in whole.links if {end.node for end in link} <= set(NODES))
    topology = replace(whole, nodes=nodes, links=links, clouds={CLOUD: whole.clouds[CLOUD]})
    STATE.mkdir(parents=True)
    namespaces.NETNS_DIR.mkdir()
    build_network(topology, lambda: None)
    site = _plan(topology)
    client = os.open(namespaces.NETNS_DIR / CLIENT, os.O_RDONLY)
    namespaces.setns(client, namespaces.NEWNET)
    os.close(client)
    for name in ("etcd", "kube-etcd", "kube-apiserver"):
        site.start(name)
    setup = site.start("kube-setup")
    wait_for(lambda: setup.poll() is not None, 120, f"the cluster was not set up:\n{site.tail('kube-apiserver')}")
    if setup.returncode:
        raise TimeoutError(f"the cluster was not set up:\n{site.tail('kube-setup')}")
    for name in ("kube-controller-manager", "coredns"):
        site.start(name)
    return site


def _plan(topology: Topology) -> Site:
    plan = plan_names(topology, STATE)
    prepare(topology, STATE)
    for name, text in plan.files.items():
        path = STATE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + (_GUARDS if path.name == f"{CONTROLLER}.yaml" else ""), encoding="utf-8")
    LabPlan("bench", str(STATE), topology, plan.processes).write()
    programs = {one.name: one for one in plan.processes if one.name not in _LEFT_OUT}
    return Site(Layout(topology, STATE), programs)


class RunningController:
    """``netctl controller run`` as a process of its own, as the lab runs it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._process = site.start(CONTROLLER)
        self._socket = Path(f"/run/netctl/mgmt-{CONTROLLER}/controller.sock")

    def status(self) -> dict[str, Any]:
        """{} while it does not answer."""
        return program_status(self._socket) or {}

    def steady(self, services: int, within_s: float) -> None:
        """Until it leads and ``services`` are as they should be."""

        def is_steady() -> bool:
            if self._process.poll() is not None:
                raise TimeoutError(f"the controller ended:\n{self._site.tail(CONTROLLER)}")
            said = self.status()
            leading = [cluster["state"] for cluster in said.get("clusters", ())] == ["leading"]
            return leading and bool(said["steady"]) and said["services"] == services

        wait_for(is_steady, within_s, f"the controller is not steady: {self.status()}\n{self._site.tail(CONTROLLER)}")

    def pause(self) -> None:
        """So that it takes nothing from whatever else is measured."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def name_of(service: str) -> str:
    """By which clients in the cloud ask for a service."""
    return f"{service}.{ZONE}"


def key_of(service: str, instance: str) -> str:
    return f"{REGISTRY_PREFIX}{service}/{instance}"
