"""The text of the files that the naming half's programs read, as a person would write them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from netctl.lab.names.layout import NAMESPACE, REGISTRY_PREFIX, ZONE, Layout
from netctl.lab.topology import Node

_HAPROXY = Path(__file__).with_name("haproxy.cfg")


def controller_file(lay: Layout, node: Node, name: str, checkers_port: int) -> str:
    """The file of one of the two controllers on the management node."""
    servers = ", ".join(f"{cloud}: [{', '.join(lay.dns_servers(cloud))}]" for cloud in lay.clouds)
    lines = [
        "version: 1",
        f"identity: {name}",
        f"runtime_dir: /run/netctl/{node.name}-{name}",
        "sources:",
        "  - name: vms",
        f'    etcd: {{endpoints: ["{lay.registry_url()}"], prefix: {REGISTRY_PREFIX}}}',
        "clusters:",
        *(
            f"  - {{name: {cloud}, cloud: {cloud}, kubeconfig: {lay.kubeconfig(cloud, 'controller')}, "
            f"namespace: {NAMESPACE}}}"
            for cloud in lay.clouds
        ),
        f"management: {node.cloud}",
        "dns:",
        f"  zone: {ZONE}",
        "  ttl_s: 1",
        f"  servers: {{{servers}}}",
        "check: {http: /healthz, port: http}",
        "checkers:",
        f'  listen: "{lay.ip(node)}:{checkers_port}"',
        f"  tls: {_tls(lay, name)}",
    ]
    return "\n".join(lines) + "\n"


def checker_file(lay: Layout, cloud: str, ports: Sequence[int]) -> str:
    """The file of a cloud's checker: it reports to every controller."""
    addresses = [lay.ip(node) for node in lay.topology.with_role("mgmt")]
    controllers = ", ".join(f'"{address}:{port}"' for address in addresses for port in ports)
    lines = [
        "version: 1",
        f"checker: {cloud}-checker",
        f"cloud: {cloud}",
        f"runtime_dir: /run/netctl/{cloud}-checker",
        f"controllers: [{controllers}]",
        f"tls: {_tls(lay, f'{cloud}-checker')}",
    ]
    return "\n".join(lines) + "\n"


def haproxy_file(pods: Mapping[str, str], socket: str) -> str:
    """An east-west ingress before ``pods`` (name → address)."""
    servers = "\n".join(f"    server {name} {address}:80" for name, address in pods.items())
    return Template(_HAPROXY.read_text(encoding="utf-8")).substitute(socket=socket, servers=servers)


def kubeconfig(cloud: str, server: str, ca: bytes, user: str, token: str) -> str:
    """A kubeconfig with everything in it: CA certificate (PEM) and token."""
    return f"""\
apiVersion: v1
kind: Config
clusters:
  - name: {cloud}
    cluster:
      server: {server}
      certificate-authority-data: {base64.b64encode(ca).decode()}
users:
  - name: {user}
    user: {{token: {token}}}
contexts:
  - name: {cloud}
    context: {{cluster: {cloud}, user: {user}, namespace: {NAMESPACE}}}
current-context: {cloud}
"""


def _tls(lay: Layout, name: str) -> str:
    return f"{{ca: {lay.ca}, cert: {lay.cert(name)}, key: {lay.key(name)}}}"
