"""Which programs of the naming half run where: a function of the topology and of where the machine has them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netctl.coredns.render import CorednsSettings, render_cloud
from netctl.lab.names import files
from netctl.lab.names.layout import APPS_NAMESPACE, NAMESPACE, REGISTRY_PORT, REGISTRY_PREFIX, ZONE, Layout
from netctl.lab.parts import find_part
from netctl.lab.plan import ProcessPlan
from netctl.lab.topology import Node, Topology

SERVICES: Mapping[str, tuple[str, ...]] = {
    "orders": ("a-vm1", "a-vm2", "b-vm1", "b-vm2"),
    "ledger": ("b-vm2", "b-vm3"),
    "web": ("a-ing", "b-ing"),
}
"""Service → the nodes that serve it, at port 80. ``ledger`` is in one cloud only; ``web`` is each cloud's ingress."""
CONTROLLERS = {"c1": 7946, "c2": 7947}
"""Controller → the port at which its checkers connect."""
_KUBE_FLAGS = (
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--endpoint-reconciler-type=none",
    "--profiling=false",
)
_KUBE_CONTROLLERS = "garbage-collector-controller,namespace-controller,serviceaccount-controller"


@dataclass(frozen=True, slots=True)
class NamesPlan:
    """``files``: path under STATE → text; none of them is secret (those are ``secrets.prepare``'s)."""

    processes: tuple[ProcessPlan, ...]
    files: dict[str, str] = field(default_factory=dict)


def plan_names(topology: Topology, state_dir: Path, find: Callable[[str], Path] = find_part) -> NamesPlan:
    """Everything that the naming half runs, and the files it reads. Before it starts: ``secrets.prepare``.

    Raises EnvironmentLackError naming a program that is not there.
    """
    writer = _Writer(topology, state_dir, find)
    for node in topology.nodes:
        add = {
            "kube": writer.kube,
            "dns": writer.dns,
            "ingress": writer.ingress,
            "pod": writer.pod,
            "mgmt": writer.management,
        }.get(node.role)
        if add is not None:
            add(node)
    writer.registrars()
    return NamesPlan(tuple(writer.processes), writer.files)


