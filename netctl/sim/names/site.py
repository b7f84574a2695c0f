"""What the naming world consists of: clusters, sources, services, and what is registered when nothing is wrong."""

from __future__ import annotations

import msgspec

from netctl.model.controller import (
    CheckersSettings,
    ClusterSettings,
    Controller,
    EtcdSource,
    FileSource,
    GuardSettings,
    SourceSettings,
)

CLUSTERS = ("a", "b")
"""Each is the cluster of the cloud of the same name."""
CONTROLLERS = ("c1", "c2")
CHECKERS = ("checker-a", "checker-b")
SOURCES = ("vms", "legacy")
NAMESPACE = "vm"
LEASE_S = 3.0
WINDOWS_S = (60, 300)

_SIZES = {"orders": (4, 4), "ledger": (0, 2), "web": (1, 1), "cart": (6, 6), "users": (3, 1)}
"""Service → how many instances in cloud a, in cloud b, all registered in ``vms``."""
_LEGACY = {"mail": (2, 1)}
SERVICES = (*_SIZES, *_LEGACY)
PORT = 8080


def address(cloud: str, service: str, number: int) -> str:
    """Where an instance is at home. Its other home has a number that is greater by 100."""
    return f"10.{1 + CLUSTERS.index(cloud)}.{10 + SERVICES.index(service)}.{number}"


def value(where: str, cloud: str, **more: object) -> bytes:
    """A registry's entry."""
    return msgspec.json.encode({"address": where, "ports": {"http": PORT}, "cloud": cloud, **more})


def _entries(sizes: dict[str, tuple[int, int]]) -> dict[str, bytes]:
    return {
        f"{service}/{cloud}{number}": value(address(cloud, service, number), cloud)
        for service, counts in sizes.items()
        for cloud, count in zip(CLUSTERS, counts, strict=True)
        for number in range(1, count + 1)
    }


REGISTERED: dict[str, dict[str, bytes]] = {
    "vms": _entries(_SIZES),
    # It has an instance that vms has too, at another address (vms comes first), and one more of a service of vms.
    "legacy": {
        **_entries(_LEGACY),
        "orders/a1": value("10.1.200.1", "a"),
        "orders/b9": value(address("b", "orders", 9), "b"),
    },
}
INSTANCES = tuple(key for source in SOURCES for key in REGISTERED[source] if (source, key) != ("legacy", "orders/a1"))


def source_of(key: str) -> str:
    """The source that an instance of INSTANCES is registered in."""
    return "vms" if key in REGISTERED["vms"] else "legacy"


def settings(identity: str, max_shrink_percent: int, budget: tuple[int, int]) -> Controller:
    """The controller file, as if validated."""
    return Controller(
        identity=identity,
        runtime_dir=f"/run/netctl/{identity}",
        sources=(
            SourceSettings("vms", etcd=EtcdSource(("http://vms:2379",), "/vm/")),
            SourceSettings("legacy", file=FileSource("/legacy.yaml")),
        ),
        clusters=tuple(ClusterSettings(name, name, f"/{name}.kubeconfig", NAMESPACE) for name in CLUSTERS),
        management="a",
        guards=GuardSettings(max_shrink_percent / 100, tuple(zip(WINDOWS_S, budget, strict=True))),
        lease_s=LEASE_S,
        checkers=CheckersSettings(checkers_address(identity)),
    )


def checkers_address(identity: str) -> str:
    """Where a controller listens for checkers."""
    return f"{identity}:7946"
