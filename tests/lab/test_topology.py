"""The topology file: what it says, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from netctl.lab.daemons import Providers, choose_daemons, gateway_file, plan_lab, resolv_files, router_of
from netctl.lab.topology import PACKAGED, Topology, load_topology
from netctl.model.errors import EnvironmentLackError, UsageError
from netctl.model.prefix import format_prefix


@pytest.fixture(scope="module")
def packaged() -> Topology:
    return load_topology()


def wrong(folder: Path, old: str, new: str) -> str:
    text = PACKAGED.read_text(encoding="utf-8")
    assert old in text
    path = folder / "topology.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_topology(path)
    return caught.value.message


def test_the_packaged_topology_has_two_clouds_and_two_providers(packaged: Topology) -> None:
    roles = [node.role for node in packaged.nodes]
    assert (roles.count("provider"), roles.count("gateway"), roles.count("fabric"), roles.count("vm")) == (2, 2, 2, 6)
    for role, names in {
        "kube": ["a-kube", "b-kube"],
        "dns": ["a-dns", "b-dns"],
        "ingress": ["a-ing", "b-ing"],
        "pod": ["a-pod1", "a-pod2", "b-pod1", "b-pod2"],
        "mgmt": ["mgmt"],
    }.items():
        assert [node.name for node in packaged.nodes if node.role == role] == names
    assert (packaged.address("b-dns"), packaged.address("mgmt")) == ("10.2.5.53", "10.1.9.10")
    assert [n.node.name for n in packaged.neighbours("ga1")] == ["pa", "pb", "fa"]
    assert [n.node.name for n in packaged.neighbours("fa")] == ["ga1"]


def test_every_address_is_used_once(packaged: Topology) -> None:
    addresses = [end.ip for link in packaged.links for end in link]
    assert len(set(addresses)) == len(addresses)


def test_the_gateway_file_is_accepted_and_means_what_the_topology_says(packaged: Topology, tmp_path: Path) -> None:
    from netctl.config import load_gateway

    path = tmp_path / "ga1.yaml"
    path.write_text(gateway_file(packaged, packaged.node("ga1")), encoding="utf-8")
    gateway = load_gateway(path)
    assert [(p.name, p.kind, p.asn, p.bfd is not None) for p in gateway.peers] == [
        ("pa", "provider", 65001, True),
        ("pb", "provider", 65002, True),
        ("fabric", "fabric", 65110, False),
    ]
    own, default = gateway.announce
    assert (own.to, [str(c) for c in own.when]) == (("pa", "pb"), ["peer:fabric"])
    assert (default.to, [str(c) for c in default.when]) == (("fabric",), ["path:any"])


def test_a_fabric_router_announces_every_machine_at_it(packaged: Topology) -> None:
    announced = {format_prefix(prefix) for prefix in router_of(packaged, packaged.node("fa")).announce}
    assert announced == {f"10.1.{n}.0/24" for n in range(1, 10)}


def test_machines_that_ask_for_names_are_told_their_own_clouds_server(packaged: Topology) -> None:
    files = resolv_files(packaged)
    assert files["etc/resolv/b-pod1"].splitlines()[:2] == ["search netctl.internal", "nameserver 10.2.5.53"]
    assert "nameserver 10.1.5.53" in files["etc/resolv/mgmt"]
    assert not {"etc/resolv/ga1", "etc/resolv/a-kube"} & files.keys()


def test_an_unknown_key_is_named_with_its_line(tmp_path: Path) -> None:
    message = wrong(tmp_path, "{name: pa, role: provider", "{name: pa, rolle: provider")
    line = (
        PACKAGED.read_text(encoding="utf-8")
        .splitlines()
        .index("  - {name: pa, role: provider, asn: 65001, daemon: bird}")
    )
    assert f"topology.yaml:{line + 1}:" in message
    assert "rolle" in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("role: gateway, cloud: a", "role: gateway, cloud: c", "cloud 'c' is not one of a, b"),
        ("asn: 65001", "asn: 0", "asn 0 is not within"),
        ("name: pb", "name: pa", "'pa' is there twice"),
        ("ga1 gw-pa 10.0.1.1/30", "gx1 gw-pa 10.0.1.1/30", "'gx1' is no node"),
        ("gw-pa 10.0.1.1/30", "gw-pa 10.0.1.1/33", "10.0.1.1/33"),
        ("gw-pa 10.0.1.1/30", "gw-pa-is-too-long 10.0.1.1/30", "no interface name"),
        ("ga1 gw-pa 10.0.1.1/30", "ga1 gw-pa", "is no link end"),
        ("fa to-a-pod2 10.1.8.1/24, a-pod2 eth0", "fa to-a-pod2 10.1.8.1/24, a-pod1 eth1", "has one link, not several"),
        ("ga1 gw-fabric 10.1.0.1/30, fa to-ga1", "a-vm1 gw-fabric 10.1.0.1/30, fa to-ga1", "has no BGP neighbour"),
        ("version: 1", "version: 2", "2"),
        ("nodes:", "nodes: [", "topology.yaml:"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in wrong(tmp_path, old, new)


def test_without_frr_the_provider_becomes_bird_and_that_is_said(packaged: Topology) -> None:
    chosen, notes = choose_daemons(packaged, Providers.auto, {"frr": "FRR is not installed (Debian package frr)"})
    assert chosen["pb"] == "bird"
    assert notes == ["pb is bird instead of frr: FRR is not installed (Debian package frr)"]


def test_without_both_everything_is_embedded(packaged: Topology) -> None:
    chosen, notes = choose_daemons(packaged, Providers.auto, {"frr": "x", "bird": "y"})
    assert set(chosen.values()) == {"embedded"}
    assert len(notes) == 4


def test_a_daemon_that_was_asked_for_and_is_missing_is_an_error_with_its_package(packaged: Topology) -> None:
    with pytest.raises(EnvironmentLackError) as caught:
        choose_daemons(packaged, Providers.frr, {"frr": "FRR is not installed (Debian package frr)"})
    assert "apt-get install frr" in caught.value.hint


def test_every_file_that_a_program_is_given_is_written(packaged: Topology, tmp_path: Path) -> None:
    for providers in (Providers.bird, Providers.embedded):
        plan, files = plan_lab("t", tmp_path, packaged, providers)
        named = {word for p in plan.processes for word in p.argv if word.startswith(f"{tmp_path}/etc/")}
        of_the_lab = {"etc/hosts", "etc/resolv.conf", *resolv_files(packaged)}  # which are mounted
        assert named == {str(tmp_path / name) for name in files.keys() - of_the_lab}
        assert of_the_lab <= files.keys()
