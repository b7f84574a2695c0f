"""Where things of the naming half are: addresses in the topology, paths under STATE."""

from __future__ import annotations

from pathlib import Path

from netctl.lab.topology import ZONE, Node, Role, Topology

__all__ = ["APPS_NAMESPACE", "NAMESPACE", "REGISTRY_PORT", "REGISTRY_PREFIX", "ZONE", "Layout"]

NAMESPACE = "vm"
APPS_NAMESPACE = "apps"
"""Where each cluster has the Service of its pods."""
REGISTRY_PORT = 2379
REGISTRY_PREFIX = "/vm/"


class Layout:
    """Answers by role and cloud, so that nothing else counts on names of nodes."""

    def __init__(self, topology: Topology, state_dir: Path) -> None:
        self.topology = topology
        self.state_dir = state_dir
        self.clouds = [cloud for cloud in topology.clouds if self.of(cloud, "kube")]
        """Those with a Kubernetes API."""

    def of(self, cloud: str, role: Role) -> list[Node]:
        return [node for node in self.topology.with_role(role) if node.cloud == cloud]

    def ip(self, node: Node) -> str:
        return self.topology.address(node.name)

    def dns_servers(self, cloud: str) -> tuple[str, ...]:
        return tuple(self.ip(node) for node in self.of(cloud, "dns"))

    def registry_url(self) -> str | None:
        nodes = self.topology.with_role("mgmt")
        return f"http://{self.ip(nodes[0])}:{REGISTRY_PORT}" if nodes else None

    def api_url(self, cloud: str) -> str:
        return f"https://{self.ip(self.of(cloud, 'kube')[0])}:6443"

    @property
    def pki(self) -> Path:
        return self.state_dir / "etc" / "pki"

    def cert(self, name: str) -> Path:
        return self.pki / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.pki / f"{name}.key"

    @property
    def ca(self) -> Path:
        return self.pki / "ca.crt"

    def service_account(self, cloud: str, part: str) -> Path:
        """The key pair (``key`` and ``pub``) that signs the tokens of one cluster, and of no other."""
        return self.kube(cloud) / f"sa.{part}"

    def kube(self, cloud: str) -> Path:
        return self.state_dir / "etc" / "kube" / cloud

    def tokens(self, cloud: str) -> Path:
        return self.kube(cloud) / "tokens.csv"

    def kubeconfig(self, cloud: str, who: str) -> Path:
        """``who``: admin (made with the lab), controller, coredns (made by the set-up program)."""
        return self.kube(cloud) / f"{who}.kubeconfig"