class _Writer:
    """Collects processes and files, node by node."""

    def __init__(self, topology: Topology, state_dir: Path, find: Callable[[str], Path]) -> None:
        self.layout = Layout(topology, state_dir)
        self.state_dir = state_dir
        self.topology = topology
        self.find = find
        self.processes: list[ProcessPlan] = []
        self.files: dict[str, str] = {}

    def kube(self, node: Node) -> None:
        """Kubernetes' API of one cloud, what sets it up, and the cloud's checker."""
        lay, cloud = self.layout, node.cloud or ""
        ip = lay.ip(node)
        self._etcd(node, "kube-etcd", "127.0.0.1", 2379)
        apiserver = [
            str(self.find("kube-apiserver")),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={ip}",
            f"--advertise-address={ip}",
            "--secure-port=6443",
            f"--tls-cert-file={lay.cert(f'{cloud}-kube')}",
            f"--tls-private-key-file={lay.key(f'{cloud}-kube')}",
            f"--token-auth-file={lay.tokens(cloud)}",
            f"--service-account-key-file={lay.service_account(cloud, 'pub')}",
            f"--service-account-signing-key-file={lay.service_account(cloud, 'key')}",
            *_KUBE_FLAGS,
        ]
        self._run(node, "kube-apiserver", apiserver, "kube-apiserver", env=_go("400MiB"))
        admin = lay.kubeconfig(cloud, "admin")
        manager = [
            str(self.find("kube-controller-manager")),
            f"--kubeconfig={admin}",
            f"--controllers={_KUBE_CONTROLLERS}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--profiling=false",
        ]
        set_up = (str(lay.kubeconfig(cloud, "controller")),)  # before that there is nothing for it to do, and no API
        self._run(
            node, "kube-controller-manager", manager, "kube-controller-manager", waits_for=set_up, env=_go("120MiB")
        )
        setup = [sys.executable, "-m", "netctl.lab.names.setup", str(self.state_dir), cloud]
        self._run(node, "kube-setup", setup, "setup", once=True)
        checker = self._file(node, "checker.yaml", files.checker_file(lay, cloud, sorted(CONTROLLERS.values())))
        self._netctl(node, "checker", "checker", ["checker", "run", "--config", checker])

    def dns(self, node: Node) -> None:
        lay, cloud = self.layout, node.cloud or ""
        settings = CorednsSettings(
            zone=ZONE,
            cloud=cloud,
            namespaces=(NAMESPACE, APPS_NAMESPACE),
            kubeconfig=str(lay.kubeconfig(cloud, "coredns")),
            others={other: lay.dns_servers(other) for other in lay.clouds if other != cloud},
        )
        path = self._file(node, "Corefile", render_cloud(settings))
        argv = [str(self.find("coredns")), "-conf", path]
        self._run(node, "coredns", argv, "coredns", waits_for=(settings.kubeconfig,), env=_go("100MiB"))

    def ingress(self, node: Node) -> None:
        pods = {pod.name: self.layout.ip(pod) for pod in self.layout.of(node.cloud or "", "pod")}
        path = self._file(node, "haproxy.cfg", files.haproxy_file(pods, f"/run/netctl/{node.name}/haproxy.sock"))
        self._run(node, "haproxy", [str(self.find("haproxy")), "-db", "-f", path], "haproxy")

    def pod(self, node: Node) -> None:
        page = str(Path(files.__file__).parents[1] / "page.py")
        self._run(node, "page", [sys.executable, "-I", "-S", page, "serve", node.name, node.cloud or "", "80"], "page")

    def management(self, node: Node) -> None:
        lay = self.layout
        self._etcd(node, "etcd", lay.ip(node), REGISTRY_PORT)
        waits_for = tuple(str(lay.kubeconfig(cloud, "controller")) for cloud in lay.clouds)
        for name, port in CONTROLLERS.items():
            path = self._file(node, f"{name}.yaml", files.controller_file(lay, node, name, port))
            self._netctl(node, name, "controller", ["controller", "run", "--config", path], waits_for)

    def registrars(self) -> None:
        """Each node that serves something says so itself."""
        endpoint = self.layout.registry_url()
        for service, names in SERVICES.items():
            for name in names:
                node = next((n for n in self.topology.nodes if n.name == name), None)
                if node is None or endpoint is None:
                    continue
                argv = [sys.executable, "-m", "netctl.lab.registrar", "--endpoint", endpoint]
                argv += ["--prefix", REGISTRY_PREFIX, "--service", service, "--instance", name]
                argv += ["--address", self.layout.ip(node), "--port", "http=80", "--cloud", node.cloud or ""]
                self._run(node, f"registrar-{service}", [*argv, "--ttl", "5"], "registrar")

    def _etcd(self, node: Node, name: str, ip: str, port: int) -> None:
        data, url, peer = self.state_dir / "data" / node.name / name, f"http://{ip}:{port}", "http://127.0.0.1:2380"
        argv = [
            str(self.find("etcd")),
            f"--name={name}",
            f"--data-dir={data}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={name}={peer}",
            "--enable-v2=false",
            "--logger=zap",
            "--log-outputs=stderr",
            "--log-level=warn",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=1h",
        ]
        # etcd 3.4 insists on being told where it is not tested
        env = {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {}
        self._run(node, name, argv, "etcd", env=env)

    def _netctl(self, node: Node, name: str, role: str, argv: list[str], waits_for: tuple[str, ...] = ()) -> None:
        self._run(node, name, [sys.executable, "-m", "netctl.cli.main", *argv], role, waits_for=waits_for)

    def _run(
        self,
        node: Node,
        name: str,
        argv: list[str],
        role: str,
        *,
        waits_for: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        once: bool = False,
    ) -> None:
        log = str(self.state_dir / "log" / node.name / f"{name}.log")
        self.processes.append(
            ProcessPlan(node.name, name, role, tuple(argv), log, waits_for, half="names", once=once, env=env or {})
        )

    def _file(self, node: Node, name: str, text: str) -> str:
        self.files[f"etc/{node.name}/{name}"] = text
        return str(self.state_dir / "etc" / node.name / name)


def _go(memory: str) -> dict[str, str]:
    """For a Go program: collect garbage rather than grow beyond ``memory``."""
    return {"GOMEMLIMIT": memory}
