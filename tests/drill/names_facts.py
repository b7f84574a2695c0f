"""A lab's naming half as its drills see it, as data."""

from __future__ import annotations

from netctl.drill.facts import Host, NamesFacts, Program


def _host(node: str) -> Host:
    cloud, number = node[0], int(node[-1]) if node[-1].isdecimal() else 6
    return Host(node, f"10.{1 if cloud == 'a' else 2}.{number}.10", cloud)


def _program(node: str, name: str, role: str, pid: int) -> Program:
    return Program(node, name, role, pid, 1, f"/run/netctl/held/{node}/{name}")


HOSTS = tuple(_host(f"{cloud}-vm{number}") for cloud in "ab" for number in (1, 2, 3))
NAMES = NamesFacts(
    zone="netctl.internal",
    services={
        "orders": tuple(map(_host, ("a-vm1", "a-vm2", "b-vm1", "b-vm2"))),
        "ledger": tuple(map(_host, ("b-vm2", "b-vm3"))),
        "web": tuple(map(_host, ("a-ing", "b-ing"))),
    },
    servers={"a": "10.1.5.53", "b": "10.2.5.53"},
    programs=(
        _program("a-vm1", "page", "page", 30),
        _program("a-vm2", "page", "page", 0),
        _program("b-vm2", "page", "page", 32),
        _program("a-ing", "haproxy", "haproxy", 33),
        _program("b-ing", "haproxy", "haproxy", 34),
        _program("mgmt", "c1", "controller", 35),
        _program("mgmt", "c2", "controller", 36),
    ),
    registry="10.1.9.10:2379",
    registry_netns="/run/netns/mgmt",
    registry_prefix="/vm/",
    controllers=("c1", "c2"),
    leaders={"a": "c2", "b": "c2"},
)
